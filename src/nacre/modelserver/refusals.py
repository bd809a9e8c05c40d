"""What went wrong, as an answer: a status, a sentence, and the shape that a dialect gives its errors."""

from __future__ import annotations

import logging

from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import BadRequest, Route
from nacre.modelserver.messages import Response, error
from nacre.modelserver.resolve import WrongMethod
from nacre.modelserver.signature import sentence

log = logging.getLogger(__name__)


def refused(wrong: Exception) -> Refused:
    """What went wrong, as a status and a sentence."""
    if isinstance(wrong, Refused):
        return wrong
    if isinstance(wrong, BadRequest):
        return Refused(400, str(wrong))
    if isinstance(wrong, ort_errors.InvalidArgument):
        return Refused(400, f"the model refuses this input: {sentence(wrong)}")
    if isinstance(wrong, MemoryError):
        return Refused(503, "there was not enough memory for this request")
    log.warning("%s: %s", type(wrong).__name__, sentence(wrong))
    return Refused(500, f"the model failed on this input: {sentence(wrong)}")


def refusal(wrong: Exception, route: Route | None) -> Response:
    """The answer to a request that gets none, in the shape of its dialect."""
    why = refused(wrong)
    plain = error(why.status, why.text)
    if why.status == 429:
        plain.extra += f"Retry-After: {why.retry_after}\r\n"
    if isinstance(why, WrongMethod):
        plain.extra += f"Allow: {', '.join(why.allowed)}\r\n"
    if route is None or route.error is None:
        return plain
    shaped = route.error(why.status, why.text)
    shaped.extra = plain.extra
    return shaped
