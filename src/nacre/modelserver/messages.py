"""What passes between the HTTP protocol and the applications behind it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from typing import Protocol

import orjson

_JSON = "application/json"


class Request:
    """One request. ``headers`` has lower-case names, only those that the server uses; requests share them.

    ``respond`` takes the answer of one that :meth:`App.handle` has not answered at once. ``cancel`` may be
    set then: it is called when the client has gone; an answer is still due, and thrown away.
    """

    __slots__ = ("body", "cancel", "headers", "keep_alive", "method", "old", "respond", "size", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.size = 0
        self.keep_alive = True
        self.old = False
        self.respond: Callable[[Response], None] | None = None
        self.cancel: Callable[[], None] | None = None

    def again(self, body: bytes) -> Request:
        """The same with another body of the same size."""
        request = Request.__new__(Request)
        request.method = self.method
        request.target = self.target
        request.headers = self.headers
        request.body = body
        request.size = self.size
        request.keep_alive = self.keep_alive
        request.old = self.old
        request.respond = request.cancel = None
        return request


class Response:
    """One answer. ``extra`` is whole header lines; ``close`` ends the connection after it; ``samples``
    says how many rows an inference answered."""

    __slots__ = ("body", "close", "extra", "kind", "samples", "status")

    def __init__(
        self, status: int, body: bytes, kind: str = _JSON, extra: str = "", close: bool = False
    ) -> None:
        self.status = status
        self.body = body
        self.kind = kind
        self.extra = extra
        self.close = close
        self.samples = 0


class Stream(Response):
    """An answer whose parts are sent as they come, no faster than the client takes them.

    Only one that comes later, not at once from :meth:`App.handle`. ``cancel`` is called at its end, however
    it ends, perhaps twice. ``check`` is asked each second: a sentence ends it, after ``notice`` of that.
    """

    __slots__ = ("cancel", "check", "notice", "parts")

    def __init__(
        self,
        parts: AsyncIterator[bytes],
        cancel: Callable[[], None],
        kind: str,
        notice: Callable[[str], bytes],
        extra: str = "",
    ) -> None:
        super().__init__(200, b"", kind, extra)
        self.parts = parts
        self.cancel = cancel
        self.notice = notice
        self.check: Callable[[], str | None] | None = None


def error(status: int, text: str, extra: str = "", close: bool = False) -> Response:
    """``{"error": text}``, as every protocol served here wants its errors."""
    if status == HTTPStatus.UNAUTHORIZED:
        extra += "WWW-Authenticate: Bearer\r\n"
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        extra += "Retry-After: 1\r\n"
    return Response(status, orjson.dumps({"error": text}), extra=extra, close=close)


class App(Protocol):
    """What answers requests."""

    def refuse(self, request: Request) -> Response | None:
        """The answer that a request gets whatever its body, judged by its headers; else None."""
        ...

    def handle(self, request: Request) -> Response | asyncio.Future[Response] | None:
        """The answer. A future never fails; null: ``request.respond`` gets it, after this has returned."""
        ...
