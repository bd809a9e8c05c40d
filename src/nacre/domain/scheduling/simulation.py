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
        self._uses: dict[str, _Use] = {}
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
        used = {name: use.average(self._totals, self._now) for name, use in self._uses.items()}
        return replace(self._policy, used={**self._policy.used, **used})

    def step(self, now: float) -> Plan:
        """Let what ended by now end, and carry out one plan."""
        self.settle(now)
        made = self.plan(now)
        self.carry_out(made, now)
        return made

    def settle(self, now: float) -> None:
        """Let what ended by now end."""
        while (at := self.next_end()) is not None and at <= now:
            self._end(*heapq.heappop(self._ends))
        self._now = now

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
            self._use(self._running[ident], now, +1)
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
        self._use(gang, at, -1)
        if done:
            self.ended[ident] = at
            return
        self._left[ident] -= at - gang[0].since
        self.queue[ident] = self._demands[ident]

    def _use(self, gang: Sequence[Holding], now: float, sign: int) -> None:
        """A project holds more from now on, or less."""
        use = self._uses.setdefault(gang[0].project, _Use(self._half_life))
        use.used, use.since = use.average(self._totals, now), now
        for one in gang:
            use.cpu += sign * one.cpu
            use.memory += sign * one.memory
            use.gpu += sign * sum(one.gpus.values())


class _Use:
    """What a project holds, and its average up to the last change of that."""

    __slots__ = ("cpu", "gpu", "half_life", "memory", "since", "used")

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life
        self.cpu = self.memory = self.gpu = self.used = self.since = 0.0

    def average(self, totals: Totals, now: float) -> float:
        share = totals.share(self.cpu, self.memory, self.gpu)
        return decayed(self.used, share, max(0.0, now - self.since), self.half_life)
