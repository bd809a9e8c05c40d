"""What work takes of the machines: one holding per replica of each attempt that has not ended."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.usage import UsageRow
from nacre.domain.scheduling import Holding


def holdings(session: Session, now: datetime) -> list[Holding]:
    """All of them, in the order of attempts and ranks."""
    rows = session.execute(
        select(
            AttemptRow.id,
            AttemptRow.kind,
            AttemptRow.cpu,
            AttemptRow.memory,
            AttemptRow.desired,
            AttemptRow.desired_grace,
            AttemptRow.allocated_at,
            AttemptRow.started_at,
            ReplicaRow.node,
            ReplicaRow.gpus,
            UsageRow.subject_name,
            UsageRow.user_id,
            ProjectRow.name.label("project"),
            JobRow.spec["max_duration"].as_float().label("longest"),
            JobRow.spec["stop_duration"].as_float().label("grace"),
            JobRow.spec["spot"].as_boolean().label("spot"),
        )
        .join(ReplicaRow, ReplicaRow.attempt_id == AttemptRow.id)
        .join(UsageRow, UsageRow.allocation_id == AttemptRow.id)
        .join(ProjectRow, ProjectRow.id == AttemptRow.project_id)
        .outerjoin(JobRow, JobRow.id == AttemptRow.subject_id)
        .where(AttemptRow.ended_at.is_(None))
        .order_by(AttemptRow.id, ReplicaRow.rank)
    )
    return [_holding(row, now.timestamp()) for row in rows]


def _holding(row: Any, now: float) -> Holding:
    leaving = row.desired != "run"
    grace = row.grace or 0.0
    since = row.started_at.timestamp() if row.started_at else now
    ends_by = row.longest and since + row.longest + grace
    if leaving:
        gone = now + (row.desired_grace or grace)
        ends_by = min(gone, ends_by or gone)
    return Holding(
        node=row.node,
        name=row.subject_name if row.kind == "job" else f"{row.kind} {row.subject_name}",
        cpu=row.cpu,
        memory=row.memory,
        gpus={int(index): part for index, part in row.gpus.items()},
        id=row.id,
        project=row.project,
        user=row.user_id,
        spot=bool(row.spot),
        since=row.allocated_at.timestamp(),
        ends_by=ends_by,
        grace=grace,
        leaving=leaving,
        job=row.kind == "job",
    )
