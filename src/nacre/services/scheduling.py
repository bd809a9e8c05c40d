"""What the scheduler is told: who waits, what is held, how turns are taken; and what one may see of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.domain.jobs import FENCING
from nacre.domain.scheduling import Aside, Demand, Holding, Machine, Plan, Policy, Waiting, line, plan
from nacre.domain.scheduling.shares import Held, Shares, Totals
from nacre.ports.engines import NodeFacts
from nacre.schema.base import Page
from nacre.schema.jobs import PRIORITIES
from nacre.schema.queue import QueueEntry, Quota, Share
from nacre.services.queued import Queued, queued, queued_instances, queued_replicas, waiting_by_project
from nacre.services.quotas import Quotas, limits
from nacre.services.recent_use import RecentUse
from nacre.services.settings import reserved

_SHOWN = 1000
"""Entries of the queue that are listed at most: the first ones."""


class Scheduling:
    """Reads only; ``JobQueue``, ``InstanceQueue`` and ``EndpointQueue`` act on the plans.

    What the last pass over the queue said of each job is kept in memory (:meth:`said`): names and numbers
    in it change all the time, and a long queue is not written anew for each.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        quotas: Quotas,
        recent: RecentUse,
        nodes: Callable[[], list[NodeFacts]],
        holdings: Callable[[Session], list[Holding]],
    ) -> None:
        self._db = db
        self._clock = clock
        self._quotas = quotas
        self._recent = recent
        self._nodes = nodes
        self._holdings = holdings
        self._said: Mapping[str, Waiting] = {}

    def machines(self, nodes: Iterable[NodeFacts] | None = None) -> list[Machine]:
        """The machines, or these, with what of them is set aside."""
        with self._db.read() as session:
            kept = reserved(session)
        there = machines(self._nodes() if nodes is None else nodes)
        return set_aside(there, Aside(kept.cpu, kept.memory, kept.gpu))

    def plan(self, jobs: Sequence[Demand], nodes: Iterable[NodeFacts] | None = None) -> Plan:
        """One plan for all that can start now: every instance and replica of an endpoint whose environments
        are there, and these jobs.

        Jobs come last, so that a plan without them says the same of the others.
        """
        there = self.machines(nodes)
        policy = self.policy(there)
        with self._db.read() as session:
            first = [item.demand for item in _interactive(session, ready=True)]
            holdings = self._holdings(session)
        return plan([*first, *jobs], there, holdings, policy, self._clock.now().timestamp())

    def say(self, said: Mapping[str, Waiting]) -> None:
        """Keep what a pass over the queue found, instead of what the last one did."""
        self._said = said

    def said(self, job_id: str, reason: str | None, message: str | None) -> str | None:
        """The message of a job that waits: that of the last pass, if the reason is the stored one."""
        found = self._said.get(job_id)
        return message if found is None or found.reason != reason else found.message

    def policy(self, there: Sequence[Machine]) -> Policy:
        """How turns are taken now: quotas, weights, and what projects and people used of late."""
        with self._db.read() as session:
            quotas = self._quotas.every(session)
        return self._policy(there, quotas)

    def _policy(self, there: Sequence[Machine], quotas: Mapping[str, Quota]) -> Policy:
        used, used_by = self._recent.shares(there, self._clock.now())
        return Policy(
            quotas={name: limits(quota) for name, quota in quotas.items()},
            weights={name: quota.weight for name, quota in quotas.items()},
            used=used,
            used_by=used_by,
        )

    def list(self, caller: Caller) -> Page[QueueEntry]:
        """What waits, in the order of turns; the first 1,000.

        What it says of a job is what holds at this moment, also for one whose environment is still built.
        """
        there = self.machines()
        policy = self.policy(there)
        now = self._clock.now().timestamp()
        with self._db.read() as session:
            noted = {item.demand.id: item for item in (*_interactive(session), *queued(session))}
            holdings = self._holdings(session)
            seen = _seen(session, caller)
            users = {row.id: row.name for row in session.execute(select(UserRow.id, UserRow.name))}
        resting = {ident: why for ident, item in noted.items() if (why := item.backing_off(now))}
        able = [
            item.demand
            for item in noted.values()
            if item.demand.id not in resting and item.reason != FENCING
        ]
        waiting = plan(able, there, holdings, policy, now).waiting | resting
        first = line([item.demand for item in noted.values()], there, holdings, policy, _SHOWN)
        items = []
        for position, demand in enumerate(first, start=1):
            lane, item = demand.lane, noted[demand.id]
            entry = QueueEntry(
                position=position,
                kind=item.kind,
                replicas=lane.replicas,
                most_replicas=lane.most,
                cpu=lane.shape.cpu,
                memory=lane.shape.memory,
                gpu=lane.shape.gpu,
                priority=PRIORITIES[demand.priority],
                spot=lane.spot,
                queued_at=datetime.fromtimestamp(demand.queued_at, UTC),
            )
            if seen is None or demand.project in seen:
                why = waiting.get(demand.id)
                by = why.starts_by if why else None
                entry = entry.model_copy(
                    update={
                        "project": demand.project,
                        "job": demand.name
                        if item.kind == "job"
                        else demand.name.removeprefix(f"{item.kind} "),
                        "id": demand.id,
                        "user": users.get(demand.user, demand.user),
                        "reason": why.reason if why else item.reason,
                        "message": why.message if why else item.message,
                        "starts_by": by and datetime.fromtimestamp(by, UTC),
                    }
                )
            items.append(entry)
        return Page(items=items)

    def shares(self, caller: Caller) -> Page[Share]:
        """What projects hold now, the largest share first; those of others are one line."""
        there = self.machines()
        with self._db.read() as session:
            waiting = waiting_by_project(session)
            holdings = self._holdings(session)
            seen = _seen(session, caller)
            quotas = self._quotas.every(session)
            names = {row.name for row in session.execute(select(ProjectRow.name))}
        policy, totals = self._policy(there, quotas), Totals(there)
        held = Shares(totals, policy, holdings).projects
        work = Counter(project for project, _ in {(one.project, one.id) for one in holdings})

        def share(name: str | None, projects: Iterable[str]) -> Share:
            mine = [held.get(one, Held()) for one in projects]
            cpu, memory, gpu = (sum(getattr(h, kind) for h in mine) for kind in ("cpu", "memory", "gpu"))
            return Share(
                project=name,
                cpu=cpu,
                memory=int(memory),
                gpu=gpu,
                running=sum(work[one] for one in projects),
                waiting=sum(waiting[one] for one in projects),
                share=totals.share(cpu, memory, gpu),
                recent_share=min(1.0, sum(policy.used.get(one, 0.0) for one in projects)),
                weight=policy.weights.get(name or "", 1.0),
                quota=quotas.get(name or ""),
            )

        own = sorted(names if seen is None else names & seen)
        items = sorted((share(name, [name]) for name in own), key=lambda s: (-s.share, s.project or ""))
        others = sorted(names - set(own))
        return Page(items=[*items, *([share(None, others)] if others else [])])


