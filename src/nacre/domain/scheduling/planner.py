"""The plan: a pure function of the queue, the machines, what is held, the policy and the time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from nacre.domain.scheduling import reasons
from nacre.domain.scheduling.backfill import NEVER, Releases, Room, guard
from nacre.domain.scheduling.capacity import Capacity
from nacre.domain.scheduling.model import (
    NO_CAPACITY,
    Demand,
    Holding,
    Lane,
    Machine,
    Plan,
    Policy,
    Seat,
    Shape,
    Waiting,
    occupied,
)
from nacre.domain.scheduling.order import Turns
from nacre.domain.scheduling.preempt import victims
from nacre.domain.scheduling.reasons import Short
from nacre.domain.scheduling.shares import Shares, Totals

GUARDS = 8
"""How many blocked jobs at the front have their place kept."""


def plan(
    queue: Sequence[Demand],
    machines: Sequence[Machine],
    holdings: Sequence[Holding],
    policy: Policy | None = None,
    now: float = 0.0,
) -> Plan:
    """What starts now and where, what has to make room, and why the rest waits.

    Turns go to what is interactive, then by priority class, then to the project with the least dominant
    share, then to its user with the least, then by age. A gang starts whole or not at all. The first that
    do not fit have their place kept (:mod:`.backfill`); later ones start out of what that leaves. Spot work
    makes room for what is not. What is set aside is for interactive work, and for spot work meanwhile.

    The same input gives the same plan. Cost: a microsecond or two for each waiting job, some hundred for
    each that starts.
    """
    return _Planner(queue, machines, holdings, policy or Policy(), now).plan()


class _Planner:
    def __init__(
        self,
        queue: Sequence[Demand],
        machines: Sequence[Machine],
        holdings: Sequence[Holding],
        policy: Policy,
        now: float,
    ) -> None:
        self._queue = queue
        self._machines = sorted(machines, key=lambda m: m.name)
        self._policy = policy
        self._now = now
        self._held = list(holdings)
        self._releases = Releases(holdings, now)
        self._spot = [held for held in holdings if held.spot and not held.leaving]
        self._promised: list[Holding] = []
        """The places that are kept for guarded jobs."""
        self._empty = Capacity(machines)
        free = self._empty.copy()
        free.hold(holdings)
        self._room = Room(free, now)
        self._coming = free.copy()
        """What is free once all that was told to go has gone, less what guarded jobs will take of it."""
        self._coming.hold([h for h in holdings if h.leaving], +1)
        self._shares = Shares(Totals(machines), policy, holdings)
        self._turns = Turns(queue, self._shares, policy.quotas)
        self._plan = Plan()
        self._full: dict[Lane, int] = {}
        """Lanes of which no more fit, and under which guards, once no more are kept. Room only shrinks."""
        self._over: dict[tuple[int, str, Lane], Waiting] = {}
        """What waits for a quota, or never fits, by priority and project."""
        self._rooms: dict[tuple[Shape, bool, int], int] = {}
        """For how many replicas there was room under some guards, when that was counted last."""
        self._most: dict[tuple[Shape, bool], int] = {}
        """How many replicas the machines hold when they are empty."""
        self._elastic: list[Demand] = []
        """Those that start and take more replicas when there is room, in the order of their turns."""
        self._kept = Counter[bool]()
        """Places kept, of interactive work and of other."""

    def plan(self) -> Plan:
        for demand in self._turns:
            lane = demand.lane
            over = reasons.over_quota(demand, self._policy, self._shares)
            if over is not None:
                self._pass(demand, over)
                continue
            seats = [] if lane in self._full else self._seats(demand)
            if seats:
                self._start(demand, seats)
            elif (never := self._never_fits(lane)) is not None:
                self._pass(demand, never)
            elif self._kept[lane.interactive] < GUARDS:
                self._block(demand)
            else:
                self._full.setdefault(lane, self._room.mask(lane))
                self._turns.close(lane)
                self._turns.passed()
        self._grow()
        self._explain()
        return self._plan

    def _pass(self, demand: Demand, waiting: Waiting) -> None:
        """It waits, and so does all like it of the project."""
        self._over[demand.priority, demand.project, demand.lane] = waiting
        self._turns.passed()

    def _never_fits(self, lane: Lane) -> Waiting | None:
        key = (lane.shape, lane.bound)
        most = self._most.get(key)
        if most is None:
            most = self._most[key] = int(self._empty.slots(lane).sum())
        if most >= lane.replicas:
            return None
        said = reasons.never_fits(lane, self._machines, self._empty)
        assert said is not None
        return Waiting(NO_CAPACITY, said)

    def _explain(self) -> None:
        """Say why the others wait, as it is once everything has started that does."""
        known: dict[tuple[Shape, int, bool], Short] = {}
        ahead: dict[int, dict[str, list[str]]] = {}
        lanes: dict[Lane, _Told] = {}
        shared: dict[tuple[Shape, int, bool, int], _Told] = {}
        for lane, mask in self._full.items():
            key = (lane.shape, lane.replicas, lane.bound)
            found = shared.get((*key, mask))
            if found is None:
                if key not in known:
                    known[key] = reasons.short(lane, self._room.free, self._held)
                if mask not in ahead:
                    ahead[mask] = self._ahead(mask)
                found = shared[*key, mask] = _Told(known[key], ahead[mask])
            lanes[lane] = found
        answers, placed, over = self._plan.waiting, self._plan.placed, self._over
        for demand in self._queue:
            if demand.id in placed or demand.id in answers:
                continue
            lane = demand.lane
            if over and (why := over.get((demand.priority, demand.project, lane))) is not None:
                answers[demand.id] = why
                continue
            told = lanes[lane]
            waiting = told.said.get(demand.project)
            if waiting is None:
                waiting = told.said[demand.project] = told.waiting(lane, demand.project, self._now)
            answers[demand.id] = waiting

    def _ahead(self, mask: int) -> dict[str, list[str]]:
        guards = enumerate(self._room.guards)
        return reasons.by_project((one.project, one.name) for bit, one in guards if mask >> bit & 1)

    def _seats(self, demand: Demand) -> list[Seat]:
        """Places in what is free for it; empty when the gang does not fit whole."""
        lane = demand.lane
        mask = self._room.mask(lane)
        key = (lane.shape, lane.bound, mask)
        if self._rooms.get(key, lane.replicas) < lane.replicas:
            return []
        view = self._room.view(mask)
        counts = view.slots(lane)
        room = self._rooms[key] = int(counts.sum())
        if room < lane.replicas:
            return []
        return view.seats(lane, counts, lane.replicas)

    def _grow(self) -> None:
        """What is left once everything has started that does: more replicas for those that take them."""
        for demand in self._elastic:
            lane = demand.lane
            view = self._room.view(self._room.mask(lane))
            counts = view.slots(lane)
            more = min(int(counts.sum()), lane.most - lane.replicas)
            while more > 0 and reasons.over_quota(demand, self._policy, self._shares, more):
                more -= 1
            if more > 0:
                self._take(demand, view.seats(lane, counts, more))

    def _start(self, demand: Demand, seats: list[Seat]) -> None:
        self._take(demand, seats)
        self._turns.started()
        if demand.lane.most > demand.lane.replicas:
            self._elastic.append(demand)

    def _take(self, demand: Demand, seats: list[Seat]) -> None:
        lane = demand.lane
        self._room.take(lane, seats)
        self._coming.take(lane, seats)
        self._shares.start(demand, len(seats))
        ends_by = None if lane.time_limit is None else self._now + lane.time_limit
        for held in occupied(demand, seats, self._now, ends_by):
            self._held.append(held)
            self._releases.add(held)
        self._plan.placed.setdefault(demand.id, []).extend(seats)

    def _block(self, demand: Demand) -> None:
        """One of the first that must wait: its place is kept, and spot work may have to go for it."""
        lane = demand.lane
        mask = self._room.mask(lane)
        gone = self._make_room(demand)
        free = self._room.free.copy()
        free.hold(self._promised)
        kept = guard(demand.name, demand.project, lane, free, self._releases, self._now)
        found = reasons.short(lane, self._room.free, self._held)
        starts_by = None if kept is None or kept.at == NEVER else kept.at
        self._plan.waiting[demand.id] = reasons.waiting(
            lane, demand.project, found, self._ahead(mask), gone, starts_by, self._now
        )
        if kept is not None:
            self._room.add(kept)
            self._kept[lane.interactive] += 1
            ends_by = None if lane.time_limit is None else kept.at + lane.time_limit
            for held in occupied(demand, kept.seats, kept.at, ends_by):
                self._promised.append(held)
                self._releases.add(held)
        self._turns.skipped()

    def _make_room(self, demand: Demand) -> dict[str, list[str]]:
        """The spot work that goes for it: none when it fits once those told to go have gone."""
        lane = demand.lane
        if lane.spot or not self._policy.preempt:
            return {}
        counts = self._coming.slots(lane)
        gone: dict[str, list[str]] = {}
        if counts.sum() < lane.replicas:
            going = victims(lane, self._coming, self._spot)
            if not going:
                return {}
            for held in going:
                self._plan.preempted[held.id] = demand.id
            ids = {held.id for held in going}
            self._coming.hold([h for h in self._held if h.id in ids], +1)
            self._releases.hasten(ids)
            self._spot = [held for held in self._spot if held.id not in ids]
            gone = reasons.by_project(sorted((held.project, held.name) for held in going))
            counts = self._coming.slots(lane)
        self._coming.take(lane, self._coming.seats(lane, counts, lane.replicas))
        return gone


class _Told:
    """Why lanes of a shape wait under some guards. ``said``: what each project was told."""

    __slots__ = ("_ahead", "_others", "_short", "said")

    def __init__(self, short: Short, ahead: dict[str, list[str]]) -> None:
        self.said: dict[str, Waiting] = {}
        self._short = short
        self._ahead = ahead
        self._others: Waiting | None = None
        """For projects of which none of the work that it would name is: it is the same for all."""

    def waiting(self, lane: Lane, project: str, now: float) -> Waiting:
        """What to tell a project that was told nothing yet."""
        named = project in self._ahead or project in self._short.users
        if not named and self._others is not None:
            return self._others
        told = reasons.waiting(lane, project, self._short, self._ahead, {}, None, now)
        if not named:
            self._others = told
        return told
