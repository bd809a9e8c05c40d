"""The open streams of an HTTP/2 connection, known by watching the heads of the frames that pass.

Frames and their flags: RFC 9113, sections 4.1 and 6.
"""

from __future__ import annotations

import struct

_HEAD = struct.Struct(">BHBBI")
_DATA, _HEADERS, _RESET = 0, 1, 3
_END_STREAM = 1
_STREAM = 0x7FFFFFFF


class _Frames:
    """One direction's frames; what they hold is skipped."""

    __slots__ = ("_rest", "_skip")

    def __init__(self, skip: int) -> None:
        self._rest = b""
        self._skip = skip

    def heads(self, data: bytes) -> list[tuple[int, int, int, int]]:
        """Kind, flags, stream and length of each frame that begins here."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        at, size = self._skip, len(data)
        found = []
        while at + _HEAD.size <= size:
            high, low, kind, flags, stream = _HEAD.unpack_from(data, at)
            length = high << 16 | low
            found.append((kind, flags, stream & _STREAM, length))
            at += _HEAD.size + length
        if at < size:
            self._rest, self._skip = data[at:], 0
        else:
            self._skip = at - size
        return found


class _Stream:
    __slots__ = ("answering", "held", "since")

    def __init__(self, now: float) -> None:
        self.held = 0
        """Bytes that came and have not been answered."""
        self.answering = False
        self.since = now
        """When something moved last."""


class Streams:
    """Bytes and times of one connection's open streams. ``preface``: bytes that come before the frames."""

    __slots__ = ("_client", "_open", "_server", "held")

    def __init__(self, preface: int) -> None:
        self._client = _Frames(preface)
        self._server = _Frames(0)
        self._open: dict[int, _Stream] = {}
        self.held = 0
        """Bytes of requests that have not been answered, all streams together."""

    def asked(self, data: bytes, now: float) -> None:
        """The client sent this."""
        for kind, _, number, length in self._client.heads(data):
            if kind == _DATA:
                stream = self._open.get(number)
                if stream is not None:
                    stream.held += length
                    stream.since = now
                    self.held += length
            elif kind == _HEADERS:
                self._open.setdefault(number, _Stream(now))
            elif kind == _RESET:
                self._end(number)

    def answered(self, data: bytes, now: float) -> None:
        """The server sent this."""
        for kind, flags, number, _ in self._server.heads(data):
            if kind == _RESET or (kind in (_DATA, _HEADERS) and flags & _END_STREAM):
                self._end(number)
            elif kind in (_DATA, _HEADERS):
                stream = self._open.get(number)
                if stream is not None:
                    self.held -= stream.held
                    stream.held = 0
                    stream.answering = True
                    stream.since = now

    def stuck(self, before: float) -> bool:
        """Whether the answer of some stream has begun, and nothing has moved on it since this time."""
        return any(stream.answering and stream.since < before for stream in self._open.values())

    def _end(self, number: int) -> None:
        stream = self._open.pop(number, None)
        if stream is not None:
            self.held -= stream.held