def machines(nodes: Iterable[NodeFacts]) -> list[Machine]:
    """Nodes as the scheduler sees them."""
    return [Machine(node.name, node.cpu, node.memory, tuple(node.gpus)) for node in nodes]


def set_aside(there: Sequence[Machine], amount: Aside) -> list[Machine]:
    """The machines, with an amount of all of them set aside on the first that have it, by name.

    Where GPUs are set aside, machines with GPUs are the first.
    """
    left, found = amount, []
    for machine in sorted(there, key=lambda m: (bool(amount.gpu) and not m.gpus, m.name)):
        here = Aside(
            min(left.cpu, machine.cpu), min(left.memory, machine.memory), min(left.gpu, len(machine.gpus))
        )
        left = Aside(left.cpu - here.cpu, left.memory - here.memory, left.gpu - here.gpu)
        found.append(replace(machine, aside=here))
    return sorted(found, key=lambda m: m.name)


def _interactive(session: Session, *, ready: bool = False) -> list[Queued]:
    """What waits and has its turn before jobs."""
    return [*queued_instances(session, ready=ready), *queued_replicas(session, ready=ready)]


def _seen(session: Session, caller: Caller) -> set[str] | None:
    """Names of the projects that the caller may look into; None: all."""
    wanted = select(ProjectRow.name)
    if caller.project_ids is not None:
        wanted = wanted.where(ProjectRow.id.in_(caller.project_ids))
    elif caller.admin:
        return None
    if not caller.admin:
        wanted = wanted.join(MemberRow, MemberRow.project_id == ProjectRow.id)
        wanted = wanted.where(MemberRow.user_id == caller.user_id)
    return set(session.scalars(wanted))
