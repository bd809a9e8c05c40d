"""What the scheduler is told: who waits, what is held, how turns are taken; and what one may see of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.domain.scheduling import Demand, Holding, Lane, Machine, Policy, Shape, line, plan
from nacre.domain.scheduling.shares import Held, Shares, Totals
from nacre.ports.engines import NodeFacts
from nacre.schema.base import Page
from nacre.schema.jobs import PRIORITIES, JobState
from nacre.schema.queue import QueueEntry, Quota, Share
from nacre.services.quotas import Quotas, limits
from nacre.services.recent_use import RecentUse

_SHOWN = 1000
"""Entries of the queue that are listed at most: the first ones."""


class Scheduling:
    """Reads only; ``JobQueue`` and ``InstanceQueue`` act on the plans."""

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
        """The jobs that wait, in the order of turns; the first 1,000.

        What it says of a job is what holds at this moment, also for one whose environment is still built.
        """
        there = machines(self._nodes())
        policy = self.policy(there)
        now = self._clock.now().timestamp()
        with self._db.read() as session:
            noted = {item.demand.id: item for item in queued(session)}
            holdings = self._holdings(session)
            seen = _seen(session, caller)
            users = {row.id: row.name for row in session.execute(select(UserRow.id, UserRow.name))}
        queue = [item.demand for item in noted.values()]
        first = line(queue, there, holdings, policy)[:_SHOWN]
        made = plan(queue, there, holdings, policy, now)
        items = []
        for position, demand in enumerate(first, start=1):
            shape = demand.lane.shape
            entry = QueueEntry(
                position=position,
                cpu=shape.cpu,
                memory=shape.memory,
                gpu=shape.gpu,
                priority=PRIORITIES[demand.priority],
                spot=demand.lane.spot,
                queued_at=datetime.fromtimestamp(demand.queued_at, UTC),
            )
            if seen is None or demand.project in seen:
                waiting = made.waiting.get(demand.id)
                last = noted[demand.id]
                entry = entry.model_copy(
                    update={
                        "project": demand.project,
                        "job": demand.name,
                        "id": demand.id,
                        "user": users.get(demand.user, demand.user),
                        "reason": waiting.reason if waiting else last.reason,
                        "message": waiting.message if waiting else last.message,
                        "starts_by": waiting
                        and waiting.starts_by
                        and datetime.fromtimestamp(waiting.starts_by, UTC),
                    }
                )
            items.append(entry)
        return Page(items=items)

    def shares(self, caller: Caller) -> Page[Share]:
        """What projects hold now, the largest share first; those of others are one line."""
        there = machines(self._nodes())
        with self._db.read() as session:
            waiting = Counter(item.demand.project for item in queued(session))
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


@dataclass(frozen=True)
class Queued:
    """A job that waits, and what was said of it last."""

    demand: Demand
    environment_id: str
    reason: str | None
    message: str | None


def queued(session: Session) -> list[Queued]:
    """All jobs that wait, oldest first."""
    longest = JobRow.spec["max_duration"].as_float()
    grace = JobRow.spec["stop_duration"].as_float()
    rows = session.execute(
        select(
            JobRow.id,
            JobRow.name,
            JobRow.cpu,
            JobRow.memory,
            JobRow.gpu,
            JobRow.gpu_name,
            JobRow.user_id,
            JobRow.queued_at,
            JobRow.environment_id,
            JobRow.reason,
            JobRow.message,
            ProjectRow.name.label("project"),
            longest.label("longest"),
            grace.label("grace"),
            JobRow.spec["priority"].as_string().label("priority"),
            JobRow.spec["spot"].as_boolean().label("spot"),
        )
        .join(ProjectRow, ProjectRow.id == JobRow.project_id)
        .where(JobRow.state == JobState.QUEUED)
        .order_by(JobRow.queued_at, JobRow.id)
    )
    lanes: dict[Lane, Lane] = {}

    def same(lane: Lane) -> Lane:
        """Equal ones are one object: they are compared often."""
        return lanes.setdefault(lane, lane)

    return [
        Queued(
            Demand(
                id=row.id,
                name=row.name,
                lane=same(
                    Lane(
                        Shape(row.cpu, row.memory, row.gpu, row.gpu_name),
                        time_limit=row.longest and row.longest + row.grace,
                        spot=bool(row.spot),
                    )
                ),
                project=row.project,
                user=row.user_id,
                priority=PRIORITIES.index(row.priority or "normal"),
                queued_at=row.queued_at.timestamp(),
            ),
            row.environment_id,
            row.reason,
            row.message,
        )
        for row in rows
    ]


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
