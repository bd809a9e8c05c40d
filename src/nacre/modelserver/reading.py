"""From bytes to requests: HTTP/1.1 parsed within the limits, and what is refused before it is read."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import httptools

from nacre.modelserver.messages import Request, Response, error

if TYPE_CHECKING:
    from nacre.modelserver.listener import Listener

# The only headers anybody asks for; others are parsed and forgotten.
_WANTED = frozenset(
    {
        b"accept",
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"inference-header-content-length",
        b"origin",
        b"transfer-encoding",
    }
)
_FRAMING = 10
"""Times the size of a body that its chunks may take; the smallest ones take six."""


class Reader:
    """Puts the requests of one connection, or what refuses them, into ``_queue``.

    Nothing is read after a refusal (``_deaf``): the answer to it ends the connection.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._limits = listener.limits
        self._app = listener.app
        self._heads = listener.heads
        self._parser = httptools.HttpRequestParser(self)
        self._queue: deque[Request | Response] = deque()
        self._current: Request | None = None
        """The request that is being read."""
        self._chunks: list[bytes] = []
        self._in_head = False
        self._completed = False
        """Whether the last read ended a message."""
        self._head_size = 0
        self._head_bytes = 0
        self._framing = 0
        """Bytes read of a body with its chunks' frames, extensions and trailers."""
        self._deaf = False
        self.since = listener.now
        """When the state that a timeout watches began."""

    def go_on(self) -> None:
        """Tell a client that waits for it to send its body."""
        raise NotImplementedError

    def is_other(self, data: bytes) -> bool:
        """Whether what cannot be parsed is another protocol, which goes on elsewhere."""
        raise NotImplementedError

    def read(self, data: bytes) -> None:
        """Take one read apart, unless it is a whole request like one before."""
        if self._current is None:
            request = self._heads.find(data)
            if request is not None and self._listener.held + request.size <= self._limits.max_bodies:
                self._listener.held += request.size
                self._queue.append(request)
                return
        self._parse(data)

    def _parse(self, data: bytes) -> None:
        before = self._current
        in_body = not self._in_head
        parser = self._parser
        self._completed = False
        try:
            self._feed(data)
        except httptools.HttpParserError as wrong:
            if not self._deaf and not self.is_other(data):
                self.end(error(400, f"this is not HTTP/1.1: {wrong}", close=True))
        if self._in_head:
            # A read that also ended the message before is not counted: most of it may be a body.
            self._head_bytes += 0 if self._completed else len(data)
            if self._head_bytes > self._limits.max_headers:
                self._refuse_headers()
        elif before is None:
            last = self._queue[-1] if self._queue else None
            if self._completed and parser is self._parser and isinstance(last, Request):
                self._heads.learn(data, last)
        elif in_body and before is self._current:
            self._framing += len(data)
            if self._framing > self._limits.max_headers + _FRAMING * before.size:
                self._refuse_headers()

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
            self.end(error(405, "this is no proxy", close=True))
            return b""
        request.headers.pop(b"expect", None)
        lines = b"".join(b"%s: %s\r\n" % header for header in request.headers.items())
        self._parser = httptools.HttpRequestParser(self)
        return b"%s %s HTTP/1.1\r\n%s\r\n%s" % (request.method, request.target, lines, rest)

    # ---- the parser's calls

    def on_message_begin(self) -> None:
        if self._deaf:
            return
        self._current = Request()
        self._in_head = True
        self._head_bytes = self._head_size = 0
        self.since = self._listener.now

    def on_url(self, url: bytes) -> None:
        if self._current is not None:
            self._current.target += url
            self._head_size += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_size += len(name) + len(value)
        name = name.lower()
        # In a body these are trailers: counted, and of no meaning.
        if self._in_head and name in _WANTED and self._current is not None:
            self._current.headers[name] = value

    def on_headers_complete(self) -> None:
        request = self._current
        if request is None:
            return
        self._in_head = False
        if self._head_size > self._limits.max_headers:
            self._refuse_headers()
            return
        self._framing = 0
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
            self.end(error(503, "the server holds too many large requests", close=True))
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
            self.end(error(417, "Expect can only be 100-continue", close=True))
            return
        refused = self._app.refuse(request)
        if refused is not None:
            refused.close = True
            self.end(refused)
        elif expect and not request.old:
            self.go_on()

    def _refuse_headers(self) -> None:
        text = f"the headers or trailers are over the limit of {self._limits.max_headers} bytes"
        self.end(error(431, text, close=True))

    def _refuse_size(self) -> None:
        text = f"the body is over the limit of {self._limits.max_body} bytes"
        self.end(error(413, text, close=True))

    def end(self, response: Response) -> None:
        """Read no more requests; after those before it, send this and close."""
        self._deaf = True
        self._in_head = False
        if self._current is not None:
            self._listener.held -= self._current.size
            self._current = None
            self._chunks.clear()
        self._queue.append(response)
