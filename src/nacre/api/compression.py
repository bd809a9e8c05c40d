"""Answers of ``/api/v1``, compressed for who takes gzip.

Left alone are small answers; ranges, files and blobs (``Accept-Ranges``, ``ETag``); what says
``no-transform``, as logs that are followed do; what is no text; and answers that hand out secrets: where a
body has a secret beside words of who asks, its compressed length tells of the secret (BREACH). MLflow's
protocol, WebSockets and the console's files, compressed when they are built, do not come by here.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import anyio
import anyio.lowlevel
import anyio.to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LEAST = 1400
"""Bytes; an answer below it fits into a packet or two as it is."""
_LEVEL = 4
"""1 MiB of numbers in 20 to 50 ms; level 6 takes three times that for 2 % less."""
_INLINE = 32 * 1024
"""What takes longer than half a millisecond is done in a thread."""
_THREADS = 4
_API = "/api/v1/"
_SECRETIVE = frozenset({"attempts", "invitations", "sessions", "tokens", "users"})
"""Nouns whose operations answer with tokens, codes or secrets."""
_KINDS = frozenset({"application/json", "application/problem+json", "text/plain", "text/csv"})
_UNTOUCHED = ("content-encoding", "content-range", "accept-ranges", "etag")

_limiter: anyio.lowlevel.RunVar[anyio.CapacityLimiter] = anyio.lowlevel.RunVar("nacre_compression")


def accepted(headers: Mapping[str, str]) -> set[str]:
    """The encodings that ``Accept-Encoding`` names and does not refuse."""
    found = set()
    for part in headers.get("accept-encoding", "").lower().split(","):
        name, _, weight = part.partition(";")
        if weight.replace(" ", "").strip() not in ("q=0", "q=0.0", "q=0.00", "q=0.000"):
            found.add(name.strip())
    return found


class Compression:
    """Middleware: gzip, for who asks with ``Accept-Encoding``."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] != "HEAD" and _may_be(scope["path"]):
            send = _Answer(send, "gzip" in accepted(Headers(scope=scope))).send
        await self._app(scope, receive, send)


class _Answer:
    """One answer on its way: its head waits for the first piece of its body."""

    def __init__(self, send: Send, wanted: bool) -> None:
        self._send = send
        self._wanted = wanted
        self._start: Message | None = None
        self._pack: zlib._Compress | None = None

    async def send(self, message: Message) -> None:
        """Hand a message on, compressed where that is right."""
        if message["type"] == "http.response.start" and _compressible(message):
            MutableHeaders(scope=message).add_vary_header("Accept-Encoding")
            if self._wanted:
                self._start = message
                return
        elif message["type"] == "http.response.body" and (self._start or self._pack):
            await self._body(message)
            return
        await self._send(message)

    async def _body(self, message: Message) -> None:
        body, more = message.get("body", b""), message.get("more_body", False)
        start, self._start = self._start, None
        if start is not None:
            headers = MutableHeaders(scope=start)
            if not more and len(body) < LEAST:
                await self._send(start)
                await self._send(message)
                return
            self._pack = zlib.compressobj(_LEVEL, wbits=31)
            body = await self._packed(body, more)
            headers["Content-Encoding"] = "gzip"
            if more:
                del headers["Content-Length"]
            else:
                headers["Content-Length"] = str(len(body))
            await self._send(start)
        else:
            body = await self._packed(body, more)
        await self._send({**message, "body": body})

    async def _packed(self, body: bytes, more: bool) -> bytes:
        """A piece of the body, compressed so that the receiver can read all of it."""
        pack = self._pack
        assert pack is not None

        def work() -> bytes:
            return pack.compress(body) + pack.flush(zlib.Z_SYNC_FLUSH if more else zlib.Z_FINISH)

        return work() if len(body) < _INLINE else await anyio.to_thread.run_sync(work, limiter=_threads())


def _may_be(path: str) -> bool:
    return path.startswith(_API) and path[len(_API) :].partition("/")[0] not in _SECRETIVE


def _compressible(start: Message) -> bool:
    headers = Headers(raw=start.get("headers", []))
    return (
        start["status"] not in (204, 206, 304)
        and headers.get("content-type", "").partition(";")[0].strip().lower() in _KINDS
        and not any(name in headers for name in _UNTOUCHED)
        and "no-transform" not in headers.get("cache-control", "").lower()
    )


def _threads() -> anyio.CapacityLimiter:
    """Threads of their own, so that no answer waits for those that wait for the database."""
    try:
        return _limiter.get()
    except LookupError:
        made = anyio.CapacityLimiter(_THREADS)
        _limiter.set(made)
        return made
