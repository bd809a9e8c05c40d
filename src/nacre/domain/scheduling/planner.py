"""The plan: a pure function of the queue, the machines, what is held, the policy and the time."""

from __future__ import annotations

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

    Turns go by priority class, then to the project with the least dominant share, then to its user with
    the least, then by age. A gang starts whole or not at all. The first that do not fit have their place
    kept (:mod:`.backfill`); later ones start out of what that leaves. Spot work makes room for what is not.

    The same input gives the same plan. Cost: a few microseconds for each waiting job, about a hundred for
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
        self._turns = Turns(queue, self._shares)
        self._plan = Plan()
        self._full: dict[tuple[Lane, int], list[tuple[str, list[str]]]] = {}
        """Who waits in a lane that does not fit under these guards, by project. Room only shrinks."""
        self._never: dict[tuple[Shape, int], str | None] = {}

    def plan(self) -> Plan:
        for demand in self._turns:
            over = reasons.over_quota(demand, self._policy, self._shares)
            if over is not None:
                self._pass(over)
                continue
            key = (demand.lane, self._room.mask(demand.lane))
            if key in self._full and demand.project not in self._policy.quotas:
                self._pass_full(demand.project)
                continue
            seats = [] if key in self._full else self._seats(demand, key[1])
            if seats:
                self._start(demand, seats)
            elif (never := self._never_fits(demand.lane)) is not None:
                self._pass(Waiting(NO_CAPACITY, never))
            elif len(self._room.guards) < GUARDS:
                self._block(demand)
            else:
                self._full.setdefault(key, []).append((demand.project, self._turns.passed()))
        self._explain()
        return self._plan

    def _never_fits(self, lane: Lane) -> str | None:
        key = (lane.shape, lane.replicas)
        if key not in self._never:
            self._never[key] = reasons.never_fits(lane, self._machines, self._empty)
        return self._never[key]

    def _pass(self, waiting: Waiting) -> None:
        self._plan.waiting.update(dict.fromkeys(self._turns.passed(), waiting))

    def _pass_full(self, project: str) -> None:
        """Whoever of this user is in a lane that does not fit waits: no need to look at each."""

        def full(lane: Lane) -> bool:
            return (lane, self._room.mask(lane)) in self._full

        for lane, ids in self._turns.passed_where(full):
            self._full[lane, self._room.mask(lane)].append((project, ids))

    def _explain(self) -> None:
        """Say why the others wait, as it is once everything has started that does."""
        known: dict[Shape, Short] = {}
        for (lane, mask), rows in self._full.items():
            found = known.get(lane.shape)
            if found is None:
                found = known[lane.shape] = reasons.short(lane.shape, self._room.free, self._held)
            ahead = self._ahead(mask)
            said: dict[str, Waiting] = {}
            for project, ids in rows:
                if project not in said:
                    said[project] = reasons.waiting(lane, project, found, ahead, {}, None, self._now)
                self._plan.waiting.update(dict.fromkeys(ids, said[project]))

    def _ahead(self, mask: int) -> dict[str, list[str]]:
        guards = enumerate(self._room.guards)
        return reasons.by_project((one.project, one.name) for bit, one in guards if mask >> bit & 1)

    def _seats(self, demand: Demand, mask: int) -> list[Seat]:
        """Places in what is free for it; empty when the gang does not fit whole."""
        lane = demand.lane
        view = self._room.view(mask)
        counts = view.slots(lane.shape)
        room = int(counts.sum())
        if room < lane.replicas:
            return []
        most = lane.most
        while most > lane.replicas and reasons.over_quota(demand, self._policy, self._shares, most):
            most -= 1
        return view.seats(lane.shape, counts, min(room, most))

    def _start(self, demand: Demand, seats: list[Seat]) -> None:
        lane = demand.lane
        self._room.take(lane, seats)
        self._coming.take(lane.shape, seats)
        self._shares.start(demand.project, demand.user, demand.id, lane.shape, len(seats))
        ends_by = None if lane.time_limit is None else self._now + lane.time_limit
        for held in occupied(demand, seats, self._now, ends_by):
            self._held.append(held)
            self._releases.add(held)
        self._plan.placed[demand.id] = seats
        self._turns.started()

    def _block(self, demand: Demand) -> None:
        """One of the first that must wait: its place is kept, and spot work may have to go for it."""
        lane = demand.lane
        mask = self._room.mask(lane)
        gone = self._make_room(demand)
        free = self._room.free.copy()
        free.hold(self._promised)
        kept = guard(demand.name, demand.project, lane, free, self._releases, self._now)
        found = reasons.short(lane.shape, self._room.free, self._held)
        starts_by = None if kept is None or kept.at == NEVER else kept.at
        self._plan.waiting[demand.id] = reasons.waiting(
            lane, demand.project, found, self._ahead(mask), gone, starts_by, self._now
        )
        if kept is not None:
            self._room.add(kept)
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
        counts = self._coming.slots(lane.shape)
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
            counts = self._coming.slots(lane.shape)
        self._coming.take(lane.shape, self._coming.seats(lane.shape, counts, lane.replicas))
        return gone
