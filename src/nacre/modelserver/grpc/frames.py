"""Frames of one client: each is whole, where it may be, and within bounds (RFC 9113, sections 4 and 6)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from nacre.modelserver.grpc import http2
from nacre.modelserver.grpc.http2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FRAME_SIZE_ERROR,
    HEAD,
    HEADERS,
    PADDED,
    PROTOCOL_ERROR,
    WITH_PRIORITY,
    Fault,
)

_MOST_IDLE = 10_000
"""Frames a tick that ask for nothing, or take something back."""
_MOST_PIECES = 64
"""Frames of one call's headers."""
_STREAM = 0x7FFFFFFF


class Frames(asyncio.Protocol):
    """Takes a client's bytes apart. What its frames mean is for the one who inherits."""

    def __init__(self, max_headers: int) -> None:
        self.greeted = False
        """Whether the client's settings have come."""
        self._max_headers = max_headers
        self._rest = b""
        self._block: list[bytes] = []
        """The pieces of headers of which more has to come, for this stream, with these flags."""
        self._block_of = self._block_flags = 0
        self._idle = 0

    # ---- for the one who inherits

    @property
    def open(self) -> bool:
        """Whether frames are still taken."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Frames that need no leave."""
        raise NotImplementedError

    def take_data(self, stream: int, data: bytes, start: int, end: int, padding: int, last: bool) -> None:
        """``data[start:end]`` for a stream. ``padding``: bytes that were only sent with it."""
        raise NotImplementedError

    def take_headers(self, stream: int, block: bytes, last: bool) -> None:
        """All headers of a stream, or those after its data; encoded."""
        raise NotImplementedError

    def take_reset(self, stream: int) -> None:
        """The client ends a stream."""
        raise NotImplementedError

    def take_settings(self, values: dict[int, int]) -> None:
        """What the client sets, by its number."""
        raise NotImplementedError

    def take_window(self, stream: int, size: int) -> None:
        """Leave to send more, on the connection where ``stream`` is 0."""
        raise NotImplementedError

    # ---- frames

    def take(self, data: bytes) -> None:
        """Take the frames that are whole; the rest waits for more. Raises ``Fault``."""
        if self._rest:
            data = self._rest + data
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
            if not self.greeted and kind != http2.SETTINGS:
                raise Fault(PROTOCOL_ERROR, "the first frame has to be SETTINGS")
            if kind == DATA:
                self._data(stream, flags, data, start, end)
            elif kind == HEADERS:
                self._headers(stream, flags, data[start:end])
            else:
                if kind != CONTINUATION:
                    self.idle_frame()
                take = _TAKES.get(kind)
                if take is not None:
                    take(self, flags, stream, data[start:end])
            if not self.open:
                return
        self._rest = data[at:]

    def _data(self, stream: int, flags: int, data: bytes, start: int, end: int) -> None:
        size = end - start
        if flags & PADDED:
            end -= data[start] if size else 0
            start += 1
            if end < start:
                raise Fault(PROTOCOL_ERROR, "a frame has more padding than bytes")
        last = bool(flags & END_STREAM)
        if start == end and not last:
            self.idle_frame()
        self.take_data(stream, data, start, end, size - (end - start), last)

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
            self.take_headers(stream, block, bool(flags & END_STREAM))
        else:
            self._block, self._block_of, self._block_flags = [block], stream, flags

    def _continuation(self, flags: int, _: int, payload: bytes) -> None:
        if not self._block:
            raise Fault(PROTOCOL_ERROR, "nothing is to be continued")
        self._block.append(payload)
        size = sum(map(len, self._block))
        if size > self._max_headers or len(self._block) > _MOST_PIECES:
            raise Fault(ENHANCE_YOUR_CALM, "the headers are too long")
        if flags & END_HEADERS:
            block, self._block = b"".join(self._block), []
            self.take_headers(self._block_of, block, bool(self._block_flags & END_STREAM))

    def _settings(self, flags: int, stream: int, payload: bytes) -> None:
        if stream:
            raise Fault(PROTOCOL_ERROR, "settings are the connection's")
        if len(payload) % http2.SETTING.size or (flags & http2.ACK and payload):
            raise Fault(FRAME_SIZE_ERROR, "SETTINGS has pairs of six bytes")
        if not flags & http2.ACK:
            self.greeted = True
            self.take_settings(dict(http2.SETTING.iter_unpack(payload)))

    def _window(self, _: int, stream: int, payload: bytes) -> None:
        size = _number(payload) & _STREAM
        if not size:
            raise Fault(PROTOCOL_ERROR, "a window grows by 1 or more")
        self.take_window(stream, size)

    def _reset(self, _: int, stream: int, payload: bytes) -> None:
        _number(payload)
        self.take_reset(stream)

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

    def idle_frame(self) -> None:
        """Count a frame that asks for nothing. Raises ``Fault``."""
        self._idle += 1
        if self._idle > _MOST_IDLE:
            raise Fault(ENHANCE_YOUR_CALM, "too many frames ask for nothing")

    @property
    def interrupted(self) -> bool:
        """Whether something is due that cannot wait for long: first settings, the rest of headers."""
        return not self.greeted or bool(self._block)

    def tick(self) -> None:
        """Begin to count anew."""
        self._idle = 0


_TAKES: dict[int, Callable[[Frames, int, int, bytes], None]] = {
    CONTINUATION: Frames._continuation,
    http2.GOAWAY: Frames._goaway,
    http2.PING: Frames._ping,
    http2.PRIORITY: Frames._priority,
    http2.PUSH: Frames._push,
    http2.RESET: Frames._reset,
    http2.SETTINGS: Frames._settings,
    http2.WINDOW: Frames._window,
}
"""Other kinds are for extensions that there are not here (RFC 9113, section 5.5)."""


def _number(payload: bytes) -> int:
    if len(payload) != http2.NUMBER.size:
        raise Fault(FRAME_SIZE_ERROR, "a frame has another length than its kind")
    return int(http2.NUMBER.unpack(payload)[0])
