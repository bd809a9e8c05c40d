"""A client of HTTP/2: its frames, in order and within bounds (RFC 9113)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from nacre.modelserver.grpc import heads, http2
from nacre.modelserver.grpc.heads import Head, HeadReader, Malformed
from nacre.modelserver.grpc.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    HEAD,
    HEADERS,
    NO_ERROR,
    PADDED,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    WITH_PRIORITY,
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
_MOST_IDLE = 10_000
"""Frames a tick that ask for nothing, or take something back."""
_MOST_RESETS = 1000
"""Calls a tick that the client ends by itself."""
_MOST_PIECES = 64
"""Frames of one call's headers."""
_STREAM = 0x7FFFFFFF
_NO_METHOD = Method(open=True)


class Connection(asyncio.Protocol):
    """One client, from its preface on. ``draining``: it may begin no more calls."""

    def __init__(self, server: Server, transport: asyncio.Transport, data: bytes) -> None:
        """``data``: what it has sent, the preface or more."""
        self.server = server
        self.sender = Sender(transport)
        self.draining = False
        self._listener = server.listener
        self._transport: asyncio.Transport | None = transport
        self._heads = HeadReader(server.limits.max_headers)
        self._rpcs: dict[int, Rpc] = {}
        self._rest = b""
        self._last = 0
        """The highest stream so far."""
        self._greeted = False
        """Whether the client's settings have come."""
        self._block: list[bytes] = []
        """The pieces of headers of which more has to come, for this stream, with these flags."""
        self._block_of = self._block_flags = 0
        self._taken = 0
        """Bytes of data since the client was last given leave to send more."""
        self._idle = self._resets = 0
        """Frames since the last tick, of which there may not be any number."""
        self.since = self._full_since = self.now
        """When something came last; when the client last took something."""
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
    def idle(self) -> bool:
        """Whether no call is under way."""
        return not self._rpcs

    # ---- the transport's calls

    def data_received(self, data: bytes) -> None:
        if self._transport is None:
            return
        self.since = self.now
        self._pinged = None
        if self._rest:
            data = self._rest + data
        try:
            at = self._frames(data)
        except Fault as fault:
            self._end(fault.code, str(fault))
            return
        self._rest = data[at:]

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._listener.forget(self)
        for rpc in list(self._rpcs.values()):
            rpc.drop()

    def pause_writing(self) -> None:
        self.sender.writable = False
        self._full_since = self.now
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.sender.writable = True
        self.sender.pump()
        if self.sender.writable and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def write(self, data: bytes) -> None:
        """Frames that need no leave."""
        if self._transport is not None:
            self._transport.write(data)

    # ---- frames

    def _frames(self, data: bytes) -> int:
        """Take the frames that are whole; where the rest begins. Raises ``Fault``."""
        at, size = 0, len(data)
        while size - at >= HEAD.size:
            high, low, kind, flags, stream = HEAD.unpack_from(data, at)
            length = high << 16 | low
            if length > http2.MAX_FRAME:
                raise Fault(FRAME_SIZE_ERROR, "a frame is over the limit of 16384 bytes")
            start = at + HEAD.size
            end = start + length
            if end > size:
                break
            at = end
            stream &= _STREAM
            if self._block and (kind != CONTINUATION or stream != self._block_of):
                raise Fault(PROTOCOL_ERROR, "headers are interrupted")
            if not self._greeted and kind != http2.SETTINGS:
                raise Fault(PROTOCOL_ERROR, "the first frame has to be SETTINGS")
            if kind == DATA:
                self._data(stream, flags, data, start, end)
            elif kind == HEADERS:
                self._headers(stream, flags, data[start:end])
            else:
                if kind != CONTINUATION:
                    self._idle_frame()
                take = _TAKES.get(kind)
                if take is not None:
                    take(self, flags, stream, data[start:end])
            if self._transport is None or self._transport.is_closing():
                return size
        return at

    def _data(self, stream: int, flags: int, data: bytes, start: int, end: int) -> None:
        size = end - start
        self._taken += size
        if self._taken >= _WINDOW // 2:
            self.write(http2.window(0, self._taken))
            self._taken = 0
        if flags & PADDED:
            end -= data[start] if size else 0
            start += 1
            if end < start:
                raise Fault(PROTOCOL_ERROR, "a frame has more padding than bytes")
        rpc = self._rpcs.get(stream)
        if rpc is None:
            self._known(stream)
            return
        if rpc.ended:
            raise Fault(http2.STREAM_CLOSED, "data comes after its end")
        last = bool(flags & END_STREAM)
        if end - start < size and not last:
            self.write(http2.window(stream, size - (end - start)))  # padding is taken at once
        if start == end and not last:
            self._idle_frame()
        rpc.received(data, start, end, last)

    def _headers(self, stream: int, flags: int, payload: bytes) -> None:
        start, end = 0, len(payload)
        if flags & PADDED:
            if not payload:
                raise Fault(FRAME_SIZE_ERROR, "a frame is too short")
            start, end = 1, end - payload[0]
        if flags & WITH_PRIORITY:
            start += 5
        if end < start:
            raise Fault(PROTOCOL_ERROR, "a frame has more padding than bytes")
        if not stream & 1:
            raise Fault(PROTOCOL_ERROR, "a client's calls have odd numbers")
        block = payload[start:end]
        if flags & END_HEADERS:
            self._begin(stream, flags, block)
        else:
            self._block, self._block_of, self._block_flags = [block], stream, flags

    def _continuation(self, flags: int, _: int, payload: bytes) -> None:
        if not self._block:
            raise Fault(PROTOCOL_ERROR, "nothing is to be continued")
        self._block.append(payload)
        size = sum(map(len, self._block))
        if size > self.server.limits.max_headers or len(self._block) > _MOST_PIECES:
            raise Fault(ENHANCE_YOUR_CALM, "the headers are too long")
        if flags & END_HEADERS:
            block, self._block = b"".join(self._block), []
            self._begin(self._block_of, self._block_flags, block)

    def _begin(self, stream: int, flags: int, block: bytes) -> None:
        """All headers of a call are there; or those that come after its data."""
        if stream <= self._last:
            self._heads.skip(block)
            self._trailers(stream, flags)
            return
        self._last = stream
        try:
            head = self._heads.read(block)
        except Malformed:
            self.write(http2.reset(stream, PROTOCOL_ERROR))
            return
        ended = bool(flags & END_STREAM)
        if self.draining or len(self._rpcs) >= MOST_CALLS:
            self.write(http2.reset(stream, REFUSED_STREAM))
        elif head.refused is not None:
            self._no_grpc(stream, head, ended)
        else:
            rpc = Rpc(self, stream, head, self.server.method(head.path) or _NO_METHOD)
            self._rpcs[stream] = rpc
            rpc.begin(head)
            if ended and stream in self._rpcs:
                rpc.received(b"", 0, 0, last=True)

    def _trailers(self, stream: int, flags: int) -> None:
        """Headers of a call that has begun: they end it."""
        rpc = self._rpcs.get(stream)
        if rpc is None:
            self._idle_frame()
        elif rpc.ended or not flags & END_STREAM:
            self.fault(rpc, PROTOCOL_ERROR)
        else:
            rpc.received(b"", 0, 0, last=True)

    def _no_grpc(self, stream: int, head: Head, ended: bool) -> None:
        assert head.refused is not None
        self.write(self.sender.headers(stream, END_STREAM, heads.no_grpc(head.refused)))
        if not ended:
            self.write(http2.reset(stream, NO_ERROR))

    def _reset(self, _: int, stream: int, payload: bytes) -> None:
        _number(payload)
        self._known(stream)
        self._count_reset()
        if stream in self._rpcs:
            self._rpcs[stream].drop()

    def _count_reset(self) -> None:
        self._resets += 1
        if self._resets > _MOST_RESETS:
            raise Fault(ENHANCE_YOUR_CALM, "too many calls are ended")

    def _ping(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Fault(PROTOCOL_ERROR, "PING is the connection's")
        if len(payload) != 8:
            raise Fault(FRAME_SIZE_ERROR, "PING has eight bytes")
        if not flags & http2.ACK:
            self.write(http2.frame(http2.PING, http2.ACK, 0, payload))

    def _goaway(self, _: int, stream: int, __: bytes) -> None:
        if stream:
            raise Fault(PROTOCOL_ERROR, "GOAWAY is the connection's")

    def _priority(self, _: int, stream: int, payload: bytes) -> None:
        if not stream:
            raise Fault(PROTOCOL_ERROR, "PRIORITY is a call's")
        if len(payload) != 5:
            raise Fault(FRAME_SIZE_ERROR, "PRIORITY has five bytes")

    def _push(self, *_: object) -> None:
        raise Fault(PROTOCOL_ERROR, "a client cannot push")

    def _window(self, _: int, stream: int, payload: bytes) -> None:
        size = _number(payload) & _STREAM
        if stream:
            self._known(stream)
        if not size:
            raise Fault(PROTOCOL_ERROR, "a window grows by 1 or more")
        if not stream:
            self.sender.allow(size)
        elif stream in self._rpcs:
            rpc = self._rpcs[stream]
            rpc.window += size
            if rpc.window > http2.MOST_WINDOW:
                self.fault(rpc, FLOW_CONTROL_ERROR)
            elif rpc.unsent:
                self.sender.turn(rpc)

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Fault(PROTOCOL_ERROR, "settings are the connection's")
        if len(payload) % http2.SETTING.size or (flags & http2.ACK and payload):
            raise Fault(FRAME_SIZE_ERROR, "SETTINGS has pairs of six bytes")
        if flags & http2.ACK:
            return
        self._greeted = True
        values = dict(http2.SETTING.iter_unpack(payload))
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

    def _idle_frame(self) -> None:
        self._idle += 1
        if self._idle > _MOST_IDLE:
            raise Fault(ENHANCE_YOUR_CALM, "too many frames ask for nothing")

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
        self._rest = b""
        self._full_since = self.now
        if self._transport is not None:
            self._transport.close()

    # ---- the listener's calls

    def drain(self) -> None:
        """Take no more calls; close when those under way have ended."""
        if self.draining:
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
        self._idle = self._resets = 0
        if self._transport is None:
            return
        limits, silent = self.server.limits, now - self.since
        if self._transport.is_closing() or not self.sender.writable:
            if now - self._full_since > limits.write_time:
                self._transport.abort()
            return
        if (not self._greeted or self._block) and silent > limits.head_time:
            self._end(NO_ERROR, "the headers took too long")
            return
        if not self._rpcs:
            if silent > limits.idle_time:
                self._end(NO_ERROR)
            return
        for rpc in list(self._rpcs.values()):
            rpc.sweep(now)
        # A client that waits for a long answer has nothing to say: is it still there?
        if self._pinged is not None:
            if now - self._pinged > limits.write_time:
                self._transport.abort()
        elif silent > limits.idle_time:
            self._pinged = now
            self.write(http2.frame(http2.PING, 0, 0, b"still on"))


_TAKES: dict[int, Callable[[Connection, int, int, bytes], None]] = {
    CONTINUATION: Connection._continuation,
    http2.GOAWAY: Connection._goaway,
    http2.PING: Connection._ping,
    http2.PRIORITY: Connection._priority,
    http2.PUSH: Connection._push,
    http2.RESET: Connection._reset,
    http2.SETTINGS: Connection._settings,
    http2.WINDOW: Connection._window,
}
"""Other kinds are for extensions that there are not here (RFC 9113, section 5.5)."""


def _number(payload: bytes) -> int:
    if len(payload) != http2.NUMBER.size:
        raise Fault(FRAME_SIZE_ERROR, "a frame has another length than its kind")
    return int(http2.NUMBER.unpack(payload)[0])
