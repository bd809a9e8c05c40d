"""One revision in one worker: its state, what is under way on it, what it answered."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial

from nacre.modelserver.batching import Waiting
from nacre.modelserver.calls import Call, Interface, Outcome
from nacre.modelserver.history import History
from nacre.modelserver.limits import Limits
from nacre.modelserver.stats import RevisionReport, State, Stats
from nacre.schema.serving import ServedEndpoint, ServedRevision

log = logging.getLogger(__name__)

Done = Callable[[Outcome], None]


class Revision(ABC):
    """A deployed model version. Touched on the event loop only."""

    def __init__(self, key: str, wanted: ServedRevision, config: ServedEndpoint, limits: Limits) -> None:
        self.key = key
        self.wanted = wanted
        self.config = config
        self.number = wanted.revision
        self.stats = Stats()
        self.history = History(self.stats)
        self.state: State = "loading"
        self.failure: str | None = None
        self.interface: Interface | None = None
        self.in_flight = 0
        self._limits = limits

    @property
    def answers(self) -> bool:
        """Whether requests may be sent to it."""
        return self.state in ("ready", "unloaded")

    def configure(self, wanted: ServedRevision, config: ServedEndpoint) -> None:
        """Other shares, limits or replicas of the same model."""
        self.wanted, self.config = wanted, config

    @property
    def queue(self) -> int:
        """Requests that may wait."""
        return self._limits.max_queued if self.config.queue is None else self.config.queue

    def bounds(self) -> dict[str, int]:
        """``max_batch``, ``concurrency`` and ``queue`` of its batcher."""
        config = self.config
        most, places = config.max_batch or self._limits.max_batch, config.concurrency or 1
        return {"max_batch": most, "concurrency": places, "queue": self.queue}

    def submit(self, call: Call, deadline: float, done: Done) -> Waiting | None:
        """Run a call; ``done`` gets the arrays, a ``Refused`` or a ``BadRequest``, now or later, once.

        What waits may be cancelled, where there is something returned.
        """
        self.in_flight += 1
        return self._start(call, deadline, partial(self._ended, done))

    def _ended(self, done: Done, outcome: Outcome) -> None:
        self.in_flight -= 1
        done(outcome)

    @abstractmethod
    def _start(self, call: Call, deadline: float, done: Done) -> Waiting | None: ...

    @property
    @abstractmethod
    def waiting(self) -> int:
        """Requests that wait for a place, for the model or for a replica."""

    @property
    @abstractmethod
    def batches(self) -> int:
        """Runs of the model so far."""

    @abstractmethod
    def close(self) -> None:
        """It is out of the routes: what is in flight ends, then what it holds goes."""

    @property
    def memory_bytes(self) -> int | None:
        """What it holds in this process, about."""
        return None

    @property
    def replicas(self) -> dict[str, str]:
        """Replica → ``up``, or why it does not answer."""
        return {}

    def ready(self) -> None:
        """It answers from now on."""
        if self.state != "ready":
            log.info("%s revision %s is ready", self.key, self.number)
        self.state, self.failure = "ready", None

    def fail(self, text: str) -> None:
        """It does not answer, and why."""
        self.state, self.failure = "failed", text
        log.error("%s revision %s: %s", self.key, self.number, text)

    def report(self) -> RevisionReport:
        """Its state and counts, as plain JSON."""
        stats = self.stats
        return {
            "state": self.state,
            "message": self.failure,
            "requests": stats.requests,
            "samples": stats.samples,
            "errors": {str(status): count for status, count in stats.by_status.items()},
            "seconds": stats.seconds,
            "buckets": list(stats.buckets),
            "in_flight": self.in_flight,
            "waiting": self.waiting,
            "batches": self.batches,
            "memory_bytes": self.memory_bytes,
            "replicas": self.replicas,
        }
