"""A cluster that exists only as numbers: what the scheduler does with an imagined day."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from nacre.domain.scheduling.model import Demand, Holding, Machine, Plan, Policy, occupied
from nacre.domain.scheduling.planner import plan
from nacre.domain.scheduling.shares import HALF_LIFE_S, Totals, decayed


class Simulation:
    """Jobs that really take so long, machines, and a plan at each step. Times in seconds.

    Spot work that is told to go leaves after its grace and waits again for the rest of its time.
    """

    def __init__(
        self, machines: Sequence[Machine], policy: Policy | None = None, half_life: float = HALF_LIFE_S
    ) -> None:
        self.machines = machines
        self.queue: dict[str, Demand] = {}
        self.started: dict[str, float] = {}
        """When each job started first."""
        self.ended: dict[str, float] = {}
        self.last = Plan()
        self._policy = policy or Policy()
        self._half_life = half_life
        self._totals = Totals(machines)
        self._left: dict[str, float] = {}
        """Seconds of work that each job has still to do."""
        self._running: dict[str, list[Holding]] = {}
        self._demands: dict[str, Demand] = {}
        self._ends: list[tuple[float, int, str, bool]] = []
        self._starts: Counter[str] = Counter()
        self._used: dict[str, float] = {}
        self._now = 0.0

    def submit(self, demand: Demand, seconds: float) -> None:
        """A job that takes so long, once it runs."""
        self._demands[demand.id] = self.queue[demand.id] = demand
        self._left[demand.id] = seconds

    @property
    def holdings(self) -> list[Holding]:
        """What is held now, a holding per replica."""
        return [held for gang in self._running.values() for held in gang]

    def next_end(self) -> float | None:
        """When something ends next."""
        while self._ends and self._ends[0][1] != self._starts[self._ends[0][2]]:
            heapq.heappop(self._ends)  # of a start that was cut short
        return self._ends[0][0] if self._ends else None

    def policy(self) -> Policy:
        """The policy with what was used up to now."""
        return replace(self._policy, used={**self._policy.used, **self._used})

    def step(self, now: float) -> Plan:
        """Let what ended by now end, and carry out one plan."""
        self.settle(now)
        made = self.plan(now)
        self.carry_out(made, now)
        return made

    def settle(self, now: float) -> None:
        """Let what ended by now end."""
        while (at := self.next_end()) is not None and at <= now:
            self._use(at)
            self._end(*heapq.heappop(self._ends))
        self._use(now)

    def plan(self, now: float) -> Plan:
        """What the scheduler says now."""
        return plan(list(self.queue.values()), self.machines, self.holdings, self.policy(), now)

    def carry_out(self, made: Plan, now: float) -> None:
        """Start and send away what the plan says."""
        for ident, seats in made.placed.items():
            demand = self.queue.pop(ident)
            lane = demand.lane
            limit = None if lane.time_limit is None else now + lane.time_limit
            self._running[ident] = occupied(demand, seats, now, limit)
            self.started.setdefault(ident, now)
            self._starts[ident] += 1
            heapq.heappush(self._ends, (now + self._left[ident], self._starts[ident], ident, True))
        for ident in made.preempted:
            self._send_away(ident, now)
        self.last = made

    def _send_away(self, ident: str, now: float) -> None:
        gang = self._running[ident]
        gone = now + gang[0].grace
        end = gang[0].since + self._left[ident]
        gone = min(end, gone)  # it may have done its work before its time is up
        self._running[ident] = [replace(held, leaving=True, ends_by=gone) for held in gang]
        self._starts[ident] += 1
        heapq.heappush(self._ends, (gone, self._starts[ident], ident, end <= gone))

    def _end(self, at: float, _start: int, ident: str, done: bool) -> None:
        gang = self._running.pop(ident)
        if done:
            self.ended[ident] = at
            return
        self._left[ident] -= at - gang[0].since
        self.queue[ident] = self._demands[ident]

    def _use(self, now: float) -> None:
        """Count what projects held since the last change of it."""
        seconds, self._now = now - self._now, now
        if seconds <= 0:
            return
        held: dict[str, list[float]] = {}
        for one in self.holdings:
            sums = held.setdefault(one.project, [0.0, 0.0, 0.0])
            sums[0] += one.cpu
            sums[1] += one.memory
            sums[2] += sum(one.gpus.values())
        for project in {*self._used, *held}:
            share = self._totals.share(*held.get(project, (0.0, 0.0, 0.0)))
            self._used[project] = decayed(self._used.get(project, 0.0), share, seconds, self._half_life)
