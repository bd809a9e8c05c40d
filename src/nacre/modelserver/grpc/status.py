"""Status codes of gRPC (https://grpc.io/docs/guides/status-codes/), and which one an error of ours is."""

from __future__ import annotations

import logging

from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import BadRequest

log = logging.getLogger(__name__)

OK = 0
INVALID_ARGUMENT = 3
DEADLINE_EXCEEDED = 4
NOT_FOUND = 5
PERMISSION_DENIED = 7
RESOURCE_EXHAUSTED = 8
UNIMPLEMENTED = 12
INTERNAL = 13
UNAVAILABLE = 14
UNAUTHENTICATED = 16

_CODES = {
    400: INVALID_ARGUMENT,
    401: UNAUTHENTICATED,
    403: PERMISSION_DENIED,
    404: NOT_FOUND,
    408: DEADLINE_EXCEEDED,
    413: RESOURCE_EXHAUSTED,
    429: RESOURCE_EXHAUSTED,
    501: UNIMPLEMENTED,
    503: UNAVAILABLE,
    504: DEADLINE_EXCEEDED,
}


def status_of(wrong: Exception) -> tuple[int, str]:
    """The status and the sentence of what went wrong."""
    if isinstance(wrong, BadRequest):
        return INVALID_ARGUMENT, str(wrong)
    if isinstance(wrong, Refused):
        return _CODES.get(wrong.status, INTERNAL), wrong.text
    log.error("a gRPC call failed", exc_info=wrong)
    return INTERNAL, "the server failed at this request; its log tells why"
