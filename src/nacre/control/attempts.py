"""Looks after attempts: launches, adopts, stops, and tidies up after what has ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from nacre.clock import Clock
from nacre.control.loop import Loop
from nacre.db.tables.attempts import AttemptRow
from nacre.domain.jobs import NODE_LOST
from nacre.errors import NotFound, Unavailable
from nacre.ports.engines import Observed
from nacre.services.attempts import PLACED, Attempts

_log = logging.getLogger("nacre.control")

_MAX_ADOPTIONS = 5
_CALM_S = 60.0
_PATIENCE_S = 600.0
"""How long an ended attempt may take to send the rest before it is given up."""


class AttemptsLoop(Loop):
    """Compares every attempt that is not closed with what the engine sees of it.

    A launcher that is gone while there is something left of its attempt is replaced; an attempt of which
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
        self._adoptions: dict[str, tuple[int, float]] = {}
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
        self._adoptions = {row.id: self._adoptions[row.id] for row in rows if row.id in self._adoptions}

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
        elif row.state == PLACED and row.desired == "run":
            self._attempts.launch(row.id)
        elif row.state == PLACED:
            self._stop_unlaunched(row)
        else:
            self._watch(row, self._engine.observe(row.handle))

    def _stop_unlaunched(self, row: AttemptRow) -> None:
        """Stopped before anybody launched it, unless a server died between the launch and its note."""
        seen = self._engine.observe(row.handle)
        if seen.launcher or seen.work or seen.exited:
            self._watch(row, seen)
        else:
            self._attempts.end(
                row.id, row.desired_reason or "cancelled_by_user", "stopped before it started"
            )

    def _watch(self, row: AttemptRow, seen: Observed) -> None:
        if seen.launcher:
            if row.desired == "stop":
                self._engine.stop(row.handle)
        elif seen.done:
            self._attempts.end(row.id, NODE_LOST, "the launcher ended without reporting how the work ended")
        elif not self._adopt(row):
            self._attempts.end(row.id, NODE_LOST, "nothing is left of the attempt on its node")

    def _adopt(self, row: AttemptRow) -> bool:
        """Start a launcher on what is left; False when nothing is, or when launchers keep dying."""
        count, last = self._adoptions.get(row.id, (0, 0.0))
        now = self._monotonic()
        if now - last > _CALM_S:
            count = 0
        if count >= _MAX_ADOPTIONS:
            return False
        self._adoptions[row.id] = (count + 1, now)
        try:
            self._engine.adopt(row.handle)
        except NotFound:
            return False
        _log.info("attempt %s: its launcher was gone; another one carries on", row.id)
        return True

    def _tidy(self, row: AttemptRow) -> None:
        """After the end: the launcher sends the rest, then folder and token go."""
        assert row.ended_at is not None
        seen = self._engine.observe(row.handle)
        fenced = row.desired == "fence"
        late = (self._clock.now() - row.ended_at).total_seconds() > _PATIENCE_S
        if not late:
            if seen.work:  # reported as ended, yet alive: nobody pays for it, so it must not go on
                self._engine.stop(row.handle)
            if seen.launcher or (seen.work and self._adopt(row)):
                return
            if not seen.done and not fenced and self._adopt(row):
                return
        self._engine.forget(row.handle)
        self._attempts.close(row.id)
