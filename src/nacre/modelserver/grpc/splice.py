"""A client's connection and one to the gRPC server of this process, joined: bytes pass as they are."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import cast

from nacre.modelserver.grpc.streams import Streams
from nacre.modelserver.http import PREFACE
from nacre.modelserver.listener import Listener

log = logging.getLogger(__name__)

_LOOK = 1.0

Connect = Callable[[Callable[[], asyncio.Protocol]], Awaitable[object]]
"""Opens a connection to the gRPC server for the protocol that the argument makes. Raises
``ConnectionAbortedError`` when that has stopped."""


class Splice(asyncio.Protocol):
    """The client's side. Reads from either side only while the other one takes it; both end together.

    It bounds what the gRPC server does not: the requests in memory, together with those of HTTP/1, and how
    long a client may leave an answer unread.
    """

    def __init__(
        self,
        listener: Listener,
        client: asyncio.Transport,
        data: bytes,
        connect: Connect,
        patience: Callable[[], float],
    ) -> None:
        """``patience``: for how many seconds an answer may stand still."""
        self._listener = listener
        self._patience = patience
        self._client: asyncio.Transport | None = client
        self._server: asyncio.Transport | None = None
        self._streams = Streams(len(PREFACE))
        self._full_since: float | None = None
        """Since when the client has taken nothing, or should take the last of it."""
        self._looked = listener.now
        listener.register(self)
        client.pause_reading()
        client.set_protocol(self)
        self._task = asyncio.create_task(self._join(data, connect))

    async def _join(self, data: bytes, connect: Connect) -> None:
        try:
            await connect(lambda: _Server(self))
        except ConnectionAbortedError:
            self.abort()
            return
        except Exception:
            log.exception("the gRPC server is not there")
            self.abort()
            return
        if self._client is not None:
            self.data_received(data)
            self._client.resume_reading()

    # ---- the client's transport

    def data_received(self, data: bytes) -> None:
        if self._server is None or self._client is None:
            return
        held = self._streams.held
        self._streams.asked(data, self._listener.now)
        self._listener.held += self._streams.held - held
        if self._listener.held > self._listener.limits.max_bodies:
            log.warning("a gRPC client was dropped: the server holds too many large requests")
            self.abort()
            return
        self._server.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._client = None
        self._listener.forget(self)
        self._listener.held -= self._streams.held
        self._streams = Streams(0)
        if self._server is not None:
            self._server.abort()

    def pause_writing(self) -> None:
        self._full_since = self._listener.now
        if self._server is not None:
            _pause(self._server)

    def resume_writing(self) -> None:
        if self._server is not None:
            self._full_since = None
            _resume(self._server)

    # ---- the gRPC server's transport

    def joined(self, server: asyncio.Transport) -> None:
        """The connection to the gRPC server is there."""
        self._server = server
        if self._client is None:
            server.abort()

    def answered(self, data: bytes) -> None:
        """The gRPC server sent this."""
        if self._client is None:
            return
        held = self._streams.held
        self._streams.answered(data, self._listener.now)
        self._listener.held += self._streams.held - held
        self._client.write(data)

    def hold(self, full: bool) -> None:
        """Read no more from the client while the gRPC server takes nothing."""
        if self._client is not None:
            (_pause if full else _resume)(self._client)

    def left(self) -> None:
        """The gRPC server has closed: so do we, when all is sent."""
        self._server = None
        self._full_since = self._listener.now
        if self._client is not None:
            self._client.close()

    # ---- the listener's calls

    def drain(self) -> None:
        """Nothing to do: the gRPC server ends its connections when it stops."""

    def abort(self) -> None:
        """Drop the client."""
        if self._client is not None:
            self._client.abort()

    def sweep(self, now: float) -> None:
        """Drop a client that takes none of its answers."""
        limits = self._listener.limits
        if self._full_since is not None and now - self._full_since > limits.write_time:
            self.abort()
        elif now - self._looked > _LOOK:
            self._looked = now
            if self._streams.stuck(now - self._patience()):
                self.abort()


def _pause(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.pause_reading()


def _resume(transport: asyncio.Transport) -> None:
    if not transport.is_closing():
        transport.resume_reading()


class _Server(asyncio.Protocol):
    """The gRPC server's side."""

    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._splice.joined(cast("asyncio.Transport", transport))

    def data_received(self, data: bytes) -> None:
        self._splice.answered(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._splice.left()

    def pause_writing(self) -> None:
        self._splice.hold(True)

    def resume_writing(self) -> None:
        self._splice.hold(False)
