"""What uses an environment."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from nacre.db.tables.environments import EnvironmentRow
from nacre.db.tables.instances import InstanceRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.users import UserRow
from nacre.schema.environments import EnvironmentUse, EnvironmentUses


def uses_of(session: Session, project_id: str, row: EnvironmentRow, limit: int) -> EnvironmentUses:
    """The project's latest jobs and instances in the environment, or in one that was made from it."""
    derived = select(EnvironmentRow.id).where(
        or_(EnvironmentRow.id == row.id, EnvironmentRow.base_id == row.id)
    )
    in_job = (JobRow.project_id == project_id) & JobRow.environment_id.in_(derived)
    in_instance = (InstanceRow.project_id == project_id) & (
        InstanceRow.environment_id.in_(derived)
        | (InstanceRow.environment_id.is_(None) & (InstanceRow.environment == row.name))
    )
    return EnvironmentUses(
        jobs=_uses(session, JobRow, in_job, limit),
        instances=_uses(session, InstanceRow, in_instance, limit),
        job_count=session.scalar(select(func.count()).select_from(JobRow).where(in_job)) or 0,
        instance_count=session.scalar(select(func.count()).select_from(InstanceRow).where(in_instance))
        or 0,
    )


def _uses(
    session: Session, table: type[JobRow] | type[InstanceRow], where: ColumnElement[bool], limit: int
) -> list[EnvironmentUse]:
    statement = (
        select(table.id, table.name, table.state, table.created_at, table.user_id, UserRow.name)
        .outerjoin(UserRow, UserRow.id == table.user_id)
        .where(where)
        .order_by(table.id.desc())
        .limit(limit)
    )
    return [
        EnvironmentUse(
            id=found[0], name=found[1], state=found[2], created_at=found[3], user=found[5] or found[4]
        )
        for found in session.execute(statement)
    ]
