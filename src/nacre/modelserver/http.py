"""HTTP/1.1 as an asyncio protocol: parsing, limits, order of answers, timeouts.

It knows nothing of inference: an ``App`` turns a ``Request`` into a ``Response``, at once or as a
future. On one connection requests are answered one after the other, in their order.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools

from nacre.modelserver.messages import Request, Response, error

if TYPE_CHECKING:
    from nacre.modelserver.listener import Listener

log = logging.getLogger(__name__)

# The only headers anybody asks for; others are parsed and forgotten.
_WANTED = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"expect",
        b"inference-header-content-length",
        b"transfer-encoding",
    }
)
_BATCH = 32
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SPLIT = 64 * 1024


class Connection(asyncio.Protocol):
    """One client. Bounded by the listener's limits in memory and time."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._app = listener.app
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[Request | Response] = deque()
        self._current: Request | None = None
        self._chunks: list[bytes] = []
        self._busy: Request | None = None
        self._in_head = False
        self._completed = False
        """Whether the last read ended a message."""
        self._head_size = 0
        self._head_bytes = 0
        self._deaf = False
        self._ended = False
        self._reading = True
        self._writable = True
        self._scheduled = False
        self._since = listener.now
        """When the state that a timeout watches began."""

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._listener.register(self):
            text = "too many connections: try again in a moment"
            self._end(error(503, text, close=True))
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._listener.forget(self)
        held = [self._current, *(item for item in self._queue if isinstance(item, Request))]
        self._listener.held -= sum(request.size for request in held if request)
        self._queue.clear()
        self._current = None
        self._chunks.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._completed = False
        try:
            self._feed(data)
        except httptools.HttpParserError as wrong:
            if not self._deaf:
                self._end(error(400, f"this is not HTTP/1.1: {wrong}", close=True))
        if self._in_head:
            # A read that also ended the message before is not counted: most of it may be a body.
            self._head_bytes += 0 if self._completed else len(data)
            if self._head_bytes > self._limits.max_headers:
                self._refuse_headers()
        self._pump()

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                data = self._without_upgrade(data[upgrade.args[0] :])
            else:
                return

    def _without_upgrade(self, rest: bytes) -> bytes:
        """What to parse instead: the parser ends a message at an offer to upgrade, before its body.

        Java's client makes the offer with each first request; it is declined by not taking it up.
        """
        request = self._queue.pop() if not self._deaf else None
        if not isinstance(request, Request):
            return b""
        if request.method == b"CONNECT":
            self._end(error(405, "this is no proxy", close=True))
            return b""
        request.headers.pop(b"expect", None)
        lines = b"".join(b"%s: %s\r\n" % header for header in request.headers.items())
        self._parser = httptools.HttpRequestParser(self)
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (request.method, request.target, lines, rest)

    def eof_received(self) -> bool:
        if self._busy is None and not self._queue:
            return False
        self._deaf = self._ended = True
        return True

    def pause_writing(self) -> None:
        self._writable = False
        self._since = self._listener.now

    def resume_writing(self) -> None:
        self._writable = True
        self._since = self._listener.now
        self._pump()

    # ---- the parser's calls

    def on_message_begin(self) -> None:
        if self._deaf:
            return
        self._current = Request()
        self._in_head = True
        self._head_bytes = self._head_size = 0
        self._since = self._listener.now

    def on_url(self, url: bytes) -> None:
        if self._current is not None:
            self._current.target += url
            self._head_size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        name = name.lower()
        if name in _WANTED and self._current is not None:
            self._current.headers[name] = value

    def on_headers_complete(self) -> None:
        request = self._current
        if request is None:
            return
        self._in_head = False
        if self._head_size > self._limits.max_headers:
            self._refuse_headers()
            return
        request.method = self._parser.get_method()
        request.keep_alive = self._parser.should_keep_alive()
        request.old = self._parser.get_http_version() == "1.0"
        headers = request.headers
        length = int(headers.get(b"content-length", b"0"))
        if length > self._limits.max_body:
            self._refuse_size()
        elif length > self._limits.check_first or b"transfer-encoding" in headers or b"expect" in headers:
            self._check_first(request)

    def on_body(self, chunk: bytes) -> None:
        request = self._current
        if request is None:
            return
        request.size += len(chunk)
        self._listener.held += len(chunk)
        if request.size > self._limits.max_body:
            self._refuse_size()
        elif self._listener.held > self._limits.max_bodies:
            self._end(error(503, "the server holds too many large requests", close=True))
        else:
            self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        request = self._current
        if request is None:
            return
        chunks = self._chunks
        if chunks:
            request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
            self._chunks = []
        self._current = None
        self._completed = True
        self._queue.append(request)

    # ---- refusing early

    def _check_first(self, request: Request) -> None:
        """Refuse by the headers what would be refused anyway, before its body takes memory."""
        expect = request.headers.get(b"expect", b"").lower()
        if expect not in (b"", b"100-continue"):
            self._end(error(417, "Expect can only be 100-continue", close=True))
            return
        refused = self._app.refuse(request)
        if refused is not None:
            refused.close = True
            self._end(refused)
        elif (
            expect
            and not request.old
            and self._transport is not None
            and self._busy is None
            and not self._queue
        ):
            self._transport.write(_CONTINUE)

    def _refuse_headers(self) -> None:
        text = f"the headers are over the limit of {self._limits.max_headers} bytes"
        self._end(error(431, text, close=True))

    def _refuse_size(self) -> None:
        text = f"the body is over the limit of {self._limits.max_body} bytes"
        self._end(error(413, text, close=True))

    def _end(self, response: Response) -> None:
        """Read no more requests; after those before it, send this and close."""
        self._deaf = True
        self._in_head = False
        if self._current is not None:
            self._listener.held -= self._current.size
            self._current = None
            self._chunks.clear()
        self._queue.append(response)

    # ---- answering

    def _pump(self) -> None:
        """Answer what is queued, as far as it goes at once."""
        out: list[bytes] = []
        room = _BATCH
        while self._queue and self._busy is None and self._writable and room:
            room -= 1
            item = self._queue.popleft()
            if isinstance(item, Response):
                self._write(out, item, None)
                break
            reply = self._ask(item)
            if isinstance(reply, Response):
                self._write(out, reply, item)
            else:
                self._busy = item
                reply.add_done_callback(self._finished)
        transport = self._transport
        if transport is None:
            return
        if out:
            transport.writelines(out)
        if self._ended and not self._queue and self._busy is None:
            self._close()
        elif self._queue and not room and not self._scheduled:
            # Other connections get their turn before this one's pipeline goes on.
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._resume)
        self._throttle(transport)

    def _resume(self) -> None:
        self._scheduled = False
        self._pump()

    def _ask(self, request: Request) -> Response | asyncio.Future[Response]:
        try:
            return self._app.handle(request)
        except Exception:
            log.exception("%s", request.target[:200])
            return error(500, "the server failed at this request; its log tells why")

    def _finished(self, reply: asyncio.Future[Response]) -> None:
        request, self._busy = self._busy, None
        assert request is not None
        if self._transport is None:
            self._listener.held -= request.size
            return
        out: list[bytes] = []
        self._write(out, reply.result(), request)
        self._transport.writelines(out)
        self._pump()

    def _write(self, out: list[bytes], response: Response, request: Request | None) -> None:
        """Append the bytes of an answer, and note whether the connection ends with it."""
        old = False
        keep = not response.close and not self._listener.draining
        if request is not None:
            self._listener.held -= request.size
            keep = keep and request.keep_alive
            old = request.old
        body = response.body
        connection = ("Connection: keep-alive\r\n" if old else "") if keep else (
            "Connection: close\r\n"
        )  # fmt: skip
        head = (
            f"{_STATUS[response.status]}Content-Type: {response.kind}\r\n"
            f"Content-Length: {len(body)}\r\n{self._listener.date}{response.extra}{connection}\r\n"
        ).encode("latin-1")
        if request is not None and request.method == b"HEAD":
            out.append(head)
        elif len(body) < _SPLIT:
            out.append(head + body)
        else:
            out.extend((head, body))
        self._since = self._listener.now
        if not keep:
            self._ended = self._deaf = True
            self._queue.clear()

    def _throttle(self, transport: asyncio.Transport) -> None:
        """Read on only when what was read is answered: a client cannot fill the memory."""
        wanted = not self._queue and self._busy is None and self._writable
        if wanted != self._reading and not transport.is_closing():
            self._reading = wanted
            if wanted:
                transport.resume_reading()
            else:
                transport.pause_reading()

    # ---- closing

    def _close(self) -> None:
        """Send what is left, then close; the client may still be sending and has to read first."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        self._since = self._listener.now
        if transport.can_write_eof():
            transport.write_eof()
        else:
            transport.close()

    def drain(self) -> None:
        """Close now when idle, else after the answers that are due."""
        if self._transport and not (self._queue or self._busy or self._current):
            self._transport.close()

    def abort(self) -> None:
        """Drop the client."""
        if self._transport is not None:
            self._transport.abort()

    def sweep(self, now: float) -> None:
        """Enforce the time limits; called about each half second."""
        transport, limits = self._transport, self._limits
        if transport is None or self._busy is not None:
            return
        age = now - self._since
        if not self._writable:
            if age > limits.write_time:
                transport.abort()
        elif self._ended:
            if age > limits.linger_time:
                transport.abort()
        elif self._in_head:
            if age > limits.head_time:
                self._time_out("the headers took too long")
        elif self._current is not None:
            if age > limits.body_time + self._current.size / limits.body_rate:
                self._time_out("the body came too slowly")
        elif age > limits.idle_time:
            transport.close()

    def _time_out(self, text: str) -> None:
        self._end(error(408, text, close=True))
        self._pump()
