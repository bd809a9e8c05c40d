"""Places kept for those who wait at the front, and what others may use meanwhile.

A blocked job at the front of the queue gets a *guard*: the earliest moment at which it surely fits, and
what will be free then beyond its own need. Whoever starts now either has ended by then, or lives within
that rest: so no guard's moment moves (EASY backfilling: Lifka, JSSPP 1995, for several jobs, not one).
Where no limit on time tells when it fits, the moment is unknown, and everybody has to live within the rest.
"""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from nacre.domain.scheduling.capacity import Capacity
from nacre.domain.scheduling.model import Holding, Lane, Seat

NEVER = math.inf
"""No limit on time tells when."""


@dataclass(slots=True)
class Guard:
    """``at``: when the job surely fits. ``rest``: what is free then for others. ``seats``: its place."""

    name: str
    project: str
    at: float
    rest: Capacity
    seats: list[Seat]


class Releases:
    """What occupies the machines, in the order in which it surely ends; what may go on forever is last."""

    def __init__(self, held: Iterable[Holding], now: float) -> None:
        self._now = now
        self._rows = sorted(map(self._row, held, count()))

    def _row(self, held: Holding, number: int) -> _Release:
        end = NEVER if held.ends_by is None else max(held.ends_by, self._now)
        return end, held.since, held.id, number, held

    def add(self, held: Holding) -> None:
        """One more."""
        insort(self._rows, self._row(held, len(self._rows)))

    def hasten(self, ids: Set[str]) -> None:
        """These are told to go now, and have gone after their grace."""
        told = [_told_to_go(row, self._now) if row[2] in ids else row[4] for row in self._rows]
        self._rows = sorted(map(self._row, told, count()))

    def __len__(self) -> int:
        return len(self._rows)

    def end(self, at: int) -> float:
        """When the one at this place has ended."""
        return self._rows[at][0]

    def part(self, start: int, stop: int) -> list[Holding]:
        """Those at these places."""
        return [row[4] for row in self._rows[start:stop]]

    def all(self) -> list[Holding]:
        """Every one."""
        return self.part(0, len(self._rows))


_Release = tuple[float, float, str, int, Holding]
"""Sorted as it is: the number tells any two apart before their holdings are compared."""


def _told_to_go(row: _Release, now: float) -> Holding:
    return replace(row[4], ends_by=min(row[0], now + row[4].grace), leaving=True)


def guard(
    name: str, project: str, lane: Lane, free: Capacity, releases: Releases, now: float
) -> Guard | None:
    """The guard of a job that does not fit now; None when it does not even when all has ended.

    The places that are kept for earlier guards are taken from ``free`` and are among the ``releases``, so
    ``at`` is the latest it can be.
    """
    rest = free.copy()
    done, step = 0, 1
    while rest.slots(lane).sum() < lane.replicas:  # gallop, then look back for the first that does
        if done == len(releases):
            return None
        before, start = rest.copy(), done
        done = min(len(releases), done + step)
        rest.hold(releases.part(start, done), +1)
        step *= 2
    if done:
        low, high = start + 1, done
        while low < high:
            half = (low + high) // 2
            if _after(before, releases.part(start, half)).slots(lane).sum() >= lane.replicas:
                high = half
            else:
                low = half + 1
        done, rest = high, _after(before, releases.part(start, high))
    at = releases.end(done - 1) if done else now
    while at != NEVER and done < len(releases) and releases.end(done) <= at:
        rest.hold(releases.part(done, done + 1), +1)
        done += 1
    seats = _late_seats(rest, free, lane)
    rest.take(lane, seats)
    return Guard(name, project, at, rest, seats)


def _after(free: Capacity, ended: Sequence[Holding]) -> Capacity:
    later = free.copy()
    later.hold(ended, +1)
    return later


def _late_seats(rest: Capacity, free: Capacity, lane: Lane) -> list[Seat]:
    """Its place then; of devices, first those that are in use now: what is free now stays of use."""
    seats = rest.seats(lane, rest.slots(lane), lane.replicas)
    if lane.shape.gpu < 1:
        return seats
    moved, used = [], dict[int, set[int]]()
    for seat in seats:
        at = rest.index[seat.node]
        whole = [d for d, part in enumerate(rest.devices[at]) if part >= 1.0]
        able = [d for d in whole if d in seat.gpus or _same_name(rest, at, d, seat)]
        able.sort(key=lambda d: (free.devices[at][d], d))
        able = [d for d in able if d not in used.setdefault(at, set())][: len(seat.gpus)]
        used[at].update(able)
        moved.append(Seat(seat.node, dict.fromkeys(able, 1.0)))
    return moved


def _same_name(rest: Capacity, at: int, device: int, seat: Seat) -> bool:
    names = rest.machines[at].gpus
    return any(names[device] == names[other] for other in seat.gpus)


class Room:
    """What is free now, and what of it work of a certain length may take without delaying a guarded job."""

    def __init__(self, free: Capacity, now: float) -> None:
        self.free = free
        self.guards: list[Guard] = []
        self._now = now
        self._views: dict[int, Capacity] = {0: free}
        self._masks: dict[float | None, int] = {}

    def add(self, found: Guard) -> None:
        """Keep one more place."""
        self.guards.append(found)
        self._views = {0: self.free}
        self._masks = {}

    def mask(self, lane: Lane) -> int:
        """The guards whose moment comes before such work has surely ended, one bit each."""
        mask = self._masks.get(lane.time_limit)
        if mask is None:
            ends = NEVER if lane.time_limit is None else self._now + lane.time_limit
            mask = sum(1 << bit for bit, one in enumerate(self.guards) if ends > one.at or one.at == NEVER)
            self._masks[lane.time_limit] = mask
        return mask

    def view(self, mask: int) -> Capacity:
        """What is free for work that overlaps with these guards."""
        found = self._views.get(mask)
        if found is None:
            found = self._views[mask] = self.free.copy()
            found.limit([one.rest for bit, one in enumerate(self.guards) if mask >> bit & 1])
        return found

    def take(self, lane: Lane, seats: Sequence[Seat]) -> None:
        """Start work on these places."""
        self.free.take(lane, seats)
        mask = self.mask(lane)
        for bit, one in enumerate(self.guards):
            if mask >> bit & 1:
                one.rest.take(lane, seats)
        touched = np.unique([self.free.index[seat.node] for seat in seats])
        for key, view in self._views.items():
            if key:
                rests = [one.rest for bit, one in enumerate(self.guards) if key >> bit & 1]
                view.follow(self.free, rests, [int(at) for at in touched])
