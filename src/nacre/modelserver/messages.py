"""What passes between the HTTP protocol and the applications behind it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Protocol

import orjson

_JSON = "application/json"


class Request:
    """One request. ``headers`` has lower-case names, and only those that the server uses."""

    __slots__ = ("body", "headers", "keep_alive", "method", "old", "size", "target")

    def __init__(self) -> None:
        self.method = b""
        self.target = b""
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.size = 0
        self.keep_alive = True
        self.old = False


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

    def handle(self, request: Request) -> Response | asyncio.Future[Response]:
        """The answer. A future never fails."""
        ...
