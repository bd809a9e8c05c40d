"""Calls that wait for a message of their client: for how long, and which of them have to make room."""

from __future__ import annotations

import asyncio
from typing import Any

from nacre.modelserver.backend import Refused


class Reads:
    """The waits of one kind of call, the oldest first."""

    def __init__(self) -> None:
        self._open: dict[asyncio.Timeout, None] = {}
        self._ended: dict[asyncio.Timeout, Refused] = {}
        self._closed: Refused | None = None

    async def read(self, context: Any, seconds: float, late: str) -> Any:
        """The next message of a call, or ``grpc.aio.EOF``.

        Raises :class:`Refused`: with 408 and ``late`` after ``seconds``, with another one when it has been
        ended before.
        """
        if self._closed is not None:
            raise self._closed
        wait = asyncio.timeout(seconds)
        self._open[wait] = None
        try:
            async with wait:
                return await context.read()
        except TimeoutError as error:
            raise self._ended.get(wait) or Refused(408, late) from error
        finally:
            self._open.pop(wait, None)
            self._ended.pop(wait, None)

    def end_oldest(self, why: Refused) -> bool:
        """End the one that has waited longest; false when none waits."""
        for wait in self._open:
            self._end(wait, why)
            return True
        return False

    def close(self, why: Refused) -> None:
        """End all of them, and those that will begin."""
        self._closed = why
        for wait in list(self._open):
            self._end(wait, why)

    def _end(self, wait: asyncio.Timeout, why: Refused) -> None:
        del self._open[wait]
        if not wait.expired():
            self._ended[wait] = why
            wait.reschedule(0.0)
