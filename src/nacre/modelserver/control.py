"""The application behind the control socket: reload, status, history, metrics, shutdown."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import parse_qs

import orjson

from nacre.errors import NacreError
from nacre.modelserver.history import HistoryReport, told
from nacre.modelserver.messages import Request, Response, error
from nacre.modelserver.metrics import prometheus
from nacre.modelserver.stats import Report, status
from nacre.schema.serving import Demand

log = logging.getLogger(__name__)

_LOOK = 0.02
_MOST_WAIT = 60.0


class Fleet(Protocol):
    """The workers, one or many."""

    async def reload(self) -> Report:
        """Apply ``routes.json`` in every worker. Raises ``InvalidSpec`` when it is not valid."""
        ...

    async def report(self) -> Report:
        """Counts and states of all workers together."""
        ...

    async def history(self, key: str, revision: int | None) -> HistoryReport | None:
        """What an endpoint, or one revision of it, answered lately, in all workers together; null when
        there is no such one."""
        ...

    async def demand(self) -> dict[str, int]:
        """Requests that wait for a first replica, by endpoint."""
        ...

    async def start(self) -> None:
        """Listen; returns when every worker does."""
        ...

    async def stop(self) -> None:
        """Let requests in flight end, then end."""
        ...


class Control:
    """``POST /reload`` and ``/shutdown``, ``GET /status``, ``/history``, ``/demand`` and ``/metrics``."""

    def __init__(self, fleet: Fleet, stop: asyncio.Event) -> None:
        self._fleet = fleet
        self._stop = stop
        self._tasks: set[asyncio.Task[Response]] = set()
        self._routes: dict[tuple[bytes, bytes], Callable[[bytes], Awaitable[Response]]] = {
            (b"POST", b"/reload"): self._reload,
            (b"GET", b"/status"): self._status,
            (b"GET", b"/history"): self._history,
            (b"GET", b"/demand"): self._demand,
            (b"GET", b"/metrics"): self._metrics,
            (b"POST", b"/shutdown"): self._shutdown,
        }

    def refuse(self, request: Request) -> Response | None:
        return None

    def handle(self, request: Request) -> Response | asyncio.Future[Response]:
        path, _, query = request.target.partition(b"?")
        action = self._routes.get((request.method, path))
        if action is None:
            known = ", ".join(f"{m.decode()} {p.decode()}" for m, p in self._routes)
            return error(404, f"the control socket knows {known}")
        task = asyncio.get_running_loop().create_task(_guard(action, query))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _reload(self, _: bytes) -> Response:
        return _told(await self._fleet.reload())

    async def _status(self, _: bytes) -> Response:
        return _told(await self._fleet.report())

    async def _history(self, query: bytes) -> Response:
        asked = parse_qs(query.decode("utf-8", "replace"))
        key, revision = asked.get("endpoint", [""])[0], asked.get("revision", [""])[0]
        report = await self._fleet.history(key, int(revision) if revision.isdecimal() else None)
        if report is None:
            return error(404, f"there is no endpoint {key!r}, or no such revision of it")
        return Response(200, told(report).model_dump_json().encode())

    async def _demand(self, query: bytes) -> Response:
        """As soon as there is any, at most ``wait`` seconds later."""
        wait = parse_qs(query.decode("utf-8", "replace")).get("wait", ["0"])[0]
        loop = asyncio.get_running_loop()
        end = loop.time() + min(float(wait) if wait.replace(".", "", 1).isdecimal() else 0.0, _MOST_WAIT)
        while not (waiting := await self._fleet.demand()) and loop.time() < end and not self._stop.is_set():
            await asyncio.sleep(_LOOK)
        return Response(200, Demand(waiting=waiting).model_dump_json().encode())

    async def _metrics(self, _: bytes) -> Response:
        text = prometheus(await self._fleet.report())
        return Response(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")

    async def _shutdown(self, _: bytes) -> Response:
        self._stop.set()
        return Response(200, orjson.dumps({"stopping": True}), close=True)


async def _guard(action: Callable[[bytes], Awaitable[Response]], query: bytes) -> Response:
    try:
        return await action(query)
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
