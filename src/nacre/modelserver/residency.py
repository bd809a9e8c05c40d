"""Which models lie in memory: loaded on demand, unloaded when idle or when others need the room."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.memory import give_back
from nacre.modelserver.models import Model
from nacre.modelserver.onnx_revision import OnnxRevision

log = logging.getLogger(__name__)


class Residency:
    """Keeps the models of all endpoints within ``budget`` bytes, as far as what is at work allows."""

    def __init__(self, endpoints: dict[str, Endpoint], budget: int) -> None:
        self._endpoints = endpoints
        self._budget = budget
        self._urgent = ThreadPoolExecutor(1, thread_name_prefix="load-now")
        self._loading: dict[OnnxRevision, asyncio.Task[None]] = {}
        self._unloaded = False
        """Whether some were since the last look."""

    async def load(self, revision: OnnxRevision, loader: ThreadPoolExecutor, shared: Model | None) -> None:
        """Make room, then load."""
        if shared is None:
            self._make_room(revision)
        await revision.load(loader, shared)

    def summon(self, revision: OnnxRevision) -> None:
        """A request waits for a revision that is not loaded: load it now."""
        if revision not in self._loading and revision.state == "unloaded":
            task = asyncio.get_running_loop().create_task(self.load(revision, self._urgent, None))
            self._loading[revision] = task
            task.add_done_callback(lambda _: self._loading.pop(revision))

    def sweep(self, now: float) -> None:
        """Unload what nobody asked for."""
        for revision in self._loaded():
            idle = revision.idle_for(now)
            if revision.config.idle_s is not None and idle > revision.config.idle_s and revision.unload():
                self._unloaded = True
        if self._unloaded:
            self._unloaded = False
            self._urgent.submit(give_back)

    def _loaded(self) -> list[OnnxRevision]:
        return [
            revision
            for endpoint in self._endpoints.values()
            for revision in endpoint.all()
            if isinstance(revision, OnnxRevision) and revision.model is not None
        ]

    def _make_room(self, wanted: OnnxRevision) -> None:
        """Unload those that were asked least lately until the wanted one fits, by the size of its file."""
        try:
            need = Path(wanted.wanted.path).stat().st_size
        except OSError:
            return  # loading will say so
        loaded = sorted(self._loaded(), key=lambda one: one.used_at)
        # A model that several revisions share counts once.
        held = sum({id(one.model): one.memory_bytes or 0 for one in loaded}.values())
        for revision in loaded:
            if held + need <= self._budget:
                return
            size = revision.memory_bytes or 0
            if revision.unload():
                self._unloaded = True
                held -= size
        if held + need > self._budget:
            log.warning("models hold %d MiB, over the budget of %d MiB", held >> 20, self._budget >> 20)
