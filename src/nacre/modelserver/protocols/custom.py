"""Requests for a model's own code (``predict.py``): ``POST predict``, and ``POST invocations``.

The paths are also those of :mod:`~nacre.modelserver.protocols.vertex` and
:mod:`~nacre.modelserver.protocols.sagemaker`, for models without such code. Requests go to a replica as
they come, and its answer goes back as it is. Parts of a stream are server-sent events (WHATWG HTML, section
9.2) that the replica has written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import orjson

from nacre.modelserver.backend import Refused
from nacre.modelserver.messages import Request, Response, Stream
from nacre.modelserver.parts import Parts
from nacre.modelserver.pool import RawRequest
from nacre.modelserver.replica_answers import RawAnswer

_STREAM = "text/event-stream; charset=utf-8"
# A proxy shall neither keep the events nor wait for more of them.
_EXTRA = "Cache-Control: no-store\r\nX-Accel-Buffering: no\r\n"
_HEADERS = ("accept", "content-type")


def request_of(request: Request, path: str) -> RawRequest:
    """What a replica gets of a request; its token is not among it."""
    given = {name: request.headers.get(name.encode()) for name in _HEADERS}
    headers = {name: value.decode("latin-1") for name, value in given.items() if value is not None}
    return RawRequest(request.method.decode("latin-1"), path, headers, request.body)


def response_of(answer: RawAnswer) -> Response:
    """A replica's own answer."""
    return Response(answer.status, answer.body, answer.content_type)


def stream_of(parts: Parts, ended: Callable[[], None]) -> Stream:
    """A replica's own answer, in parts. ``ended`` is called when it is over, perhaps twice."""

    def end() -> None:
        parts.cancel()
        ended()

    return Stream(_told(parts), end, _STREAM, notice, _EXTRA)


async def _told(parts: Parts) -> AsyncIterator[bytes]:
    """The parts; when the stream breaks off, an event that says why."""
    try:
        async for part in parts:
            yield part
    except Refused as wrong:
        yield notice(wrong.text)
        raise


def notice(text: str) -> bytes:
    """The event that ends a stream that did not come to its end."""
    return b"event: error\ndata: %s\n\n" % orjson.dumps({"error": text})
