"""What a replica's frames say: its hello, and its answers to batches and requests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import ValidationError

from nacre.modelserver import frames
from nacre.modelserver.backend import ModelFailed, Overloaded, Refused
from nacre.modelserver.calls import BadRequest
from nacre.modelserver.frames import Frame, FrameError
from nacre.schema.serving import Signature

_MESSAGE = 2000


@dataclass(frozen=True)
class Hello:
    """What a replica says of its model. ``raw``: it answers requests as they come. ``ping``: it tells how
    it gets on when it is asked."""

    signature: Signature | None
    raw: bool
    max_batch: int | None
    ping: bool = False


class RawAnswer(NamedTuple):
    """A replica's own answer to a request."""

    status: int
    content_type: str
    body: bytes


def read_hello(head: dict[str, Any]) -> Hello:
    """The first frame of a replica. Raises :class:`FrameError`."""
    if head["type"] != "hello":
        raise FrameError("it does not begin with hello")
    most = head.get("max_batch")
    try:
        given = head.get("signature")
        signature = None if given is None else Signature.model_validate(given)
    except ValidationError as wrong:
        raise FrameError("its signature is none") from wrong
    return Hello(
        signature=signature,
        raw=head.get("raw") is True,
        max_batch=most if type(most) is int and most > 0 else None,
        ping=head.get("ping") is True,
    )


def read_outcome(
    frame: Frame, outputs: list[str] | None, signature: Signature | None, max_bytes: int
) -> object:
    """The outcome of a batch, of which these outputs were asked for, or of a request (null): arrays, a
    :class:`RawAnswer`, or what went wrong. Raises :class:`FrameError`.

    ``max_bytes``: the limit that an answer without its bytes was over.
    """
    head, tail = frame.head, frame.tail
    kind = head["type"]
    if tail is None:
        return Refused(500, f"the model's answer is over the limit of {max_bytes} bytes")
    if kind == "error":
        return _failure(head)
    if kind == "raw_result" and outputs is None:
        return _raw(head, tail)
    if kind != "result" or outputs is None:
        raise FrameError(f"{kind} is no answer to what was asked")
    arrays = frames.tensors(head.get("outputs"), tail)
    if list(arrays) != outputs:
        raise FrameError(f"it answers {list(arrays)} where {outputs} were asked for")
    known = {spec.name: spec.datatype for spec in signature.outputs} if signature is not None else {}
    for one in head["outputs"]:
        if known.get(one["name"]) != one["datatype"]:
            raise FrameError(f"output {one['name']!r} is {one['datatype']}, not {known.get(one['name'])}")
    return list(arrays.values())


def _failure(head: dict[str, Any]) -> Exception:
    kind, text = head.get("kind"), str(head.get("message"))[:_MESSAGE]
    if kind == "bad_request":
        return BadRequest(text)
    if kind == "overloaded":
        return Overloaded(text)
    if kind == "too_large":
        return Refused(413, text)
    return ModelFailed(text)


def _raw(head: dict[str, Any], tail: memoryview) -> RawAnswer:
    status, kind = head.get("status"), head.get("content_type")
    if type(status) is not int or not 200 <= status < 600 or status in (204, 304):
        raise FrameError("its answer has no status")
    if not isinstance(kind, str) or not kind.isascii() or not kind.isprintable() or len(kind) > 200:
        raise FrameError("its answer has no content type")
    return RawAnswer(status, kind, bytes(tail))
