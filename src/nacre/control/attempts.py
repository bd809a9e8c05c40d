"""Looks after attempts: launches, adopts, stops, and tidies up after what has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from nacre.clock import Clock
from nacre.control.loop import Loop
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.domain.jobs import CANCELLED, NODE_LOST
from nacre.errors import NotFound, Unavailable
from nacre.ports.engines import Observed
from nacre.services.attempts import Attempts
from nacre.services.replicas import LOST, PLACED

_log = logging.getLogger("nacre.control")

_MAX_ADOPTIONS = 5
_CALM_S = 15.0
"""A launcher that has lived so long does not belong to those that die one after the other."""
_PATIENCE_S = 600.0
"""How long an ended attempt may take to send the rest before it is given up."""
BARRIER_S = 300.0
"""How long the replicas of a gang that are ready wait for the others."""
_DEAF_S = 120.0
"""How long a launcher that was asked to stop may be silent, beyond the time of grace."""

Key = tuple[str, int]


class AttemptsLoop(Loop):
    """Compares every replica of the attempts that are not closed with what the engine sees of it.

    A launcher that is gone while there is something left of its replica is replaced; a replica of which
    nothing is left ends as ``node_lost``. While the engine cannot tell, nothing changes.
    """

    name = "attempts"
    topics = ("attempts",)
    interval_s = 2.0

    def __init__(
        self, attempts: Attempts, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._attempts = attempts
        self._engine = attempts.engine
        self._clock = clock
        self._monotonic = monotonic
        self._adoptions: dict[Key, tuple[int, float]] = {}
        self._since: dict[tuple[str, str], float] = {}
        """When this server first saw that an attempt was at its barrier, or was to stop."""
        self._swept = False

    def run_once(self) -> None:
        """Look at each attempt once."""
        if not self._swept:
            self._sweep()
        rows = self._attempts.open_ones()
        for row in rows:
            try:
                self._look_after(row)
            except Unavailable as error:
                _log.warning("attempt %s: the engine cannot tell now: %s", row.id, error.detail)
            except Exception:
                _log.exception("attempt %s could not be looked after", row.id)
        there = {row.id for row in rows}
        self._adoptions = {key: known for key, known in self._adoptions.items() if key[0] in there}
        self._since = {key: at for key, at in self._since.items() if key[0] in there}

    def _sweep(self) -> None:
        """Once after the start: end and remove what a crash left behind of attempts that are over."""
        try:
            orphans = self._attempts.orphans()
        except Unavailable as error:
            _log.warning("the engine cannot tell now what is left of old attempts: %s", error.detail)
            return
        self._swept = True
        for attempt, handle, unknown in orphans:
            try:
                self._engine.forget(handle, everything=unknown)
            except Unavailable as error:
                _log.warning("attempt %s is over, but not cleared: %s", attempt, error.detail)

    def _look_after(self, row: AttemptRow) -> None:
        if row.ended_at is not None:
            self._tidy(row)
            return
        if row.desired == "run" and any(one.state == PLACED for one in row.replicas):
            self._attempts.launch(row.id)
        for replica in row.replicas:
            if replica.ended_at is not None:
                continue
            if replica.state != PLACED:
                self._watch(row, replica, self._engine.observe(replica.handle))
            elif row.desired != "run":
                self._stop_unlaunched(row, replica)
        self._watch_barrier(row)

    def _stop_unlaunched(self, row: AttemptRow, replica: ReplicaRow) -> None:
        """Stopped before anybody launched it, unless a server died between the launch and its note."""
        seen = self._engine.observe(replica.handle)
        if seen.launcher or seen.work or seen.exited:
            self._watch(row, replica, seen)
        else:
            reason = row.desired_reason or CANCELLED
            self._attempts.lose(row.id, replica.rank, reason, "stopped before it started")

    def _watch(self, row: AttemptRow, replica: ReplicaRow, seen: Observed) -> None:
        if seen.launcher:
            if row.desired == "stop":
                self._engine.stop(replica.handle)
                self._watch_stop(row, replica)
            return
        if seen.done:
            message = "the launcher ended without reporting how the work ended"
        elif not self._adopt(row, replica):
            message = "nothing is left of the attempt on its node"
        else:
            return
        self._attempts.lose(row.id, replica.rank, NODE_LOST, message)

    def _watch_stop(self, row: AttemptRow, replica: ReplicaRow) -> None:
        """A launcher that neither stops nor says anything is given up: what is left of it is killed."""
        silent_s = (self._clock.now() - (replica.seen_at or row.allocated_at)).total_seconds()
        if self._for(row, "stop") > _DEAF_S + (row.desired_grace or 0) and silent_s > _DEAF_S:
            message = f"its launcher did not answer for {silent_s:.0f} seconds when it was asked to stop"
            self._attempts.lose(row.id, replica.rank, NODE_LOST, message)

    def _watch_barrier(self, row: AttemptRow) -> None:
        late = [one for one in row.replicas if one.ready_at is None]
        if len(late) in (0, len(row.replicas)) or row.desired != "run":
            return
        if self._for(row, "barrier") <= BARRIER_S:
            return
        names = ", ".join(f"{one.rank} ({one.state})" for one in late[:5])
        count = f"{len(late)} of {len(row.replicas)} replicas"
        message = f"{count} did not get ready within {BARRIER_S:.0f} seconds of the first: {names}"
        self._attempts.break_barrier(row.id, message)

    def _for(self, row: AttemptRow, what: str) -> float:
        """Seconds since this server first saw it so: the time that it was away does not count."""
        now = self._monotonic()
        return now - self._since.setdefault((row.id, what), now)

    def _adopt(self, row: AttemptRow, replica: ReplicaRow) -> bool:
        """Start a launcher on what is left; False when nothing is, or when launchers keep dying."""
        key = (row.id, replica.rank)
        count, last = self._adoptions.get(key, (0, 0.0))
        now = self._monotonic()
        if now - last > _CALM_S:
            count = 0
        if count >= _MAX_ADOPTIONS:
            return False
        self._adoptions[key] = (count + 1, now)
        try:
            self._engine.adopt(replica.handle)
        except NotFound:
            return False
        _log.info("attempt %s: the launcher of replica %d was gone; another one carries on", *key)
        return True

    def _tidy(self, row: AttemptRow) -> None:
        """After the end: the launchers send the rest, then folders and token go."""
        assert row.ended_at is not None
        late = (self._clock.now() - row.ended_at).total_seconds() > _PATIENCE_S
        if not late:
            finishing = [self._finishing(row, replica) for replica in row.replicas]
            if any(finishing):
                return
        for replica in row.replicas:
            self._engine.forget(replica.handle)
        self._attempts.close(row.id)

    def _finishing(self, row: AttemptRow, replica: ReplicaRow) -> bool:
        """Whether its launcher still has something to do."""
        seen = self._engine.observe(replica.handle)
        fenced = row.desired == "fence" or replica.state == LOST
        if seen.work:  # reported as ended, yet alive: nobody pays for it, so it must not go on
            self._engine.stop(replica.handle)
        if seen.launcher or (seen.work and self._adopt(row, replica)):
            return True
        return not seen.done and not fenced and self._adopt(row, replica)
