"""Reading runs, their params, tags and metrics."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.runs import (
    ExperimentRow,
    MetricSeriesRow,
    RunParamRow,
    RunRow,
    RunTagRow,
)
from nacre.db.tables.users import UserRow
from nacre.schema.runs import MetricSummary, Run, RunState

_PREFIX = re.compile(r"[0-9a-f]{6,32}")
_NAN = float("nan")


def find_run(session: Session, project_id: str, reference: str) -> RunRow | None:
    """A run by id; else the latest of that name or job name; else by a prefix of its id (6 digits or more).

    A prefix that several runs share names none of them. What is in the trash is found by its id only.
    """
    mine = select(RunRow).where(RunRow.project_id == project_id)
    if found := session.scalars(mine.where(RunRow.uuid == reference)).first():
        return found
    active = mine.where(RunRow.deleted_at.is_(None))
    named = active.where(or_(RunRow.name == reference, RunRow.job_name == reference))
    if found := session.scalars(named.order_by(RunRow.id.desc()).limit(1)).first():
        return found
    if not _PREFIX.fullmatch(reference):
        return None
    fitting = session.scalars(mine.where(RunRow.uuid.startswith(reference)).limit(2)).all()
    return fitting[0] if len(fitting) == 1 else None


def describe_runs(session: Session, rows: Sequence[RunRow]) -> list[Run]:
    """The runs as clients see them, with params, tags and the last metrics; in four queries."""
    ids = [row.id for row in rows]
    people = {
        row_id: (experiment, project, user)
        for row_id, experiment, project, user in session.execute(
            select(RunRow.id, ExperimentRow.name, ProjectRow.name, UserRow.name)
            .join(ExperimentRow, ExperimentRow.id == RunRow.experiment_id)
            .join(ProjectRow, ProjectRow.id == RunRow.project_id)
            .outerjoin(UserRow, UserRow.id == RunRow.user_id)
            .where(RunRow.id.in_(ids))
        )
    }
    params = _texts(session, RunParamRow, ids)
    tags = _texts(session, RunTagRow, ids)
    metrics: dict[int, list[MetricSummary]] = {}
    series = select(MetricSeriesRow).where(MetricSeriesRow.run_id.in_(ids)).order_by(MetricSeriesRow.key)
    for found in session.scalars(series):
        metrics.setdefault(found.run_id, []).append(_summary(found))
    return [
        Run(
            id=row.uuid,
            project=people[row.id][1],
            experiment=people[row.id][0],
            name=row.name,
            user=people[row.id][2] or row.user_id,
            job=row.job_name,
            state=RunState(row.state),
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            deleted_at=row.deleted_at,
            params=params.get(row.id, {}),
            tags=tags.get(row.id, {}),
            metrics=metrics.get(row.id, []),
            artifacts=row.artifacts,
        )
        for row in rows
    ]


def _texts(
    session: Session, table: type[RunParamRow | RunTagRow], ids: list[int]
) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    rows = session.execute(
        select(table.run_id, table.key, table.value).where(table.run_id.in_(ids)).order_by(table.key)
    )
    for run_id, key, value in rows:
        found.setdefault(run_id, {})[key] = value
    return found


def _summary(row: MetricSeriesRow) -> MetricSummary:
    return MetricSummary(
        key=row.key,
        last=_NAN if row.last_value is None else row.last_value,
        step=row.last_step,
        min=_NAN if row.min is None else row.min,
        max=_NAN if row.max is None else row.max,
        count=row.n,
    )


def series_keys(session: Session, run_id: int) -> list[str]:
    """The names of a run's metrics."""
    return list(
        session.scalars(
            select(MetricSeriesRow.key)
            .where(MetricSeriesRow.run_id == run_id)
            .order_by(MetricSeriesRow.key)
        )
    )
