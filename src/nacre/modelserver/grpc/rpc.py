"""One call: its messages, from their bytes to their answers, and the times it may take."""

from __future__ import annotations

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
        *("_entered", "_held", "_message", "_method", "_most", "_over", "_owed"),
        *("_server", "_since", "_size"),
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
        limits = self._server.limits
        self._most = min(limits.check_first, limits.max_body) if method.open else limits.max_body
        """Bytes of a message: few of who needs no token."""
        self._begun = self._since = connection.now
        deadline = None if head.timeout is None else self._server.loop.time() + head.timeout
        self._caller = Caller(self._server.asking, head.authorization, deadline)
        self._buffer = bytearray()
        self._message: bytes | None = None
        """The next one, when it is whole."""
        self._size = 0
        """Bytes of the one under way."""
        self._owed = 0
        """Bytes that came since the client was last given leave to send more."""
        self._held = 0
        self._entered = self._busy = False
        self._asked: Cancel | None = None
        self._over = False

    def begin(self, head: Head) -> None:
        """Let it in, or refuse it by its headers."""
        try:
            if head.wrong is not None:
                raise Refused(400, head.wrong)
            if self._method.tell is None and self._method.ask is None:
                path = head.path.decode("latin-1")[:200]
                raise Refused(501, f"there is no method {path}")
            if not self._method.open:
                self._caller.authenticate()
            self._server.enter(self, self._method)
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
        if last and not self._buffer and size >= PREFIX.size and not self._method.many:
            compressed, length = PREFIX.unpack_from(data, start)
            whole = length == size - PREFIX.size <= self._most
            if whole and not compressed and self._message is None:
                self.ended = True
                self._ask(data[start + PREFIX.size : end])
                return
        self._since = self._connection.now
        self._owed += size
        if self._owed > WINDOW:
            self._connection.fault(self, FLOW_CONTROL_ERROR)
            return
        self._buffer += data[start:end]
        self._hold(size)
        self.ended = last
        self._go_on()

    def _go_on(self) -> None:
        """Ask what can be asked now. The client may send more when no whole message waits."""
        if self._over or self._busy or self.unsent:
            return
        try:
            self._server.check_held()
            self._take()
            if self._message is None and self.ended:
                self._check_end()
        except (BadRequest, Refused) as wrong:
            self.fail(wrong)
            return
        many = self._method.many
        if many and self._connection.draining:
            self.fail(STOPS)
        elif self._message is not None and (many or self.ended):
            message, self._message = self._message, None
            self._ask(message)
        elif many and self.ended:
            self._finish(heads.DONE)
        elif self._owed >= WINDOW // 2 and not self.ended:
            self._connection.write(window(self.number, self._owed))
            self._owed = 0

    def _take(self) -> None:
        """Take the next message out of the buffer, if it is whole. Raises what is wrong with it."""
        buffer = self._buffer
        if self._message is not None:
            if buffer:
                raise BadRequest("this method takes one message")
            return
        if len(buffer) < PREFIX.size:
            return
        compressed, length = PREFIX.unpack_from(buffer)
        if length > self._most:
            raise Refused(413, f"a message of {length} bytes is over the limit of {self._most} bytes")
        end = PREFIX.size + length
        if len(buffer) < end:
            return
        with memoryview(buffer) as view:
            message = view[PREFIX.size : end].tobytes()
        del buffer[:end]
        if compressed:
            message = self._plain(message)
        self._hold(len(message) - end)
        self._message = message
        if not self._method.many:
            self._take()

    def _plain(self, message: bytes) -> bytes:
        """A message that came compressed."""
        if self._encoding == b"identity":
            raise BadRequest("a message says that it is compressed, and the call has no grpc-encoding")
        if self._encoding not in CODINGS:
            name = self._encoding.decode("latin-1")[:60]
            raise Refused(501, f"messages compressed by {name!r} cannot be read: use gzip, deflate or none")
        return decompress(message, self._encoding, self._most)

    def _check_end(self) -> None:
        if self._buffer:
            raise BadRequest("the call ended within a message")
        if not self._method.many:
            raise BadRequest("the call ended without a message")

    # ---- what goes

    def _ask(self, message: bytes) -> None:
        self._busy = True
        self._size = len(message)
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
            self._server.keep(self, len(outcome))
        except Refused as wrong:
            self.fail(wrong)
            return
        self._since = self._connection.now
        if many:
            self._hold(-self._size)
        else:
            self._leave()
        sender.message(self, outcome)
        if not many:
            sender.end(self, heads.DONE)

    def moved(self) -> None:
        """A part of the answer was sent."""
        self._since = self._connection.now
        self._server.moved(self)

    def sent(self, whole: bool) -> None:
        """What there was to send is sent. ``whole``: also the end of the call."""
        if whole:
            self.drop()
            return
        self._server.let_go(self)
        self._since = self._connection.now
        # Not here and now: many small messages of one call would keep all others waiting.
        self._server.loop.call_soon(self._go_on)

    def fail(self, wrong: Exception) -> None:
        """End with the status and sentence of what went wrong, in place of an answer or its rest."""
        self._finish(heads.trailers(*status_of(wrong)))

    def _finish(self, trailers: bytes) -> None:
        self._leave()
        self.unsent = None
        self._server.let_go(self)
        self._connection.sender.end(self, trailers)

    def stall(self) -> None:
        """Its answer is not taken, and others need the room."""
        self._connection.drop(self, CANCEL)

    # ---- ends

    def drop(self) -> None:
        """Forget it: all is sent, or nobody waits for it any more."""
        self._leave()
        self.unsent = self.trailers = None
        self._server.let_go(self)
        self._connection.forget(self)

    def _leave(self) -> None:
        """From now on there is nothing but what is to be sent."""
        if self._over:
            return
        self._hold(-self._held)
        self._over = True
        self._message = None
        self._buffer = bytearray()
        if self._entered:
            self._server.leave(self, self._method)
        if self._asked is not None:
            asked, self._asked = self._asked, None
            asked.cancel()

    def _hold(self, size: int) -> None:
        """Count bytes that are in memory; less where it is negative."""
        self._held += size
        self._server.listener.held += size

    def drain(self) -> None:
        """The server stops: a stream that rests ends now."""
        if self._method.many:
            self._go_on()

    def sweep(self, now: float) -> None:
        """Enforce the time limits."""
        limits, since = self._server.limits, self._since
        if self.unsent or self.trailers is not None:
            if now - since > limits.idle_time:
                self.stall()
        elif self._over or self._busy:
            return
        elif self._caller.late(now):
            self.fail(_NO_ANSWER)
        elif not self._method.many:
            if now - self._begun > self._server.upload_time:
                self.fail(Refused(408, "the request came too slowly"))
        elif now - since > limits.idle_time:
            self.fail(Refused(408, f"the stream was idle for {limits.idle_time:.0f} s"))
