"""Batches without a timer: calls that arrive together are answered together.

Calls of one turn of the event loop are collected and joined at its end. A short model runs at once on the
loop; a longer one on a thread, and what comes meanwhile makes its next batch; a remote one keeps several
batches under way. A call that is alone is run as it came, without a copy.

Rows are joined only where a model treats each row by itself (:func:`~nacre.modelserver.rows.rowwise`). Even
then a kernel may add up in another order for another number of rows: answers are equal within the rounding
of floats, not to the last bit.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import cast

from nacre.modelserver.backend import DeadlineExceeded, Local, ModelFailed, Overloaded, Refused, Remote
from nacre.modelserver.calls import BadRequest, Call, Interface, Outcome
from nacre.modelserver.rows import Feed, join, open_rows, split
from nacre.modelserver.tensors import Array

log = logging.getLogger(__name__)

_INLINE_SECONDS = 0.002
"""A call expected to take longer leaves the event loop."""
_TARGET_SECONDS = 0.1
"""How long a batch of more than one call should take at most."""
_WEIGHT = 0.05
_LOOK = 4
"""How many times the largest batch is looked through for calls that fit together."""

_TOO_LONG = "there was no answer within the request's timeout"

Done = Callable[[Outcome], None]
Run = Callable[[list[str], Feed], list[Array]]
Start = Callable[[list[str], Feed, float, Done], None]


class Gone(Refused):
    """The client has left before the answer; nobody reads this."""

    def __init__(self) -> None:
        super().__init__(499, "the client has closed the connection")


class Waiting:
    """A call between :meth:`Batcher.submit` and its outcome."""

    __slots__ = ("_done", "call", "deadline", "fit", "over", "rows", "size")

    def __init__(self, call: Call, deadline: float, done: Done) -> None:
        self.call = call
        self.deadline = deadline
        self.rows = 1
        self.size = 0
        self.fit: object = None
        """Calls whose ``fit`` is equal can be joined; null: with none."""
        self.over = False
        self._done = done

    def end(self, outcome: Outcome) -> None:
        """Pass the outcome on, the first time."""
        if not self.over:
            self.over = True
            self._done(outcome)

    def cancel(self) -> None:
        """The client has gone: the call is not run any more, if it has not begun."""
        self.end(Gone())


class Batcher:
    """Collects the calls of one revision. Everything happens on the event loop but the runs on ``threads``.

    ``concurrency``: batches under way at once off the loop; 0 lets calls wait. ``queue``: calls that wait
    for one of these places; one more is refused. ``max_batch``: rows of a batch that is put together.
    """

    def __init__(
        self,
        backend: Local | Remote,
        interface: Interface,
        threads: Executor,
        *,
        max_batch: int,
        concurrency: int,
        queue: int,
    ) -> None:
        self.batches = 0
        """Runs so far."""
        self.joins = open_rows(interface) and getattr(backend, "rowwise", True)
        """Whether calls are put together at all."""
        self._interface = interface
        self._run: Run | None = getattr(backend, "run", None)
        self._start_remote: Start | None = getattr(backend, "start", None)
        self._inline: bool = getattr(backend, "inline", False)
        self._threads = threads
        self._max_batch, self._concurrency, self._queue = max_batch, concurrency, queue
        self._plain = all(size >= 0 for spec in interface.inputs.values() for size in spec.shape[1:])
        self._loop = asyncio.get_running_loop()
        self._now: deque[Waiting] = deque()
        self._later: deque[Waiting] = deque()
        self._running: dict[int, list[Waiting]] = {}
        self._serial = 0
        self._scheduled = False
        self._timer: asyncio.TimerHandle | None = None
        self._byte_seconds = 0.0
        self._row_seconds = 0.0

    def configure(self, *, max_batch: int, concurrency: int, queue: int) -> None:
        """Other bounds, from now on."""
        self._max_batch, self._concurrency, self._queue = max_batch, concurrency, queue
        self._start()

    @property
    def waiting(self) -> int:
        """Calls that have not begun."""
        return len(self._later)

    @property
    def running(self) -> int:
        """Batches under way off the loop."""
        return len(self._running)

    # ---- asking

    def submit(self, call: Call, deadline: float, done: Done) -> Waiting:
        """Have a call run until ``deadline`` (the loop's time).

        ``done`` gets its arrays or why there are none, once, on the event loop; when the call is refused,
        before this returns.
        """
        waiting = Waiting(call, deadline, done)
        size = 0
        for array in call.feed.values():
            size += array.nbytes
        waiting.size = size
        if self.joins:
            self._classify(waiting)
        if self._inline and size * self._byte_seconds <= _INLINE_SECONDS:
            self._now.append(waiting)
        elif len(self._later) < self._queue + self._room():
            self._later.append(waiting)
            self._watch(deadline)
        else:
            waiting.end(Overloaded(f"{len(self._later)} requests are waiting already: try again later"))
            return waiting
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)
        return waiting

    def _classify(self, waiting: Waiting) -> None:
        """What the call can be joined with: the same outputs, and rows of the same shapes."""
        call = waiting.call
        count = -1
        shapes = []
        for array in call.feed.values():
            if count not in (-1, len(array)):
                return  # broadcasting between the inputs is not split up
            count = len(array)
            if not self._plain:
                shapes.append(array.shape[1:])
        waiting.rows = count
        if 0 < count < self._max_batch:
            names = call.outputs
            same = names is self._interface.output_names
            if self._plain:
                waiting.fit = True if same else tuple(names)
            else:
                # By name: a client may give the inputs in any order.
                waiting.fit = tuple(names), tuple(sorted(zip(call.feed, shapes, strict=True)))

    def _room(self) -> int:
        """Calls that can begin in this turn."""
        free = self._concurrency - len(self._running)
        return max(0, free) * (self._max_batch if self.joins else 1)

    # ---- forming batches

    def _flush(self) -> None:
        """The turn is over."""
        self._scheduled = False
        while self._now:
            batch = self._take(self._now, 0.0)
            if batch and self._run is not None:
                began = time.perf_counter()
                outcomes = self._outcomes(batch, self._run)
                self._end(batch, outcomes, time.perf_counter() - began)
        if self._later:
            self._start()

    def _start(self) -> None:
        """Fill the places that are free."""
        while self._later and len(self._running) < self._concurrency:
            batch = self._take(self._later, self._loop.time())
            if not batch:
                continue
            self._serial += 1
            self._running[self._serial] = batch
            if self._run is not None:
                self._threads.submit(self._work, self._serial, batch, self._run)
            elif self._start_remote is not None:
                self._send(self._serial, batch, self._start_remote)

    def _take(self, queue: deque[Waiting], now: float) -> list[Waiting]:
        """The next calls that go together, the oldest first; none when nobody waits for them any more."""
        batch: list[Waiting] = []
        passed: list[Waiting] = []
        room = self._most()
        looks = self._max_batch * _LOOK
        while queue and looks and room > 0:
            waiting = queue.popleft()
            if waiting.over:
                continue
            if waiting.deadline <= now:
                waiting.end(DeadlineExceeded(_TOO_LONG))
                continue
            if not batch:
                if waiting.fit is None or not self.joins:
                    return [waiting]
            elif waiting.fit != batch[0].fit or waiting.rows > room:
                looks -= 1
                passed.append(waiting)
                continue
            batch.append(waiting)
            room -= waiting.rows
        queue.extendleft(reversed(passed))
        return batch

    def _most(self) -> int:
        """Rows that a batch may have so that it takes no longer than it should."""
        if self._row_seconds * self._max_batch <= _TARGET_SECONDS:
            return self._max_batch
        return max(1, int(_TARGET_SECONDS / self._row_seconds))

    # ---- running

    def _work(self, serial: int, batch: list[Waiting], run: Run) -> None:
        """A batch, on a thread."""
        began = time.perf_counter()
        outcomes = self._outcomes(batch, run)
        seconds = time.perf_counter() - began
        try:
            self._loop.call_soon_threadsafe(self._finish, serial, outcomes, seconds)
        except RuntimeError:
            log.debug("the loop ended before a batch did")

    def _outcomes(self, batch: list[Waiting], run: Run) -> list[Outcome]:
        """One outcome for each call; never raises."""
        if len(batch) > 1:
            try:
                arrays = run(batch[0].call.outputs, join([waiting.call.feed for waiting in batch]))
            except Exception as wrong:
                log.info("a batch of %d calls failed, each is run alone: %s", len(batch), wrong)
            else:
                parts = self._split(batch, arrays)
                if parts is not None:
                    return parts
        return [_alone(waiting.call, run) for waiting in batch]

    def _split(self, batch: list[Waiting], arrays: list[Array]) -> list[Outcome] | None:
        parts = split(arrays, [waiting.rows for waiting in batch])
        if parts is None:
            self.joins = False
            log.warning("%s does not answer a row for a row: it gets no batches", self._interface.model)
        return cast("list[Outcome] | None", parts)

    def _finish(self, serial: int, outcomes: list[Outcome], seconds: float) -> None:
        batch = self._running.pop(serial)
        # The next batch begins before the answers of this one are written.
        self._start()
        self._end(batch, outcomes, seconds)

    def _end(self, batch: list[Waiting], outcomes: list[Outcome], seconds: float) -> None:
        self.batches += 1
        rows = size = 0
        for waiting in batch:
            rows += waiting.rows
            size += waiting.size
        self._row_seconds += (seconds / max(rows, 1) - self._row_seconds) * _WEIGHT
        self._byte_seconds += (seconds / max(size, 1) - self._byte_seconds) * _WEIGHT
        for waiting, outcome in zip(batch, outcomes, strict=True):
            waiting.end(outcome)

    # ---- remote

    def _send(self, serial: int, batch: list[Waiting], start: Start) -> None:
        feed = batch[0].call.feed if len(batch) == 1 else join([waiting.call.feed for waiting in batch])
        until = max(waiting.deadline for waiting in batch)
        start(batch[0].call.outputs, feed, until, partial(self._sent, serial, time.perf_counter()))

    def _sent(self, serial: int, began: float, outcome: Outcome) -> None:
        batch = self._running[serial]
        outcomes: list[Outcome] | None = [outcome] * len(batch)
        if len(batch) > 1:
            if not isinstance(outcome, Exception):
                outcomes = self._split(batch, outcome)
            elif isinstance(outcome, BadRequest | ModelFailed):
                outcomes = None
        if outcomes is not None:
            self._finish(serial, outcomes, time.perf_counter() - began)
            return
        # One of them may be at fault: each is asked alone, before the calls that came later.
        del self._running[serial]
        for waiting in batch:
            waiting.fit = None
        self._later.extendleft(reversed(batch))
        self._start()

    # ---- deadlines

    def _watch(self, deadline: float) -> None:
        """Look at this time who has waited too long."""
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        now = self._loop.time()
        left = math.inf
        for batch in (list(self._later), *self._running.values()):
            for waiting in batch:
                if waiting.over:
                    continue
                if waiting.deadline <= now:
                    waiting.end(DeadlineExceeded(_TOO_LONG))
                else:
                    left = min(left, waiting.deadline)
        if left < math.inf:
            self._watch(left)


def _alone(call: Call, run: Run) -> Outcome:
    try:
        return run(call.outputs, call.feed)
    except Exception as wrong:
        return wrong
