"""The endpoints of this worker: what ``routes.json`` wants, made true without a request failing."""

from __future__ import annotations

import asyncio
import logging
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from weakref import WeakValueDictionary

from nacre.modelserver.capture import Capture
from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.history import HistoryReport, merge_histories
from nacre.modelserver.limits import Limits
from nacre.modelserver.models import Model
from nacre.modelserver.onnx_revision import OnnxRevision
from nacre.modelserver.rates import Rates
from nacre.modelserver.records import Records
from nacre.modelserver.remote_revision import RemoteRevision
from nacre.modelserver.residency import Residency
from nacre.modelserver.revision import Revision
from nacre.modelserver.routes import read_routes
from nacre.modelserver.stats import Report
from nacre.modelserver.tokens import Access
from nacre.schema.serving import Routes, ServedEndpoint, ServedRevision

log = logging.getLogger(__name__)

_PAGE = resource.getpagesize()
_THREADS = 32
"""Batches of long models at once, of all endpoints: one that hangs does not hold up the others."""
_LOADS = 2
"""Models loaded at once, so that a slow one does not hold up the others."""


class Host:
    """All endpoints. Touched on the event loop only; models are loaded on threads of their own.

    ``epoch`` counts the reloads: what was resolved in another one is stale.
    """

    def __init__(self, folder: Path, limits: Limits, workers: int = 1, rates: Rates | None = None) -> None:
        self._path = folder / "routes.json"
        self._limits = limits
        self.access = Access(folder / "tokens.json", rates or Rates())
        self.endpoints: dict[str, Endpoint] = {}
        self.generation = 0
        self.epoch = 0
        self.threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="infer")
        self._lock = asyncio.Lock()
        self._loader = ThreadPoolExecutor(_LOADS, thread_name_prefix="load")
        self._places = asyncio.Semaphore(_LOADS)
        self._files: WeakValueDictionary[tuple[str | None, str], asyncio.Lock] = WeakValueDictionary()
        self._loads: set[asyncio.Task[None]] = set()
        self._residency = Residency(self.endpoints, limits.max_models // workers)
        self._departed: list[Revision] = []
        self.records = Records(folder)
        self.capture = Capture()

    def names(self, project: str) -> list[str]:
        """The endpoints of one project."""
        return sorted(one.name for one in self.endpoints.values() if one.project == project)

    async def reload(self) -> None:
        """Do what ``routes.json`` says now, and begin to load what is new.

        Raises ``InvalidSpec``, and changes nothing, when the file is not valid.
        """
        async with self._lock:
            loop = asyncio.get_running_loop()
            routes = await loop.run_in_executor(None, read_routes, self._path)
            self.access.refresh()
            fresh = self._apply(routes)
            self.epoch += 1
            self._let_go()
            self.generation = routes.generation
            for revision in fresh:
                task = loop.create_task(self._load(revision))
                self._loads.add(task)
                task.add_done_callback(self._loads.discard)

    async def loaded(self) -> None:
        """Wait until all that was to be loaded is, or has failed."""
        while self._loads:
            await asyncio.wait(self._loads)

    async def _load(self, revision: OnnxRevision) -> None:
        """Load it when it is its turn, after others of the same file; then those before it may go."""
        wanted = revision.wanted
        file = self._files.setdefault((wanted.digest, wanted.path), asyncio.Lock())
        async with file, self._places:
            endpoint = self.endpoints.get(revision.key)
            if (endpoint is None or revision not in endpoint.all()) and not revision.in_flight:
                return  # nobody wants it any more
            await self._residency.load(revision, self._loader, self._opened(wanted))
            self._let_go()

    def _let_go(self) -> None:
        for endpoint in self.endpoints.values():
            self._departed += endpoint.let_go()

    def _apply(self, routes: Routes) -> list[OnnxRevision]:
        """Endpoints and revisions come and go; the new ones still have to be loaded."""
        for key in self.endpoints.keys() - routes.endpoints.keys():
            self._departed += self.endpoints.pop(key).close()
            log.info("%s removed", key)
        fresh: list[OnnxRevision] = []
        for key, config in routes.endpoints.items():
            endpoint = self.endpoints.setdefault(key, Endpoint(key, config))
            endpoint.config = config
            wanted = {one.revision: one for one in config.revisions}
            for number in endpoint.revisions.keys() - wanted.keys():
                endpoint.leaving[number] = endpoint.revisions.pop(number)
            for number, one in wanted.items():
                known = endpoint.revisions.get(number) or endpoint.leaving.pop(number, None)
                if known is not None and _same(known.wanted, one):
                    known.configure(one, config)
                    endpoint.revisions[number] = known
                    if known.state != "failed":
                        continue
                made = self._make(key, one, config)
                if known is not None:  # it has failed before: its counts go on
                    made.stats, made.history = known.stats, known.history
                endpoint.revisions[number] = made
                if isinstance(made, OnnxRevision):
                    fresh.append(made)
        return fresh

    def _make(self, key: str, wanted: ServedRevision, config: ServedEndpoint) -> Revision:
        if wanted.runtime == "replicas":
            return RemoteRevision(key, wanted, config, self._limits, self.threads)
        return OnnxRevision(key, wanted, config, self._limits, self.threads, self._residency.summon)

    def _opened(self, wanted: ServedRevision) -> Model | None:
        """The same file, when it is already open for some revision."""
        for endpoint in self.endpoints.values():
            for revision in endpoint.all():
                model = revision.model if isinstance(revision, OnnxRevision) else None
                if model and (model.digest, model.path) == (wanted.digest, wanted.path):
                    return model
        return None

    def sweep(self, now: float) -> None:
        """Once a second: revoked tokens are noticed, idle models unloaded."""
        self.access.refresh()
        self._residency.sweep(now)

    def write_records(self) -> tuple[bytes, bytes]:
        """What is to be written down now; see :class:`Records`."""
        revisions = [one for endpoint in self.endpoints.values() for one in endpoint.all()]
        text = self.records.collect([*revisions, *self._departed])
        for one in self._departed:
            if not one.in_flight:
                one.close()
        self._departed = [one for one in self._departed if one.in_flight]
        return text

    def cut(self, slot: int) -> None:
        """An interval of the histories is over."""
        for endpoint in self.endpoints.values():
            for revision in endpoint.all():
                revision.history.cut(slot)

    def history(self, key: str, revision: int | None = None) -> HistoryReport | None:
        """What an endpoint, or one revision of it, answered lately; null when there is no such one."""
        endpoint = self.endpoints.get(key)
        if endpoint is None:
            return None
        chosen = [one for one in endpoint.all() if revision in (None, one.number)]
        return merge_histories([one.history.report() for one in chosen])

    def report(self, connections: int) -> Report:
        """Counts and states of this worker."""
        return {
            "generation": self.generation,
            "endpoints": {
                key: {str(one.number): one.report() for one in endpoint.all()}
                for key, endpoint in self.endpoints.items()
            },
            "demand": self.demand(),
            "captures": {key: one for key, one in self.capture.report().items() if key in self.endpoints},
            "connections": connections,
            "rss_bytes": int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE,
            "workers": 1,
        }

    def demand(self) -> dict[str, int]:
        """Requests that wait for a first replica, by endpoint."""
        found: dict[str, int] = {}
        for key, endpoint in self.endpoints.items():
            waiting = sum(one.demand for one in endpoint.all() if isinstance(one, RemoteRevision))
            if waiting:
                found[key] = waiting
        return found


def _same(left: ServedRevision, right: ServedRevision) -> bool:
    """Whether two are the same model; shares and replicas may differ."""
    varying = {"traffic", "shadow", "replicas"}
    return left.model_dump(exclude=varying) == right.model_dump(exclude=varying)
