"""A revision whose ONNX model lies in this process: loaded, unloaded, and loaded again on demand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nacre.errors import InvalidSpec
from nacre.modelserver.backend import Overloaded, Refused
from nacre.modelserver.batching import Batcher, Waiting
from nacre.modelserver.calls import Call, Interface
from nacre.modelserver.limits import Limits
from nacre.modelserver.models import Model, load
from nacre.modelserver.revision import Done, Revision
from nacre.modelserver.rows import rowwise
from nacre.schema.serving import ServedEndpoint, ServedRevision

log = logging.getLogger(__name__)


class OnnxRevision(Revision):
    """``summon`` is called when a request comes while nothing is loaded."""

    def __init__(
        self,
        key: str,
        wanted: ServedRevision,
        config: ServedEndpoint,
        limits: Limits,
        threads: ThreadPoolExecutor,
        summon: Callable[[OnnxRevision], None],
    ) -> None:
        super().__init__(key, wanted, config, limits)
        self.used_at = 0.0
        """When it was last seen to have been asked (the loop's time)."""
        self._counted = 0
        self.model: Model | None = None
        self._threads = threads
        self._summon = summon
        self._batcher: Batcher | None = None
        self._batches = 0
        self._queue: list[tuple[Call, float, Done]] = []

    def configure(self, wanted: ServedRevision, config: ServedEndpoint) -> None:
        super().configure(wanted, config)
        if self._batcher is not None:
            self._batcher.configure(**self.bounds())

    async def load(self, loader: ThreadPoolExecutor, shared: Model | None) -> None:
        """Make it ready, or note why not; then answer what waited. ``shared``: the same file, open."""
        loop = asyncio.get_running_loop()
        try:
            wanted, memory = self.wanted, self.config.memory_bytes
            model = await loop.run_in_executor(loader, load, wanted, shared, memory)
            signature = wanted.signature or model.signature
            interface = Interface(wanted.model, str(wanted.model_version), signature)
            model.rowwise = await loop.run_in_executor(loader, rowwise, interface, model.run, None)
        except InvalidSpec as error:
            self.fail(error.detail)
        except Exception as error:  # whatever a stranger's file does, the others go on
            log.exception("%s revision %s", self.key, self.number)
            self.fail(f"loading failed: {type(error).__name__}: {error}")
        else:
            self.model, self.interface = model, interface
            self._batcher = Batcher(model, interface, self._threads, **self.bounds())
            self.used_at = loop.time()
            self.ready()
        queue, self._queue = self._queue, []
        for waited in queue:
            self._start(*waited)

    def idle_for(self, now: float) -> float:
        """Seconds without a request, as far as these looks tell."""
        if self.in_flight or self.stats.requests != self._counted:
            self._counted, self.used_at = self.stats.requests, now
        return now - self.used_at

    def unload(self) -> bool:
        """Give its memory back, unless it is at work; the next request loads it again."""
        if self.state != "ready" or self.in_flight:
            return False
        self.close()
        self.state = "unloaded"
        log.info("%s revision %s is unloaded", self.key, self.number)
        return True

    def close(self) -> None:
        if self._batcher is not None:
            self._batches += self._batcher.batches
        self.model = self._batcher = None

    def _start(self, call: Call, deadline: float, done: Done) -> Waiting | None:
        if self._batcher is not None:
            return self._batcher.submit(call, deadline, done)
        if self.state == "failed":
            done(Refused(503, self.failure or "the model could not be loaded"))
        elif len(self._queue) >= self.queue:
            done(
                Overloaded(f"{len(self._queue)} requests wait for the model to be loaded: try again later")
            )
        else:
            self._queue.append((call, deadline, done))
            self._summon(self)
        return None

    @property
    def waiting(self) -> int:
        return len(self._queue) + (self._batcher.waiting if self._batcher is not None else 0)

    @property
    def batches(self) -> int:
        return self._batches + (self._batcher.batches if self._batcher is not None else 0)

    @property
    def memory_bytes(self) -> int | None:
        return self.model.memory_bytes if self.model is not None else None
