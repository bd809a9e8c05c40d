"""What waits for a place, as the scheduler reads it: jobs, instances, replicas of endpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.endpoints import EndpointReplicaRow, EndpointRow
from nacre.db.tables.environments import EnvironmentRow
from nacre.db.tables.instances import InstanceRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.jobs import BACKING_OFF, FREE_RESTARTS
from nacre.domain.scheduling import Demand, Lane, Shape, Waiting
from nacre.domain.scheduling.reasons import ordinal, span
from nacre.schema.endpoints import ReplicaState
from nacre.schema.environments import EnvironmentState
from nacre.schema.instances import InstanceState
from nacre.schema.jobs import PRIORITIES, JobState

_IN_ONE_QUERY = 500


@dataclass(frozen=True, slots=True)
class Queued:
    """What waits, and what was said of it last; not placed before ``retry_at``."""

    demand: Demand
    environment_id: str
    reason: str | None
    message: str | None
    retry_at: float | None = None
    failures: int = 0
    """How often it failed up to now; counted only where ``retry_at`` is set."""
    kind: Literal["job", "instance", "endpoint"] = "job"

    def backing_off(self, now: float) -> Waiting | None:
        """Why it is not placed yet after a failure; None when its time has come."""
        if self.retry_at is None or self.retry_at <= now:
            return None
        times = f", after its {ordinal(self.failures)} failure" if self.failures else ""
        return Waiting(BACKING_OFF, f"starts again in {span(self.retry_at - now)}{times}", self.retry_at)


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
            JobRow.retry_at,
            JobRow.environment_id,
            JobRow.reason,
            JobRow.message,
            ProjectRow.name.label("project"),
            longest.label("longest"),
            grace.label("grace"),
            JobRow.spec["priority"].as_string().label("priority"),
            JobRow.spec["spot"].as_boolean().label("spot"),
            JobRow.spec["replicas"].as_string().label("replicas"),
        )
        .join(ProjectRow, ProjectRow.id == JobRow.project_id)
        .where(JobRow.state == JobState.QUEUED)
        .order_by(JobRow.queued_at, JobRow.id)
    ).all()
    failed = _failures(session, [row.id for row in rows if row.retry_at is not None])
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
                        *_replicas(row.replicas),
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
            row.retry_at and row.retry_at.timestamp(),
            failed[row.id],
        )
        for row in rows
    ]


def queued_instances(session: Session, *, ready: bool = False) -> list[Queued]:
    """The instances that wait, oldest first. ``ready``: only those whose environments are there."""
    rows = (
        select(InstanceRow, ProjectRow.name)
        .join(ProjectRow, ProjectRow.id == InstanceRow.project_id)
        .where(InstanceRow.state == InstanceState.QUEUED)
        .order_by(InstanceRow.queued_at, InstanceRow.id)
    )
    if ready:
        rows = rows.where(_there(InstanceRow.kernel_environment_id), _there(InstanceRow.lab_environment_id))
    return [
        Queued(
            Demand(
                id=row.id,
                name=f"instance {row.name}",
                lane=Lane(Shape(row.cpu, row.memory, row.gpu, row.gpu_name), interactive=True),
                project=project,
                user=row.user_id,
                priority=PRIORITIES.index("normal"),
                queued_at=(row.queued_at or row.created_at).timestamp(),
            ),
            row.environment_id or "",
            row.reason,
            row.message,
            kind="instance",
        )
        for row, project in session.execute(rows)
    ]


def queued_replicas(session: Session, *, ready: bool = False) -> list[Queued]:
    """The replicas of endpoints that wait, oldest first. ``ready``: only where the environment is there."""
    rows = (
        select(EndpointReplicaRow, EndpointRow, ProjectRow.name)
        .join(EndpointRow, EndpointRow.id == EndpointReplicaRow.endpoint_id)
        .join(ProjectRow, ProjectRow.id == EndpointReplicaRow.project_id)
        .where(EndpointReplicaRow.state == ReplicaState.QUEUED)
        .order_by(EndpointReplicaRow.queued_at, EndpointReplicaRow.id)
    )
    if ready:
        rows = rows.where(_there(EndpointReplicaRow.environment_id))
    return [
        Queued(
            Demand(
                id=row.id,
                name=f"endpoint {endpoint.name}",
                lane=Lane(Shape(row.cpu, row.memory, row.gpu, row.gpu_name), interactive=True),
                project=project,
                user=endpoint.user_id,
                priority=PRIORITIES.index("normal"),
                queued_at=(row.queued_at or row.created_at).timestamp(),
            ),
            row.environment_id or "",
            row.reason,
            row.message,
            kind="endpoint",
        )
        for row, endpoint, project in session.execute(rows)
    ]


def waiting_by_project(session: Session) -> Counter[str]:
    """How many jobs, instances and replicas of endpoints of each project wait, by its name."""
    found: Counter[str] = Counter()
    for table in (JobRow, InstanceRow, EndpointReplicaRow):
        rows = (
            select(ProjectRow.name, func.count())
            .join(table, table.project_id == ProjectRow.id)
            .where(table.state == JobState.QUEUED)  # the word of the others too
            .group_by(ProjectRow.name)
        )
        for name, count in session.execute(rows):
            found[name] += count
    return found


def _there(environment_id: Any) -> ColumnElement[bool]:
    built = select(EnvironmentRow.id).where(EnvironmentRow.state == EnvironmentState.READY)
    return or_(environment_id.is_(None), environment_id.in_(built))


def _replicas(said: str | int | None) -> tuple[int, int]:
    """The fewest and the most of a job's ``replicas``: ``2``, ``1..4``."""
    least, _, most = str(said or 1).partition("..")
    return int(least), int(most or least)


def _failures(session: Session, jobs: Sequence[str]) -> Counter[str]:
    """How many attempts of each job ended in a way that counts."""
    found: Counter[str] = Counter()
    for start in range(0, len(jobs), _IN_ONE_QUERY):
        ended = select(AttemptRow.subject_id).where(
            AttemptRow.subject_id.in_(jobs[start : start + _IN_ONE_QUERY]),
            AttemptRow.ended_at.is_not(None),
            AttemptRow.reason.not_in([*FREE_RESTARTS]),
        )
        found.update(session.scalars(ended))
    return found
