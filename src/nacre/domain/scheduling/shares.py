"""Whose turn it is: shares of the dominant resource, now and in the recent past.

A project's share is the largest of its parts of all cpus, all memory and all GPUs (dominant resource
fairness: Ghodsi et al., NSDI 2011). What counts for its turn is that share now plus its average over the
past with exponential decay, over its weight: who used much lately waits a little longer, and is forgiven.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from nacre.domain.scheduling.model import Demand, Holding, Machine, Policy

HALF_LIFE_S = 4 * 3600.0
"""After this time a past use counts half."""


class Totals:
    """All cpus, memory and devices of the machines."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.cpu = sum(m.cpu for m in machines) or 1.0
        self.memory = sum(m.memory for m in machines) or 1
        self.gpu = sum(len(m.gpus) for m in machines) or 1

    def share(self, cpu: float, memory: float, gpu: float) -> float:
        """The dominant share of an amount, from 0 to 1."""
        return max(cpu / self.cpu, memory / self.memory, gpu / self.gpu)


class Held:
    """A sum of what is held, and by how many jobs."""

    __slots__ = ("cpu", "gpu", "jobs", "memory")

    def __init__(self) -> None:
        self.cpu = self.memory = self.gpu = 0.0
        self.jobs: set[str] = set()

    def add(self, cpu: float, memory: float, gpu: float) -> None:
        """More is held."""
        self.cpu += cpu
        self.memory += memory
        self.gpu += gpu


class Shares:
    """What projects and their users hold now, kept current while a plan is made."""

    def __init__(self, totals: Totals, policy: Policy, holdings: Iterable[Holding]) -> None:
        self._totals = totals
        self._policy = policy
        self.projects: dict[str, Held] = {}
        self._users: dict[tuple[str, str], Held] = {}
        for held in holdings:
            gpu = sum(held.gpus.values())
            project = self.of(held.project)
            project.add(held.cpu, held.memory, gpu)
            if held.job:
                project.jobs.add(held.id)
            self._of_user(held.project, held.user).add(held.cpu, held.memory, gpu)

    def of(self, project: str) -> Held:
        """What a project holds."""
        held = self.projects.get(project)
        if held is None:
            held = self.projects[project] = Held()
        return held

    def _of_user(self, project: str, user: str) -> Held:
        held = self._users.get((project, user))
        if held is None:
            held = self._users[project, user] = Held()
        return held

    def start(self, demand: Demand, replicas: int) -> None:
        """Count what starts, with so many replicas."""
        shape, held = demand.lane.shape, self.of(demand.project)
        amounts = (shape.cpu * replicas, float(shape.memory * replicas), shape.gpu * replicas)
        held.add(*amounts)
        if not demand.lane.interactive:
            held.jobs.add(demand.id)
        self._of_user(demand.project, demand.user).add(*amounts)

    def project_turn(self, project: str) -> float:
        """The lower, the sooner."""
        weight = self._policy.weights.get(project, 1.0)
        return (self._share(self.of(project)) + self._policy.used.get(project, 0.0)) / weight

    def user_turn(self, project: str, user: str) -> float:
        """The lower, the sooner, among the users of one project."""
        held = self._share(self._of_user(project, user))
        return held + self._policy.used_by.get((project, user), 0.0)

    def _share(self, held: Held) -> float:
        return self._totals.share(held.cpu, held.memory, held.gpu)


def decayed(average: float, share: float, seconds: float, half_life: float = HALF_LIFE_S) -> float:
    """The average share after some seconds more at ``share``: the exponentially weighted moving average."""
    keep = math.exp2(-seconds / half_life)
    return average * keep + share * (1 - keep)
