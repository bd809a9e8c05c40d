"""An answer that a replica makes part by part, from its frames to whoever sends it on."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from nacre.modelserver.backend import DeadlineExceeded, Refused
from nacre.modelserver.frames import WINDOW, FrameError


class Parts:
    """Iterate over it once. Parts that nobody takes make the replica pause.

    ``taken`` tells it how many bytes were; ``cancelled`` that no more are wanted. ``gap_s``: seconds
    between two parts at most.
    """

    def __init__(self, taken: Callable[[int], None], cancelled: Callable[[], None], gap_s: float) -> None:
        self.open = True
        """Whether somebody wants more of it."""
        self._taken = taken
        self._cancelled = cancelled
        self._gap_s = gap_s
        self._parts: deque[bytes] = deque()
        self._unread = 0
        self._owed = 0
        self._ended = False
        self._failure: Refused | None = None
        self._arrived = asyncio.Event()

    # ---- the connection's calls

    def feed(self, data: bytes) -> None:
        """A part has come. Raises :class:`FrameError` when the replica did not pause."""
        if not self.open:
            return
        if self._unread >= WINDOW:
            raise FrameError("the replica sends more of a stream than was taken")
        self._unread += len(data)
        if data:
            self._parts.append(data)
        self._arrived.set()

    def end(self) -> None:
        """That was all."""
        self._ended = True
        self._arrived.set()

    def fail(self, failure: Refused) -> None:
        """No more comes, for this reason; what has come is still given."""
        self._failure = failure
        self.end()

    # ---- the reader's calls

    def __aiter__(self) -> Parts:
        return self

    async def __anext__(self) -> bytes:
        """The next part. Raises :class:`Refused` when the stream broke off."""
        while not self._parts:
            if self._ended:
                self.open = False
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            self._arrived.clear()
            try:
                async with asyncio.timeout(self._gap_s):
                    await self._arrived.wait()
            except TimeoutError as error:
                self.cancel()
                raise DeadlineExceeded(f"the model made nothing for {self._gap_s:g} s") from error
        part = self._parts.popleft()
        self._take(len(part))
        return part

    def cancel(self) -> None:
        """No more is wanted."""
        if not self.open:
            return
        self.open = False
        self._parts.clear()
        if not self._ended:
            self._cancelled()

    def _take(self, count: int) -> None:
        """Tell of what was read, in large steps, and at the latest when all of it was."""
        self._unread -= count
        self._owed += count
        if not self._ended and (self._owed >= WINDOW // 4 or not self._unread):
            owed, self._owed = self._owed, 0
            self._taken(owed)
