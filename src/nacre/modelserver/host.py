"""The endpoints of this worker: which revision answers, and how the next one takes over."""

from __future__ import annotations

import asyncio
import logging
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nacre.errors import InvalidSpec
from nacre.modelserver.history import History, HistoryReport
from nacre.modelserver.models import Model, Served, load
from nacre.modelserver.routes import Access, read_routes
from nacre.modelserver.stats import EndpointReport, Report, Stats
from nacre.schema.serving import Routes, ServedRevision

log = logging.getLogger(__name__)

_PAGE = resource.getpagesize()


class Endpoint:
    """One endpoint: what answers now (None before the first load), and why the wanted one does not."""

    __slots__ = ("failure", "history", "key", "served", "stats")

    def __init__(self, key: str) -> None:
        self.key = key
        self.served: Served | None = None
        self.failure: str | None = None
        self.stats = Stats()
        self.history = History(self.stats)

    def report(self) -> EndpointReport:
        return {
            "revision": self.served.revision.revision if self.served else None,
            "state": "ready" if self.served and self.failure is None else "failed",
            "message": self.failure,
            "requests": self.stats.requests,
            "errors": self.stats.errors,
            "seconds": self.stats.seconds,
            "buckets": list(self.stats.buckets),
        }


class Host:
    """All endpoints. Touched on the event loop only; loading happens on a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "routes.json"
        self.access = Access(self._path)
        self.endpoints: dict[str, Endpoint] = {}
        self.generation = 0
        self._lock = asyncio.Lock()
        self._loader = ThreadPoolExecutor(1, thread_name_prefix="load")

    def names(self, project: str) -> list[str]:
        """The endpoints of one project."""
        prefix = f"{project}/"
        return sorted(key[len(prefix) :] for key in self.endpoints if key.startswith(prefix))

    async def reload(self) -> None:
        """Do what ``routes.json`` says now; returns when all of it is loaded or has failed.

        Raises ``InvalidSpec``, and changes nothing, when the file is not valid. A revision that
        cannot be loaded is kept in the endpoint's ``failure``; the one before goes on answering.
        """
        async with self._lock:
            loop = asyncio.get_running_loop()
            routes, mark = await loop.run_in_executor(self._loader, read_routes, self._path)
            self.access.replace(routes.tokens, mark)
            for key in self.endpoints.keys() - routes.endpoints.keys():
                # The session goes with the last request that holds it.
                del self.endpoints[key]
                log.info("%s removed", key)
            for key in routes.endpoints:
                self.endpoints.setdefault(key, Endpoint(key))
            await self._load_all(routes, loop)
            self.generation = routes.generation

    async def _load_all(self, routes: Routes, loop: asyncio.AbstractEventLoop) -> None:
        for key, wanted in routes.endpoints.items():
            endpoint = self.endpoints[key]
            if endpoint.served is not None and endpoint.served.revision == wanted:
                endpoint.failure = None
                continue
            try:
                served = await loop.run_in_executor(self._loader, load, wanted, self._open(wanted))
            except InvalidSpec as error:
                endpoint.failure = error.detail
            except Exception as error:  # whatever a stranger's file does, the others go on
                log.exception("%s revision %s", key, wanted.revision)
                endpoint.failure = f"loading failed: {type(error).__name__}: {error}"
            else:
                endpoint.served, endpoint.failure = served, None
                log.info("%s revision %s answers", key, wanted.revision)
                continue
            log.error("%s revision %s not loaded: %s", key, wanted.revision, endpoint.failure)

    def _open(self, wanted: ServedRevision) -> Model | None:
        """The same file, when it is already open for some endpoint."""
        for endpoint in self.endpoints.values():
            served = endpoint.served
            if served and (served.model.digest, served.model.path) == (wanted.digest, wanted.path):
                return served.model
        return None

    def cut(self, slot: int) -> None:
        """An interval of the histories is over."""
        for endpoint in self.endpoints.values():
            endpoint.history.cut(slot)

    def history(self, key: str) -> HistoryReport | None:
        """What one endpoint answered lately; null when there is none of that name."""
        endpoint = self.endpoints.get(key)
        return endpoint.history.report() if endpoint else None

    def report(self, connections: int) -> Report:
        """Counts and states of this worker. An endpoint still loading is not in it."""
        return {
            "generation": self.generation,
            "endpoints": {
                key: endpoint.report()
                for key, endpoint in self.endpoints.items()
                if endpoint.served or endpoint.failure
            },
            "connections": connections,
            "rss_bytes": _resident(),
        }


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
