"""Frames of HTTP/2: their numbers, their heads, and what ends a connection (RFC 9113, sections 4 to 7)."""

from __future__ import annotations

import struct

DATA, HEADERS, PRIORITY, RESET, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
"""Kinds."""

END_STREAM = ACK = 0x1
END_HEADERS = 0x4
PADDED = 0x8
WITH_PRIORITY = 0x20
"""Flags."""

NO_ERROR = 0x0
PROTOCOL_ERROR = 0x1
INTERNAL_ERROR = 0x2
FLOW_CONTROL_ERROR = 0x3
STREAM_CLOSED = 0x5
FRAME_SIZE_ERROR = 0x6
REFUSED_STREAM = 0x7
CANCEL = 0x8
COMPRESSION_ERROR = 0x9
ENHANCE_YOUR_CALM = 0xB
"""Why a stream or connection ends."""

HEADER_TABLE_SIZE = 1
MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = 3, 4, 5, 6
"""Settings."""

HEAD = struct.Struct(">BHBBI")
"""Of a frame: the upper byte and the lower two of its length, kind, flags, stream."""
NUMBER = struct.Struct(">I")
SETTING = struct.Struct(">HI")
PREFIX = struct.Struct(">BI")
"""Of a message of gRPC, in the data: whether it is compressed, and its length."""
FIRST_WINDOW = 65_535
MOST_WINDOW = 2**31 - 1
FIRST_TABLE = 4096
MAX_FRAME = 16_384
"""Bytes of a frame, until the other side allows more."""


class Fault(Exception):
    """The other side breaks the protocol, which ends the connection. ``code``: the reason's number."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of up to 64 KiB."""
    return HEAD.pack(0, len(payload), kind, flags, stream) + payload


def settings(**values: int) -> bytes:
    """A frame with settings, by their names in lower case."""
    pairs = [SETTING.pack(_SETTINGS[name], value) for name, value in values.items()]
    return frame(SETTINGS, 0, 0, b"".join(pairs))


_SETTINGS = {
    "max_concurrent_streams": MAX_CONCURRENT_STREAMS,
    "initial_window_size": INITIAL_WINDOW_SIZE,
    "max_frame_size": MAX_FRAME_SIZE,
    "max_header_list_size": MAX_HEADER_LIST_SIZE,
}


def window(stream: int, size: int) -> bytes:
    """Leave to send ``size`` bytes more; stream 0 is the connection."""
    return frame(WINDOW, 0, stream, NUMBER.pack(size))


def reset(stream: int, code: int) -> bytes:
    """The end of a stream, at once."""
    return frame(RESET, 0, stream, NUMBER.pack(code))


def goaway(last: int, code: int, text: str = "") -> bytes:
    """The end of a connection; streams after ``last`` have not been looked at."""
    return frame(GOAWAY, 0, 0, NUMBER.pack(last) + NUMBER.pack(code) + text.encode()[:1000])
