"""One call: its messages, from their bytes to their answers, and the times it may take."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from nacre.modelserver.backend import Refused
from nacre.modelserver.bodies import CODINGS, decompress
from nacre.modelserver.calls import BadRequest
from nacre.modelserver.grpc import heads
from nacre.modelserver.grpc.caller import Caller
from nacre.modelserver.grpc.heads import Head
from nacre.modelserver.grpc.http2 import CANCEL, FLOW_CONTROL_ERROR, PREFIX, window
from nacre.modelserver.grpc.methods import Cancel, Method
from nacre.modelserver.grpc.status import status_of
from nacre.modelserver.limits import MIB

if TYPE_CHECKING:
    from nacre.modelserver.grpc.connection import Connection

STOPS = Refused(503, "the server stops: try again in a moment")
_NO_ANSWER = Refused(504, "there was no answer within the call's deadline")
WINDOW = MIB
"""Bytes that a client may send on a call before we took any of them."""


class Rpc:
    """A call, from its headers until its last byte has been sent. It has callbacks only, no task."""

    __slots__ = (
        *("answering", "ended", "number", "queued", "trailers", "unsent", "window"),
        *("_asked", "_begun", "_buffer", "_busy", "_caller", "_connection", "_encoding"),
        *("_entered", "_held", "_messages", "_method", "_over", "_owed", "_server", "_since", "_unsent"),
    )

    def __init__(self, connection: Connection, number: int, head: Head, method: Method) -> None:
        self.number = number
        self.ended = False
        """Whether the client has sent all."""
        # the sender's:
        self.window = connection.sender.first_window
        self.answering = False
        """Whether the headers of the answer are sent."""
        self.queued = False
        self.unsent: memoryview | None = None
        self.trailers: bytes | None = None

        self._connection = connection
        self._server = connection.server
        self._method = method
        self._encoding = head.encoding
        self._begun = self._since = connection.now
        deadline = None if head.timeout is None else self._server.loop.time() + head.timeout
        self._caller = Caller(self._server.asking, head.authorization, deadline)
        self._buffer = bytearray()
        self._messages: deque[bytes] = deque()
        self._owed = 0
        """Bytes that came since the client was last given leave to send more."""
        self._held = 0
        self._unsent: int | None = None
        """Bytes of an answer that waits to be sent."""
        self._entered = self._busy = False
        self._asked: Cancel | None = None
        self._over = False

    def begin(self, wrong: str | None) -> None:
        """Let it in, or refuse it by its headers."""
        try:
            if wrong is not None:
                raise Refused(400, wrong)
            if not self._method.open:
                self._caller.authenticate()
            self._server.enter(self, self._method.many)
            self._entered = True
        except Refused as refused:
            self.fail(refused)

    # ---- what comes

    def received(self, data: bytes, start: int, end: int, last: bool) -> None:
        """A part of its messages: ``data[start:end]``."""
        if self._over:
            self.ended = self.ended or last
            return
        size = end - start
        many = self._method.many
        if last and not many and not self._buffer and not self._messages and size >= PREFIX.size:
            compressed, length = PREFIX.unpack_from(data, start)
            if not compressed and length == size - PREFIX.size:
                self.ended = True
                self._ask(data[start + PREFIX.size : end])
                return
        self._since = self._connection.now
        self._owed += size
        if self._owed > WINDOW:
            self._connection.drop(self, FLOW_CONTROL_ERROR)
            return
        self._buffer += data[start:end]
        self._hold(size)
        self.ended = last
        try:
            self._server.check_held()
            self._take()
            if last:
                self._check_end()
        except (BadRequest, Refused) as wrong:
            self.fail(wrong)
            return
        self._go_on()

    def _take(self) -> None:
        """Take whole messages out of the buffer."""
        buffer = self._buffer
        while len(buffer) >= PREFIX.size:
            compressed, length = PREFIX.unpack_from(buffer)
            most = self._server.limits.max_body
            if length > most:
                raise Refused(413, f"a message of {length} bytes is over the limit of {most} bytes")
            end = PREFIX.size + length
            if len(buffer) < end:
                return
            if self._messages and not self._method.many:
                raise BadRequest("this method takes one message")
            with memoryview(buffer) as view:
                message = view[PREFIX.size : end].tobytes()
            if compressed:
                message = self._plain(message, most)
                self._hold(len(message) - length)
            self._messages.append(message)
            del buffer[:end]

    def _plain(self, message: bytes, most: int) -> bytes:
        """A message that came compressed."""
        if self._encoding == b"identity":
            raise BadRequest("a message says that it is compressed, and the call has no grpc-encoding")
        if self._encoding not in CODINGS:
            name = self._encoding.decode("latin-1")[:60]
            raise Refused(501, f"messages compressed by {name!r} cannot be read: use gzip, deflate or none")
        return decompress(message, self._encoding, most)

    def _check_end(self) -> None:
        if self._buffer:
            raise BadRequest("the call ended within a message")
        if not self._messages and not self._method.many:
            raise BadRequest("the call ended without a message")

    def _go_on(self) -> None:
        """Ask what can be asked now. The client may send more while nothing waits."""
        if self._over or self._busy or self.unsent:
            return
        many = self._method.many
        if many and self._connection.draining:
            self.fail(STOPS)
        elif self._messages and (many or self.ended):
            message = self._messages.popleft()
            if many:
                self._hold(-len(message) - PREFIX.size)
            self._ask(message)
        elif many and self.ended:
            self._finish(heads.DONE)
        if self._owed >= WINDOW // 2 and not (self._messages or self.ended or self._over):
            self._connection.write(window(self.number, self._owed))
            self._owed = 0

    # ---- what goes

    def _ask(self, message: bytes) -> None:
        self._busy = True
        self._server.arrived(self)
        method = self._method
        try:
            if method.tell is not None:
                self._answer(method.tell(self._caller, message))
                return
            assert method.ask is not None
            asked = method.ask(self._caller, message, self._answer)
        except Exception as wrong:
            self._answer(wrong)
            return
        if self._busy:
            self._asked = asked

    def _answer(self, outcome: bytes | Exception) -> None:
        self._busy = False
        self._asked = None
        if self._over:
            return
        if isinstance(outcome, Exception):
            self.fail(outcome)
            return
        sender, many = self._connection.sender, self._method.many
        if not many and sender.at_once(self, outcome):
            self.drop()
            return
        try:
            self._unsent = self._server.keep(len(outcome))
        except Refused as wrong:
            self.fail(wrong)
            return
        self._since = self._connection.now
        if not many:
            self._leave()
        sender.message(self, outcome)
        if not many:
            sender.end(self, heads.DONE)

    def moved(self) -> None:
        """A part of the answer was sent."""
        self._since = self._connection.now

    def sent(self, whole: bool) -> None:
        """What there was to send is sent. ``whole``: also the end of the call."""
        if whole:
            self.drop()
            return
        self._release()
        self._since = self._connection.now
        # Not here and now: many small messages of one call would keep all others waiting.
        self._server.loop.call_soon(self._go_on)

    def fail(self, wrong: Exception) -> None:
        """End with the status and sentence of what went wrong, in place of an answer or its rest."""
        self._finish(heads.trailers(*status_of(wrong)))

    def _finish(self, trailers: bytes) -> None:
        self._leave()
        self.unsent = None
        self._release()
        self._connection.sender.end(self, trailers)

    # ---- ends

    def drop(self) -> None:
        """Forget it: all is sent, or nobody waits for it any more."""
        self._leave()
        self.unsent = self.trailers = None
        self._release()
        self._connection.forget(self)

    def _leave(self) -> None:
        """From now on there is nothing but what is to be sent."""
        if self._over:
            return
        self._hold(-self._held)
        self._over = True
        self._messages.clear()
        self._buffer = bytearray()
        if self._entered:
            self._server.leave(self, self._method.many)
        if self._asked is not None:
            asked, self._asked = self._asked, None
            asked.cancel()

    def _hold(self, size: int) -> None:
        """Count bytes that are in memory; less where it is negative."""
        self._held += size
        self._server.listener.held += size

    def _release(self) -> None:
        """An answer does not wait any more."""
        if self._unsent is not None:
            self._server.let_go(self._unsent)
            self._unsent = None

    def drain(self) -> None:
        """The server stops: a stream that rests ends now."""
        if self._method.many:
            self._go_on()

    def sweep(self, now: float) -> None:
        """Enforce the time limits."""
        limits, since = self._server.limits, self._since
        if self.unsent or self.trailers is not None:
            if now - since > self._server.patience:
                self._connection.drop(self, CANCEL)
        elif self._over or self._busy:
            return
        elif self._caller.late(now):
            self.fail(_NO_ANSWER)
        elif not self._method.many:
            if now - self._begun > self._server.upload_time:
                self.fail(Refused(408, "the request came too slowly"))
        elif now - since > limits.idle_time:
            self.fail(Refused(408, f"the stream was idle for {limits.idle_time:.0f} s"))
