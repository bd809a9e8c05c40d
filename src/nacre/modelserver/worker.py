"""One worker: endpoints, application and listening socket in one event loop."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from nacre.errors import InvalidSpec
from nacre.modelserver import memory
from nacre.modelserver.asking import Asking
from nacre.modelserver.dispatch import Dispatcher
from nacre.modelserver.grpc.server import Server
from nacre.modelserver.history import HistoryReport, slot_of
from nacre.modelserver.host import Host
from nacre.modelserver.limits import Limits
from nacre.modelserver.listener import Listener
from nacre.modelserver.rates import Rates
from nacre.modelserver.stats import Report
from nacre.schema.serving import HISTORY_SECONDS

log = logging.getLogger(__name__)

_LOAD_FIRST = 10.0
_GARBAGE = 20_000
_SWEEP = 0.5
_WRITE = 5.0


class PortTaken(Exception):
    """Another program listens on the port."""


def bind(host: str, port: int) -> socket.socket:
    """A bound TCP socket that workers of one server can share; port 0 takes a free one.

    Raises :class:`PortTaken`, and ``OSError`` for a host that is not this machine's.
    """
    family, kind, proto, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, proto)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise PortTaken(f"port {port} on {host} is taken: {error.strerror}") from error
    return sock


def claim(host: str, port: int) -> socket.socket:
    """As :func:`bind`, for the first of the workers: the port must not be anybody else's.

    The socket never listens: it holds the port while workers come and go.
    """
    if port:
        # SO_REUSEPORT would let two servers of one user share a port: ask without it first.
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, proto) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as error:
                raise PortTaken(f"port {port} on {host} cannot be had: {error.strerror}") from error
    return bind(host, port)


def _settle_garbage() -> None:
    """Let the collector leave alone what was imported: requests would wait for it."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE, 20, 50)
    memory.give_back()


class Worker:
    """The ``Fleet`` of one process: answers inference on one core."""

    def __init__(
        self,
        folder: Path,
        host: str,
        port: int,
        limits: Limits,
        workers: int = 1,
        rates: Rates | None = None,
    ) -> None:
        self._address = (host, port)
        memory.bound(limits.max_memory, workers)
        memory.open_files()
        self._host = Host(folder, limits, workers, rates)
        self._listener = Listener(Dispatcher(self._host, limits), limits)
        self._listener.http2 = Server(Asking(self._host, limits), self._listener)
        self._first: asyncio.Task[None] | None = None
        self._cutter: asyncio.TimerHandle | None = None
        self._sweeper: asyncio.TimerHandle | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="records")
        self._written = 0.0

    async def start(self) -> None:
        """Load what ``routes.json`` says, then listen.

        After ten seconds it listens while loading goes on: endpoints not yet there answer 503.
        """
        self._cut_later()
        self._sweep()
        self._first = asyncio.create_task(self._load_first())
        await asyncio.wait([self._first], timeout=_LOAD_FIRST)
        _settle_garbage()
        await self._listener.start(bind(*self._address))

    async def _load_first(self) -> None:
        try:
            await self._host.reload()
            await self._host.loaded()
        except InvalidSpec as error:
            log.error("nothing is served until the next reload: %s", error.detail)

    async def reload(self) -> Report:
        await self._host.reload()
        return await self.report()

    async def report(self) -> Report:
        return self._host.report(self._listener.connections)

    async def history(self, key: str, revision: int | None) -> HistoryReport | None:
        return self._host.history(key, revision)

    async def demand(self) -> dict[str, int]:
        return self._host.demand()

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._host.sweep(now)
        if now - self._written >= _WRITE:
            self._written = now
            self._write()
        self._sweeper = loop.call_later(_SWEEP, self._sweep)

    def _write(self) -> Future[None] | None:
        text = self._host.write_records()
        return self._writer.submit(self._host.records.write, *text) if any(text) else None

    def _cut_later(self) -> None:
        """All workers cut at the same moments, so that their intervals can be added up."""
        wait = HISTORY_SECONDS - time.time() % HISTORY_SECONDS
        self._cutter = asyncio.get_running_loop().call_later(wait, self._cut)

    def _cut(self) -> None:
        # A timer may fire a hair early: the middle of the interval that just ended is certain.
        self._host.cut(slot_of(time.time() - HISTORY_SECONDS / 2))
        self._cut_later()

    async def stop(self) -> None:
        for timer in (self._cutter, self._sweeper):
            if timer is not None:
                timer.cancel()
        await self._listener.drain()
        if (last := self._write()) is not None:
            await asyncio.wrap_future(last)
        await asyncio.get_running_loop().run_in_executor(self._writer, self._host.capture.close)
