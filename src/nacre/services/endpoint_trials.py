"""New revisions on trial: what they answer is compared with what the others do, and did before."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import reduce
from operator import add

from nacre.clock import Clock
from nacre.domain.traffic import Counts, Verdict, Window, faults, judge
from nacre.schema.serving import ServedRevisionState, ServingStatus
from nacre.services.endpoint_settling import EndpointSettling, Trial

_log = logging.getLogger("nacre.endpoints")
_LENGTH_S = 60.0
_WINDOWS = 10
"""So long a revision is compared with what those before it did; with those beside it, always."""


class EndpointTrials:
    """Remembers the counts of the last while, in memory: after a restart it has to see them again. Only
    those of revisions that answer no more, which cannot be seen again, are stored."""

    def __init__(self, clock: Clock, settling: EndpointSettling) -> None:
        self._clock = clock
        self._settling = settling
        self._windows: dict[tuple[str, int], Window] = {}

    def look(self, status: ServingStatus) -> None:
        """Take over the counts, and take back what is worse."""
        now = self._clock.now().timestamp()
        trials = self._settling.trials()
        lengths = {trial.key: trial.rule.window_s for trial in trials}
        for key, told in status.endpoints.items():
            for one in told.revisions:
                self._window(key, one.revision, lengths.get(key)).add(now, _counts(one))
        for trial in trials:
            if not trial.beside and trial.before_counts is None:
                self._keep(trial)
            verdict = self._judge(trial, now)
            if verdict is not None and self._settling.take_back(trial, verdict):
                _log.warning(
                    "endpoint %s: revision %d was taken back: %s", trial.key, trial.number, verdict.message
                )
        self._forget(now)

    def _keep(self, trial: Trial) -> None:
        counts = self._others(trial, trial.before)
        if counts.requests:
            self._settling.keep(trial, counts)

    def _window(self, key: str, number: int, length_s: float | None) -> Window:
        found = self._windows.setdefault((key, number), Window(_LENGTH_S))
        if length_s is not None:
            found.length_s = length_s
        return found

    def _judge(self, trial: Trial, now: float) -> Verdict | None:
        length = trial.rule.window_s
        mine = self._windows.get((trial.key, trial.number))
        if mine is None or mine.last is None or mine.last < now - length:
            return None
        beside = self._others(trial, trial.beside, after=mine.start)
        if beside.requests >= trial.rule.min_requests:
            return judge(trial.rule, mine.counts(), beside)
        if now - trial.since.timestamp() > _WINDOWS * length:
            return None
        before = trial.before_counts or self._others(trial, trial.before)
        return judge(trial.rule, mine.counts(), before)

    def _others(self, trial: Trial, numbers: Iterable[int], after: float = 0.0) -> Counts:
        """What these others counted in a window up to their last request, or only after a time."""
        windows = [self._windows.get((trial.key, one)) for one in numbers if one != trial.number]
        return reduce(add, [one.counts(after) for one in windows if one], Counts())

    def _forget(self, now: float) -> None:
        for key, window in list(self._windows.items()):
            if (window.last or window.start) < now - 2 * _WINDOWS * window.length_s:
                del self._windows[key]


def _counts(one: ServedRevisionState) -> Counts:
    return Counts(one.requests, faults(one.errors), tuple(one.buckets))
