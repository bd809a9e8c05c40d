"""The way out of one connection: what its client lets us send, and turns among its calls."""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import TYPE_CHECKING

from nacre.modelserver.grpc import heads
from nacre.modelserver.grpc.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FIRST_WINDOW,
    FLOW_CONTROL_ERROR,
    HEAD,
    HEADERS,
    MAX_FRAME,
    MOST_WINDOW,
    NO_ERROR,
    PREFIX,
    Fault,
    frame,
    reset,
)

if TYPE_CHECKING:
    from nacre.modelserver.grpc.rpc import Rpc

_EMPTY_TABLE = b"\x20"
"""A table of no bytes (RFC 7541, section 6.3)."""
_LARGEST = 64 * 1024 - 1
"""Bytes of a frame, so that calls take turns, also where the client would take more."""
_WHOLE = struct.Struct(f"{HEAD.format}{len(heads.ANSWER)}s{HEAD.format[1:]}{PREFIX.format[1:]}")
"""Headers, and what comes before the message."""


class Sender:
    """Messages wait here until the client's windows have room and its socket takes them."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._window = FIRST_WINDOW
        self._queue: deque[Rpc] = deque()
        """Calls with something to send that their own window allows."""
        self.first_window = FIRST_WINDOW
        """That of a new call."""
        self.max_frame = MAX_FRAME
        self.writable = True
        self.resized = False
        """Whether the client waits to be told that its table is small: ours is always empty."""

    # ---- what the client allows

    def allow(self, size: int) -> None:
        """Bytes more on the whole connection. Raises ``Fault``."""
        self._window += size
        if self._window > MOST_WINDOW:
            raise Fault(FLOW_CONTROL_ERROR, "the connection's window is too large")
        self.pump()

    def set_max_frame(self, size: int) -> None:
        """The largest frame that the client takes."""
        self.max_frame = min(size, _LARGEST)

    # ---- answers

    def at_once(self, rpc: Rpc, message: bytes) -> bool:
        """Send headers, the only message and trailers, if all that can go now; else do nothing."""
        size = PREFIX.size + len(message)
        if size > self.max_frame or size > self._window or size > rpc.window:
            return False
        if self.resized or not self.writable:
            return False
        self._window -= size
        number = rpc.number
        before = _WHOLE.pack(
            *(0, len(heads.ANSWER), HEADERS, END_HEADERS, number, heads.ANSWER),
            *(0, size, DATA, 0, number),
            *(0, len(message)),
        )
        self._transport.write(before + message + self._last(rpc, heads.DONE))
        return True

    def message(self, rpc: Rpc, message: bytes) -> None:
        """One message of an answer. The one before it has been sent."""
        if not rpc.answering:
            rpc.answering = True
            self._transport.write(self.headers(rpc.number, 0, heads.ANSWER))
        rpc.unsent = memoryview(PREFIX.pack(0, len(message)) + message)
        self.turn(rpc)

    def end(self, rpc: Rpc, trailers: bytes) -> None:
        """The end of an answer, after what is still to be sent of it. It needs no window."""
        rpc.trailers = trailers if rpc.answering else heads.ANSWER + trailers
        if rpc.unsent or not self.writable:
            self.turn(rpc)
        else:
            self._transport.write(self._last(rpc, rpc.trailers))
            rpc.sent(True)

    def turn(self, rpc: Rpc) -> None:
        """Let a call send what it has."""
        if not rpc.queued:
            rpc.queued = True
            self._queue.append(rpc)
        self.pump()

    def pump(self) -> None:
        """Send what may be sent, one frame of each call after the other."""
        queue, stuck = self._queue, []
        while queue and self.writable:
            rpc = queue.popleft()
            if rpc.unsent and self._window <= 0:
                stuck.append(rpc)  # those behind it may have only an end to send
                continue
            rpc.queued = False
            if rpc.unsent:
                if rpc.window <= 0:
                    continue
                self._some(rpc, rpc.unsent)
            if rpc.unsent:
                rpc.queued = True
                queue.append(rpc)
            elif rpc.trailers is not None:
                self._transport.write(self._last(rpc, rpc.trailers))
                rpc.sent(True)
            else:
                rpc.sent(False)
        queue.extendleft(reversed(stuck))

    def _some(self, rpc: Rpc, unsent: memoryview) -> None:
        size = min(len(unsent), self._window, rpc.window, self.max_frame)
        self._window -= size
        rpc.window -= size
        self._transport.writelines((HEAD.pack(0, size, DATA, 0, rpc.number), unsent[:size]))
        rpc.unsent = unsent[size:] or None
        rpc.moved()

    def headers(self, stream: int, flags: int, block: bytes) -> bytes:
        """A frame with all headers of an answer, or all trailers."""
        if self.resized:
            self.resized = False
            block = _EMPTY_TABLE + block
        return frame(HEADERS, flags | END_HEADERS, stream, block)

    def _last(self, rpc: Rpc, trailers: bytes) -> bytes:
        end = self.headers(rpc.number, END_STREAM, trailers)
        # Who has not sent all yet may stop now (RFC 9113, section 8.1).
        return end if rpc.ended else end + reset(rpc.number, NO_ERROR)
