"""An answer that comes in parts, on one connection: framing, back-pressure, its early ends."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from nacre.modelserver.messages import Stream

log = logging.getLogger(__name__)

_CHECK_SECONDS = 1.0
_LAST = b"0\r\n\r\n"


class Sender:
    """Sends one :class:`Stream`. ``done`` is called once on the loop: whether the whole of it was sent.

    A stream that breaks off is not ended as HTTP ends a body, so that clients notice.
    """

    def __init__(
        self, stream: Stream, transport: asyncio.Transport, chunked: bool, done: Callable[[bool], None]
    ) -> None:
        self._stream = stream
        self._transport = transport
        self._chunked = chunked
        self._done = done
        self._room = asyncio.Event()
        self._room.set()
        self._since = self._checked = asyncio.get_running_loop().time()
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._ended)

    def pause(self) -> None:
        """The client is slower than the stream."""
        self._since = asyncio.get_running_loop().time()
        self._room.clear()

    def resume(self) -> None:
        """The client has caught up."""
        self._room.set()

    def stop(self) -> None:
        """The client has gone."""
        self._stream.cancel()
        self._task.cancel()

    def sweep(self, now: float, write_time: float) -> None:
        """Drop a client that took nothing for so long; ask once a second whether the stream may go on.

        ``now`` is the loop's time, in seconds.
        """
        if not self._room.is_set() and now - self._since > write_time:
            self._transport.abort()
        if now - self._checked < _CHECK_SECONDS:
            return
        self._checked = now
        why = self._stream.check() if self._stream.check is not None else None
        if why is not None:
            self._send(self._stream.notice(why))
            self.stop()

    async def _run(self) -> None:
        async for part in self._stream.parts:
            self._send(part)
            await self._room.wait()
        if self._chunked and not self._transport.is_closing():
            self._transport.write(_LAST)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._stream.cancel()
        error = None if task.cancelled() else task.exception()
        if error is not None:  # the source has told the client, as far as it could
            log.info("a stream broke off: %s", error)
        self._done(error is None and not task.cancelled())

    def _send(self, part: bytes) -> None:
        if not part or self._transport.is_closing():
            return
        if self._chunked:
            self._transport.writelines((b"%x\r\n" % len(part), part, b"\r\n"))
        else:
            self._transport.write(part)
