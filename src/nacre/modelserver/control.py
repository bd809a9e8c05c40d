"""The application behind the control socket: reload, status, metrics, shutdown."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import orjson

from nacre.errors import NacreError
from nacre.modelserver.messages import Request, Response, error
from nacre.modelserver.stats import Report, prometheus, status

log = logging.getLogger(__name__)


class Fleet(Protocol):
    """The workers, one or many."""

    async def reload(self) -> Report:
        """Apply ``routes.json`` in every worker. Raises ``InvalidSpec`` when it is not valid."""
        ...

    async def report(self) -> Report:
        """Counts and states of all workers together."""
        ...

    async def start(self) -> None:
        """Listen; returns when every worker does."""
        ...

    async def stop(self) -> None:
        """Let requests in flight end, then end."""
        ...


class Control:
    """``POST /reload``, ``GET /status``, ``GET /metrics``, ``POST /shutdown``."""

    def __init__(self, fleet: Fleet, stop: asyncio.Event) -> None:
        self._fleet = fleet
        self._stop = stop
        self._tasks: set[asyncio.Task[Response]] = set()
        self._routes: dict[tuple[bytes, bytes], Callable[[], Awaitable[Response]]] = {
            (b"POST", b"/reload"): self._reload,
            (b"GET", b"/status"): self._status,
            (b"GET", b"/metrics"): self._metrics,
            (b"POST", b"/shutdown"): self._shutdown,
        }

    def refuse(self, request: Request) -> Response | None:
        return None

    def handle(self, request: Request) -> Response | asyncio.Future[Response]:
        path = request.target.partition(b"?")[0]
        action = self._routes.get((request.method, path))
        if action is None:
            known = ", ".join(f"{m.decode()} {p.decode()}" for m, p in self._routes)
            return error(404, f"the control socket knows {known}")
        task = asyncio.get_running_loop().create_task(_guard(action))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _reload(self) -> Response:
        return _told(await self._fleet.reload())

    async def _status(self) -> Response:
        return _told(await self._fleet.report())

    async def _metrics(self) -> Response:
        text = prometheus(await self._fleet.report())
        return Response(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    async def _shutdown(self) -> Response:
        self._stop.set()
        return Response(200, orjson.dumps({"stopping": True}), close=True)


async def _guard(action: Callable[[], Awaitable[Response]]) -> Response:
    try:
        return await action()
    except NacreError as wrong:
        log.error("%s", wrong.detail)
        return error(wrong.status, wrong.detail)
    except Exception as wrong:
        log.exception("control")
        return error(500, f"{type(wrong).__name__}: {wrong}")


def _told(report: Report) -> Response:
    return Response(200, status(report, os.getpid()).model_dump_json().encode())


def bind_control(path: Path) -> socket.socket:
    """A bound unix socket that only this user can use, in place of one left by a dead server.

    The caller holds the folder's lock. Raises ``OSError``.
    """
    path.unlink(missing_ok=True)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        sock.bind(f"/proc/self/fd/{folder}/{path.name}")  # the path itself may be longer than a socket's
    except OSError:
        sock.close()
        raise
    finally:
        os.close(folder)
        os.umask(before)
    return sock
