"""A listening socket: its connections, the clock they share, and how it comes to an end."""

from __future__ import annotations

import asyncio
import heapq
import logging
import socket
from email.utils import formatdate
from typing import Protocol

from nacre.modelserver.heads import Heads
from nacre.modelserver.http import Connection
from nacre.modelserver.limits import Limits
from nacre.modelserver.messages import App

log = logging.getLogger(__name__)

_TICK = 0.25
_LAME = 0.2
_CLOSED_AT_ONCE = 64


class Client(Protocol):
    """What is open: a connection, whatever it speaks."""

    since: float
    """When something came or went last."""

    @property
    def idle(self) -> bool:
        """Whether nothing of a request has come, and no answer is due."""

    def drain(self) -> None:
        """Close now when idle, else after the answers that are due."""

    def abort(self) -> None:
        """Drop it."""

    def sweep(self, now: float) -> None:
        """Enforce the time limits; called about each quarter second."""


class Http2(Protocol):
    """What serves clients that begin in HTTP/2."""

    def take(self, transport: asyncio.Transport, data: bytes) -> None:
        """Serve a client from now on; ``data`` is what it has sent. It registers a :class:`Client`."""


class Listener:
    """Serves an :class:`App` on one socket."""

    def __init__(self, app: App, limits: Limits) -> None:
        self.app = app
        self.limits = limits
        self.heads = Heads()
        self.held = 0
        """Bytes of request bodies in memory."""
        self.draining = False
        self.http2: Http2 | None = None
        """Null: HTTP/1.1 only."""
        self.date = ""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time()
        """A clock that moves each quarter second: reading it costs nothing."""
        self._connections: set[Client] = set()
        self._server: asyncio.Server | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._connections)

    async def start(self, sock: socket.socket) -> None:
        """Listen on a bound socket."""
        self._tick()
        if sock.family == socket.AF_UNIX:
            self._server = await self._loop.create_unix_server(
                lambda: Connection(self), sock=sock, backlog=128
            )
        else:
            self._server = await self._loop.create_server(lambda: Connection(self), sock=sock, backlog=1024)

    def register(self, connection: Client) -> bool:
        """Whether there is room for one more connection; those that have been idle for longest make it."""
        if len(self._connections) >= self.limits.max_connections:
            self._make_room()
        self._connections.add(connection)
        return len(self._connections) <= self.limits.max_connections

    def _make_room(self) -> None:
        idle = [one for one in self._connections if one.idle]
        for connection in heapq.nsmallest(_CLOSED_AT_ONCE, idle, key=lambda one: one.since):
            connection.abort()
            self._connections.discard(connection)

    def forget(self, connection: Client) -> None:
        """A connection has ended."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    async def drain(self) -> None:
        """Accept no more, answer what is in flight, close; give up after ``drain_time`` seconds."""
        self.draining = True
        if self._server is not None:
            self._server.close()
        # A client may have sent a request just now on a connection that looks idle from here.
        await asyncio.sleep(_LAME)
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), self.limits.drain_time)
            except TimeoutError:
                log.warning("%d connections did not end in time", len(self._connections))
        if self._ticker is not None:
            self._ticker.cancel()
        for connection in list(self._connections):
            connection.abort()

    def _tick(self) -> None:
        self.now = self._loop.time()
        self.date = f"Date: {formatdate(usegmt=True)}\r\n"
        for connection in list(self._connections):
            connection.sweep(self.now)
        self._ticker = self._loop.call_later(_TICK, self._tick)
