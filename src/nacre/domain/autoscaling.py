"""How many replicas a revision shall have: pure functions of what was measured of it.

Load is the mean number of requests under way. Up is quick: the mean of the last ten seconds decides, of
three where it is far too much already. Before there are three seconds to judge by, as after a cold start,
nothing changes: what waits for the first replica tells nothing of how soon that will have answered it. What
gets less by itself gets no more replicas than end it in ten seconds. Down is slow: what was needed at any
moment of the last half minute stays. A tolerance lies between both, so that a load that only wavers around
a limit changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from math import ceil
from typing import NamedTuple

from nacre.schema.endpoints import Scaling, Schedule

MEAN_S = 10.0
BURST_S = 3.0
STABLE_S = 30.0
KEPT_S = MEAN_S + STABLE_S
"""How far back a window of measurements has to go."""
TOLERANCE = 0.1
SOON_S = 10.0
"""A burst may take so long to be worked off."""
_ANY = 1 << 30
_SHORT = 10
"""Requests of up to such a part of a span are counted by their seconds, longer ones by looking."""
_BACK_OFF_MAX_S = 60.0
MOST_FAILURES = 5
"""Replicas in a row that never answered, after which nobody tries again."""


class Measure(NamedTuple):
    """What the model server told of a revision at one moment.

    ``at``: seconds since the epoch. ``requests`` and ``seconds`` are totals that grow as requests end;
    ``under_way`` counts those that have not, wherever they wait. ``answering``: replicas, at least one.
    """

    at: float
    requests: int
    seconds: float
    under_way: int
    answering: int = 1

    def follows(self, before: Measure) -> bool:
        """Whether it is of the same life of the model server as the one before."""
        return self.at > before.at and self.requests >= before.requests and self.seconds >= before.seconds


@dataclass(frozen=True)
class Scaled:
    """How many there shall be up to now, and since when there was no request, if there is none."""

    wanted: int
    idle_since: datetime | None = None


def wanted(scaling: Scaling, now: datetime, state: Scaled, window: Sequence[Measure]) -> int:
    """How many replicas there shall be.

    ``window``: measurements of one life of the model server, oldest first. Without any, all stays as it is.
    """
    least, most = bounds(scaling, now)
    under_way = window[-1].under_way if window else 0
    if least == 0 and not under_way:
        idle = state.idle_since
        if state.wanted == 0 or (idle is not None and now - idle >= timedelta(seconds=scaling.idle_s)):
            return 0
    if state.wanted == 0:
        return max(least, 1)
    return max(least, 1, min(most, _by_load(scaling.target, state.wanted, window)))


def _by_load(target: float, have: int, window: Sequence[Measure]) -> int:
    if not window or window[-1].at - window[0].at < BURST_S:
        return have
    load, burst = mean_load(window, MEAN_S), mean_load(window, BURST_S)
    if burst > 2 * have * target:
        load = max(load, burst)
    if load > have * target * (1 + TOLERANCE):
        if burst <= have * target:
            return have  # it is over
        return max(have, min(_enough(load, target), _to_end_soon(window)))
    return min(have, _peak(target, window)) if window[-1].at - window[0].at >= STABLE_S else have


def _to_end_soon(window: Sequence[Measure]) -> int:
    """How many replicas would end soon what is under way, if each goes on making it less as it did."""
    last = window[-1]
    before = [one for one in window if one.at <= last.at - BURST_S][-1]
    less = before.under_way - last.under_way
    if less <= 0:
        return _ANY
    return ceil(before.answering * last.under_way * (last.at - before.at) / less / SOON_S)


def _peak(target: float, window: Sequence[Measure]) -> int:
    """The most that was needed at any moment of the last half minute."""
    since = window[-1].at - STABLE_S
    moments = [window[: end + 1] for end in range(1, len(window)) if window[end].at >= since]
    return max(_enough(mean_load(upto, span), target) for upto in moments for span in (MEAN_S, BURST_S))


def _enough(load: float, target: float) -> int:
    return ceil(load / target - 1e-9)


def mean_load(window: Sequence[Measure], span_s: float) -> float:
    """The mean number of requests under way in the last so many seconds.

    The growth of ``seconds`` tells it exactly, but only of requests that have ended. Where these take long,
    it comes in lumps, and what was seen under way at each moment tells more.
    """
    last = window[-1]
    before = [one for one in window[:-1] if one.at <= last.at - span_s]
    first = before[-1] if before else window[0]
    lasted = last.at - first.at
    if lasted <= 0:
        return float(last.under_way)
    ended, seconds = last.requests - first.requests, last.seconds - first.seconds
    if ended and seconds / ended <= lasted / _SHORT:
        return seconds / lasted
    seen = [one for one in window if one.at >= first.at]
    return sum(two.under_way * (two.at - one.at) for one, two in pairwise(seen)) / lasted


def bounds(scaling: Scaling, now: datetime) -> tuple[int, int]:
    """The fewest and the most at this time: those of the first schedule that holds, or the usual ones."""
    for one in scaling.schedules:
        if _holds(one, now):
            return one.min_replicas, max(one.min_replicas, one.max_replicas)
    return scaling.min_replicas, max(scaling.min_replicas, scaling.max_replicas)


def _holds(schedule: Schedule, now: datetime) -> bool:
    """``now`` in UTC. A schedule that ends before it begins goes over midnight, and its days are those on
    which it begins; one that ends when it begins lasts a whole day."""
    begins, ends, at = _minute(schedule.from_time), _minute(schedule.to_time), now.hour * 60 + now.minute
    today, yesterday = now.weekday(), (now.weekday() - 1) % 7
    if begins < ends:
        return today in schedule.days and begins <= at < ends
    return (today in schedule.days and at >= begins) or (yesterday in schedule.days and at < ends)


def _minute(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)


def share_of(scaling: Scaling, now: datetime, beside: Iterable[tuple[int, int]], percent: int) -> int:
    """With how many replicas a revision begins that will have so many percent of the requests.

    ``beside``: of each of the others how many replicas it shall have, and the percent that it answers now.
    """
    least, most = bounds(scaling, now)
    answering = [(replicas, share) for replicas, share in beside if share > 0]
    replicas, shares = sum(one for one, _ in answering), sum(share for _, share in answering)
    return max(least, 1, min(most, ceil(replicas * percent / shares))) if shares else max(least, 1)


def back_off_s(failures: int) -> float:
    """How long to wait after so many failures in a row: not after the first, then 1, 2, 4 … 60 seconds."""
    return min(_BACK_OFF_MAX_S, 2.0 ** min(failures - 2, 20)) if failures > 1 else 0.0
