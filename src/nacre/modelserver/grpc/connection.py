"""A client of HTTP/2: its calls, what it allows, and its end (RFC 9113)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from nacre.modelserver.grpc import heads, http2
from nacre.modelserver.grpc.frames import Frames
from nacre.modelserver.grpc.heads import Head, HeadReader, Malformed
from nacre.modelserver.grpc.http2 import (
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    NO_ERROR,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    Fault,
)
from nacre.modelserver.grpc.methods import Method
from nacre.modelserver.grpc.rpc import WINDOW, Rpc
from nacre.modelserver.grpc.sender import Sender
from nacre.modelserver.http import PREFACE

if TYPE_CHECKING:
    from nacre.modelserver.grpc.server import Server

MOST_CALLS = 256
"""Calls of one connection at once."""
_WINDOW = 4 * WINDOW
"""Bytes that a client may send on the connection before we took any of them."""
_MOST_RESETS = 1000
"""Calls a tick that the client ends by itself."""
_NO_METHOD = Method(open=True)


class Connection(Frames):
    """One client, from its preface on. ``draining``: it may begin no more calls."""

    def __init__(self, server: Server, transport: asyncio.Transport, data: bytes) -> None:
        """``data``: what it has sent, the preface or more."""
        super().__init__(server.limits.max_headers)
        self.server = server
        self.sender = Sender(transport)
        self.draining = False
        self._listener = server.listener
        self._transport: asyncio.Transport | None = transport
        self._heads = HeadReader(server.limits.max_headers)
        self._rpcs: dict[int, Rpc] = {}
        self._last = 0
        """The highest stream so far."""
        self._taken = 0
        """Bytes of data since the client was last given leave to send more."""
        self._resets = 0
        """Since the last tick."""
        self.since = self._full_since = self._whole_since = self.now
        """When something came last; when the client last took something; when something was interrupted."""
        self._pinged: float | None = None
        """When the client was asked whether it is still there."""
        server.listener.register(self)
        transport.set_protocol(self)
        self.write(
            http2.settings(
                max_concurrent_streams=MOST_CALLS,
                initial_window_size=WINDOW,
                max_header_list_size=server.limits.max_headers,
            )
            + http2.window(0, _WINDOW - http2.FIRST_WINDOW)
        )
        self.data_received(data[len(PREFACE) :])

    @property
    def now(self) -> float:
        """The listener's clock."""
        return self._listener.now

    @property
    def open(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    @property
    def idle(self) -> bool:
        """Whether no call is under way."""
        return not self._rpcs

    # ---- the transport's calls

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self.since = self.now
        if not self.interrupted:
            self._whole_since = self.now
        self._pinged = None
        try:
            self.take(data)
        except Fault as fault:
            self._end(fault.code, str(fault))

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._listener.forget(self)
        for rpc in list(self._rpcs.values()):
            rpc.drop()

    def pause_writing(self) -> None:
        self.sender.writable = False
        self._full_since = self.now
        if self._transport is not None and self.open:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.sender.writable = True
        self.sender.pump()
        if self.sender.writable and self._transport is not None and self.open:
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Frames that need no leave."""
        if self._transport is not None:
            self._transport.write(data)

    # ---- frames

    def take_data(self, stream: int, data: bytes, start: int, end: int, padding: int, last: bool) -> None:
        self._taken += end - start + padding
        if self._taken >= _WINDOW // 2:
            self.write(http2.window(0, self._taken))
            self._taken = 0
        rpc = self._rpcs.get(stream)
        if rpc is None:
            self._known(stream)
            return
        if rpc.ended:
            raise Fault(http2.STREAM_CLOSED, "data comes after its end")
        if padding and not last:
            self.write(http2.window(stream, padding))
        rpc.received(data, start, end, last)

    def take_headers(self, stream: int, block: bytes, last: bool) -> None:
        if stream <= self._last:
            self._heads.skip(block)
            self._trailers(stream, last)
            return
        self._last = stream
        try:
            head = self._heads.read(block)
        except Malformed:
            self.write(http2.reset(stream, PROTOCOL_ERROR))
            return
        if self.draining or len(self._rpcs) >= MOST_CALLS:
            self.write(http2.reset(stream, REFUSED_STREAM))
        elif head.refused is not None:
            self._no_grpc(stream, head, last)
        else:
            rpc = Rpc(self, stream, head, self.server.method(head.path) or _NO_METHOD)
            self._rpcs[stream] = rpc
            rpc.begin(head)
            if last and stream in self._rpcs:
                rpc.received(b"", 0, 0, last=True)

    def _trailers(self, stream: int, last: bool) -> None:
        """Headers of a call that has begun: they end it."""
        rpc = self._rpcs.get(stream)
        if rpc is None:
            self.idle_frame()
        elif rpc.ended or not last:
            self.fault(rpc, PROTOCOL_ERROR)
        else:
            rpc.received(b"", 0, 0, last=True)

    def _no_grpc(self, stream: int, head: Head, ended: bool) -> None:
        assert head.refused is not None
        self.write(self.sender.headers(stream, END_STREAM, heads.no_grpc(head.refused)))
        if not ended:
            self.write(http2.reset(stream, NO_ERROR))

    def take_reset(self, stream: int) -> None:
        self._known(stream)
        self._count_reset()
        if stream in self._rpcs:
            self._rpcs[stream].drop()

    def _count_reset(self) -> None:
        self._resets += 1
        if self._resets > _MOST_RESETS:
            raise Fault(ENHANCE_YOUR_CALM, "too many calls are ended")

    def take_window(self, stream: int, size: int) -> None:
        if stream:
            self._known(stream)
        if not stream:
            self.sender.allow(size)
        elif stream in self._rpcs:
            rpc = self._rpcs[stream]
            rpc.window += size
            if rpc.window > http2.MOST_WINDOW:
                self.fault(rpc, FLOW_CONTROL_ERROR)
            elif rpc.unsent:
                self.sender.turn(rpc)

    def take_settings(self, values: dict[int, int]) -> None:
        self._resize(values.get(http2.INITIAL_WINDOW_SIZE, self.sender.first_window))
        largest = values.get(http2.MAX_FRAME_SIZE, self.sender.max_frame)
        if not http2.MAX_FRAME <= largest < 2**24:
            raise Fault(PROTOCOL_ERROR, "the largest frame has to be from 16384 to 16777215 bytes")
        self.sender.set_max_frame(largest)
        self.sender.resized |= values.get(http2.HEADER_TABLE_SIZE, http2.FIRST_TABLE) < http2.FIRST_TABLE
        # First this: until then the client goes by its old settings.
        self.write(http2.frame(http2.SETTINGS, http2.ACK, 0))
        for rpc in list(self._rpcs.values()):
            if rpc.unsent:
                self.sender.turn(rpc)

    def _resize(self, first: int) -> None:
        """The windows of all calls grow by as much as the first one (RFC 9113, section 6.9.2)."""
        more = first - self.sender.first_window
        self.sender.first_window = first
        for rpc in self._rpcs.values() if more else ():
            rpc.window += more
            if rpc.window > http2.MOST_WINDOW:
                raise Fault(FLOW_CONTROL_ERROR, "a window is too large")
        if first > http2.MOST_WINDOW:
            raise Fault(FLOW_CONTROL_ERROR, "the first window is too large")

    def _known(self, stream: int) -> None:
        """A frame is about a call that there is or was."""
        if not stream & 1 or stream > self._last:
            raise Fault(PROTOCOL_ERROR, "a frame is about a call that has not begun")

    # ---- ends

    def forget(self, rpc: Rpc) -> None:
        """A call is over and sent."""
        self._rpcs.pop(rpc.number, None)
        if self.draining and not self._rpcs:
            self._close()

    def fault(self, rpc: Rpc, code: int) -> None:
        """End a call whose client breaks the protocol. Raises ``Fault`` when it does so very often."""
        self._count_reset()
        self.drop(rpc, code)

    def drop(self, rpc: Rpc, code: int) -> None:
        """End a call at once."""
        self.write(http2.reset(rpc.number, code))
        rpc.drop()

    def _end(self, code: int, text: str = "") -> None:
        """End the connection, and all calls."""
        self.write(http2.goaway(self._last, code, text))
        for rpc in list(self._rpcs.values()):
            rpc.drop()
        self._close()

    def _close(self) -> None:
        self._full_since = self.now
        if self._transport is not None:
            self._transport.close()

    # ---- the listener's calls

    def drain(self) -> None:
        """Take no more calls; close when those under way have ended."""
        if self.draining or not self.open:
            return
        self.draining = True
        self.write(http2.goaway(self._last, NO_ERROR))
        for rpc in list(self._rpcs.values()):
            rpc.drain()
        if not self._rpcs:
            self._close()

    def abort(self) -> None:
        """Drop the client."""
        if self._transport is not None:
            self._transport.abort()

    def sweep(self, now: float) -> None:
        """Enforce the time limits; called about each quarter second."""
        self.tick()
        self._resets = 0
        if self._transport is None:
            return
        limits, silent = self.server.limits, now - self.since
        if self._transport.is_closing() or not self.sender.writable:
            if now - self._full_since > limits.write_time:
                self._transport.abort()
            return
        if self.interrupted and now - self._whole_since > limits.head_time:
            self._end(NO_ERROR, "the headers took too long")
            return
        if not self._rpcs:
            if silent > limits.idle_time:
                self._end(NO_ERROR)
            return
        for rpc in list(self._rpcs.values()):
            rpc.sweep(now)
        if not self.open:
            return
        # A client that waits for a long answer has nothing to say: is it still there?
        if self._pinged is not None:
            if now - self._pinged > limits.write_time:
                self._transport.abort()
        elif silent > limits.idle_time:
            self._pinged = now
            self.write(http2.frame(http2.PING, 0, 0, b"still on"))
