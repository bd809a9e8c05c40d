"""The way of HTTP/2 clients to the gRPC server, which starts with the first of them.

It takes some 20 MB and answers on a socket that has no name: only this process reaches it.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nacre.modelserver.asking import Asking
from nacre.modelserver.grpc.splice import Splice
from nacre.modelserver.listener import Listener
from nacre.modelserver.memory import give_back

if TYPE_CHECKING:
    from nacre.modelserver.grpc.server import Server


_PRESSED = 5.0
"""Seconds that an answer may stand still when there are too many such."""


class Gate:
    """Serves HTTP/2 clients of one worker's listener."""

    def __init__(self, asking: Asking, listener: Listener) -> None:
        self._asking = asking
        self._listener = listener
        self._server: Server | None = None
        self._socket = -1
        self._starting = asyncio.Lock()
        self._stopped = False

    def take(self, transport: asyncio.Transport, data: bytes) -> None:
        """Serve a client from now on; ``data`` is what it has sent."""
        Splice(self._listener, transport, data, self._connect, self._patience)

    async def stop(self, grace: float) -> None:
        """Take no more calls; end when those under way have ended, or after ``grace`` seconds."""
        self._stopped = True
        async with self._starting:
            if self._server is not None:
                await self._server.stop(grace)
                os.close(self._socket)
                self._server = None

    def _patience(self) -> float:
        pressed = self._server is not None and self._server.pressed
        return _PRESSED if pressed else self._listener.limits.idle_time

    async def _connect(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        async with self._starting:
            if self._stopped:
                raise ConnectionAbortedError("the server stops")
            if self._server is None:
                await self._start()
        # A path to the open file, which has no other name any more.
        await asyncio.get_running_loop().create_unix_connection(protocol, f"/proc/self/fd/{self._socket}")

    async def _start(self) -> None:
        from nacre.modelserver.grpc.server import Server  # noqa: PLC0415 - takes memory and half a second

        server = Server(self._asking, self._listener.limits)
        with tempfile.TemporaryDirectory(prefix="nacre-grpc-") as name:
            folder = os.open(name, os.O_PATH | os.O_DIRECTORY)
            try:
                await server.start(f"unix:/proc/self/fd/{folder}/socket")  # the path itself may be too long
            finally:
                os.close(folder)
            self._socket = os.open(Path(name) / "socket", os.O_PATH)
        self._server = server
        give_back()
