"""The replicas of one revision: which of them gets what, and what waits for them."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from nacre.modelserver import frames
from nacre.modelserver.backend import DeadlineExceeded, Refused
from nacre.modelserver.calls import Outcome
from nacre.modelserver.link import STREAMS, UP, Link, RawOutcome, Work
from nacre.modelserver.replica_answers import Hello
from nacre.modelserver.tensors import Array
from nacre.schema.serving import ServedReplica

MAX_RESPONSE = 1 << 28
"""Bytes of an answer, where the endpoint has no limit of its own."""

TIMEOUT_S = 60.0
"""Seconds that a request may take, where nobody says anything else."""


class RawRequest(NamedTuple):
    """A request for the model's own code. ``headers``: lower-case names."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Pool:
    """Runs batches and requests on replicas: on the one with the least under way, ``concurrency`` at once.

    What finds no place waits for one, or for a replica, until its deadline. ``accept``: why a replica with
    this hello cannot be used, or null. ``changed`` is called when replicas come and go, and when work
    begins to wait. ``timeout_s``: how long a request may take; a replica that answers nothing for longer
    gets nothing more, and is told of as hung.
    """

    def __init__(
        self,
        concurrency: int = 1,
        max_response_bytes: int = MAX_RESPONSE,
        accept: Callable[[Hello], str | None] = lambda _: None,
        changed: Callable[[], None] = lambda: None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._concurrency = concurrency
        self._max = max_response_bytes
        self._accept = accept
        self.changed = changed
        self.timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._links: dict[str, Link] = {}
        self._waiting: dict[int, Work] = {}
        self._numbers = itertools.count(1)
        self._turn = random.randrange(1 << 16)  # noqa: S311 - workers should not all begin with the first one

    # ---- replicas

    def set_replicas(self, replicas: Sequence[ServedReplica]) -> None:
        """These are all from now on; those that are gone finish what they have."""
        wanted = {one.id: one for one in replicas}
        for name, link in list(self._links.items()):
            if wanted.get(name) != link.replica:
                del self._links[name]
                link.retire()
        for name, one in wanted.items():
            if name not in self._links:
                self._links[name] = Link(
                    one, self._max, self._accept, self._moved, self._pump, lambda: self.timeout_s
                )
        self._moved()

    def states(self) -> dict[str, str]:
        """Replica → ``up``, or why it does not answer; see :attr:`Link.state`."""
        return {name: link.state for name, link in self._links.items()}

    @property
    def hello(self) -> Hello | None:
        """What the replicas say of the model; null while none is up."""
        return next((link.hello for link in self._links.values() if link.state == UP), None)

    @property
    def up(self) -> int:
        """Replicas that take work."""
        return sum(link.open for link in self._links.values())

    @property
    def places(self) -> int:
        """Batches that can be under way at once."""
        return self.up * self._concurrency

    @property
    def queued(self) -> int:
        """Batches and requests that wait, for a place or for a replica."""
        return len(self._waiting)

    @property
    def waiting(self) -> int:
        """Those of them that wait because no replica takes work."""
        return 0 if self.up else len(self._waiting)

    @property
    def concurrency(self) -> int:
        """Batches under way in a replica; may be set at any time."""
        return self._concurrency

    @concurrency.setter
    def concurrency(self, number: int) -> None:
        self._concurrency = number
        self._pump()

    def close(self) -> None:
        """The revision is gone: what waits is refused, what is under way ends."""
        self.set_replicas([])
        works, self._waiting = list(self._waiting.values()), {}
        for work in works:
            work.end(Refused(503, "the revision is gone: try again"))

    # ---- work

    def start(
        self,
        outputs: list[str],
        feed: dict[str, Array],
        deadline: float,
        done: Callable[[Outcome], None],
    ) -> None:
        """Run a batch; see :class:`nacre.modelserver.backend.Remote`."""
        described: list[dict[str, Any]] = []
        tail: list[bytes | memoryview] = []
        for name, array in feed.items():
            spec, raw = frames.describe(name, array, frames.datatype_of(array))
            described.append(spec)
            tail.append(raw)
        head = {"type": "infer", "outputs": outputs, "inputs": described}
        self._admit(Work(next(self._numbers), head, tail, done, outputs), deadline)

    def raw(
        self, request: RawRequest, deadline: float, done: Callable[[RawOutcome], None]
    ) -> Callable[[], None]:
        """Have the model's own code answer a request.

        ``done`` gets a :class:`RawAnswer`, or :class:`Parts` with the first part of a stream, or why there
        is no answer. ``deadline`` (the loop's time) is that of the first part; each further one may take as
        long. Returns what tells, before ``done``, that nobody waits any more.
        """
        head = {"type": "raw", "method": request.method, "path": request.path, "headers": request.headers}
        gap_s = max(0.0, deadline - self._loop.time())
        work = Work(next(self._numbers), head, [request.body], done, gap_s=gap_s)
        self._admit(work, deadline)
        return partial(self._drop, work, Refused(499, "the client has gone"))

    def _admit(self, work: Work, deadline: float) -> None:
        link = None if self._waiting else self._pick(work)
        if link is not None:
            link.send(work)
        else:
            self._waiting[work.number] = work
            self._moved()
        if not work.over:
            work.timer = self._loop.call_at(deadline, self._expire, work)

    def _moved(self) -> None:
        """Replicas have come or gone, or there is more to do for them."""
        self._pump()
        self.changed()

    def _pick(self, work: Work) -> Link | None:
        """The replica with the least under way that has a place; in turns where several have as little."""
        links = list(self._links.values())
        self._turn += 1
        best: Link | None = None
        for index in range(len(links)):
            link = links[(self._turn + index) % len(links)]
            if not link.open or link.busy >= self._concurrency:
                continue
            if work.outputs is None and link.streams >= STREAMS:
                continue
            if best is None or link.busy + link.streams < best.busy + best.streams:
                best = link
        return best

    def _pump(self) -> None:
        """Send what waits, as far as there are places."""
        for work in list(self._waiting.values()):
            link = self._pick(work) if work.number in self._waiting else None
            if link is not None:
                del self._waiting[work.number]
                link.send(work)
            elif work.outputs is not None:
                return  # a request may only find too many streams, where a batch still finds a place

    def _expire(self, work: Work) -> None:
        up = work.link is not None or self.up
        text = "there was no answer in time" if up else "no replica was ready in time"
        self._drop(work, DeadlineExceeded(text))

    def _drop(self, work: Work, why: Refused) -> None:
        if work.over:
            return
        self._waiting.pop(work.number, None)
        if work.link is not None:
            work.link.cancel(work)
        work.end(why)
