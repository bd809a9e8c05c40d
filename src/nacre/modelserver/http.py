"""HTTP/1.1 as an asyncio protocol: order of answers, flow, timeouts; ``reading`` has the requests.

It knows nothing of inference: an ``App`` turns a ``Request`` into a ``Response``, at once or as a
future. On one connection requests are answered one after the other, in their order.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from nacre.modelserver.messages import Request, Response, Stream, error
from nacre.modelserver.reading import Reader
from nacre.modelserver.streaming import Sender

if TYPE_CHECKING:
    from nacre.modelserver.listener import Listener

log = logging.getLogger(__name__)

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""With this, clients of HTTP/2 begin (RFC 9113, section 3.4)."""
_BATCH = 32
_STATUS = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}
_CLOSE = "Connection: close\r\n"
_KEEP = "Connection: keep-alive\r\n"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_SPLIT = 64 * 1024


class Connection(Reader, asyncio.Protocol):
    """One client. Bounded by the listener's limits in memory and time."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(listener)
        self._transport: asyncio.Transport | None = None
        self._busy: Request | None = None
        self._sender: Sender | None = None
        """While an answer comes in parts; ``_busy`` is its request."""
        self._ended = False
        self._reading = True
        self._writable = True
        self._scheduled = False

    @property
    def idle(self) -> bool:
        """Whether nothing of a request has come, and no answer is due."""
        return not (self._queue or self._current or self._in_head or self._ended) and self._busy is None

    # ---- the transport's calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if not self._listener.register(self):
            text = "too many connections: try again in a moment"
            self.end(error(503, text, close=True))
            self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._sender is not None:
            self._sender.stop()
        elif self._busy is not None and self._busy.cancel is not None:
            self._busy.cancel()
        self._listener.forget(self)
        held = [self._current, *(item for item in self._queue if isinstance(item, Request))]
        self._listener.held -= sum(request.size for request in held if request)
        self._queue.clear()
        self._current = None
        self._chunks.clear()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        if (
            self._busy is not None
            and self._sender is None
            and self._reading
            and self._transport is not None
        ):
            # The next request waits in the socket: a client cannot fill the memory.
            self._reading = False
            self._transport.pause_reading()
        self.read(data)
        self._pump()

    def go_on(self) -> None:
        if self._transport is not None and self._busy is None and not self._queue:
            self._transport.write(_CONTINUE)

    def is_other(self, data: bytes) -> bool:
        """Whether a client began in HTTP/2, which the parser stops at; if so it is handed over."""
        transport, http2 = self._transport, self._listener.http2
        if transport is None or http2 is None or self._parser.get_method() != b"PRI":
            return False
        known = next((n for n in range(len(PREFACE), 0, -1) if data.startswith(PREFACE[-n:])), 0)
        if not known or self._queue or self._busy is not None:
            return False
        self._deaf = True
        self._in_head = False
        self._transport = self._current = None
        http2.take(transport, PREFACE + data[known:])
        self._listener.forget(self)
        return True

    def eof_received(self) -> bool:
        if self._sender is not None:
            self._sender.stop()
            return False
        if self._busy is None and not self._queue:
            return False
        self._deaf = self._ended = True
        return True

    def pause_writing(self) -> None:
        self._writable = False
        self.since = self._listener.now
        if self._sender is not None:
            self._sender.pause()

    def resume_writing(self) -> None:
        self._writable = True
        self.since = self._listener.now
        if self._sender is not None:
            self._sender.resume()
        self._pump()

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
                continue
            self._busy = item
            if reply is not None:
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

    def _ask(self, request: Request) -> Response | asyncio.Future[Response] | None:
        request.respond = self._respond
        try:
            return self._app.handle(request)
        except Exception:
            log.exception("%s", request.target[:200])
            return error(500, "the server failed at this request; its log tells why")

    def _finished(self, reply: asyncio.Future[Response]) -> None:
        self._respond(reply.result())

    def _respond(self, response: Response) -> None:
        """The answer to the request that is waited for."""
        request, self._busy = self._busy, None
        assert request is not None
        # These lead back to the request: without them it is freed now, and not by the garbage collector.
        request.cancel = request.respond = None
        if self._transport is None:
            self._listener.held -= request.size
            if isinstance(response, Stream):
                response.cancel()
            return
        if isinstance(response, Stream):
            self._begin(response, request, self._transport)
            return
        out: list[bytes] = []
        self._write(out, response, request)
        self._transport.writelines(out)
        if self._queue or self._ended or not self._reading:
            self._pump()

    def _begin(self, stream: Stream, request: Request, transport: asyncio.Transport) -> None:
        """Answer in parts. What follows on this connection waits; the client's end is watched."""
        self._listener.held -= request.size
        keep = request.keep_alive and not request.old and not self._listener.draining
        framing = "" if request.old else "Transfer-Encoding: chunked\r\n"
        head = (
            f"{_STATUS[stream.status]}Content-Type: {stream.kind}\r\n{framing}"
            f"{self._listener.date}{stream.extra}{'' if keep else _CLOSE}\r\n"
        )
        transport.write(head.encode("latin-1"))
        self._busy = request
        self._sender = Sender(stream, transport, not request.old, partial(self._streamed, keep))
        if not self._writable:
            self._sender.pause()
        self._throttle(transport)

    def _streamed(self, keep: bool, whole: bool) -> None:
        self._sender = self._busy = None
        self.since = self._listener.now
        if not (keep and whole):
            self._ended = self._deaf = True
            self._queue.clear()
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
        connection = (_KEEP if old else "") if keep else _CLOSE
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
        self.since = self._listener.now
        if not keep:
            self._ended = self._deaf = True
            self._queue.clear()

    def _throttle(self, transport: asyncio.Transport) -> None:
        """Read on only when what was read is answered: a client cannot fill the memory."""
        idle = self._busy is None or self._sender is not None
        wanted = not self._queue and self._writable and (idle or self._reading)
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
        self.since = self._listener.now
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
        if self._sender is not None:
            self._sender.sweep(now, limits.write_time)
        if transport is None or self._busy is not None:
            return
        age = now - self.since
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
        self.end(error(408, text, close=True))
        self._pump()
