"""Rows of the table of runs: a fixed number of statements for a page, however many runs there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nacre.db.queries.run_conditions import condition
from nacre.db.queries.run_search import View
from nacre.db.queries.runs import find_run
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.runs import ExperimentRow, MetricSeriesRow, RunParamRow, RunRow, RunTagRow
from nacre.db.tables.users import UserRow
from nacre.domain.run_columns import Columns, Keys
from nacre.domain.run_filter import Comparison

_CHUNK = 500
COLUMNS_OF = 1000
"""How many of the latest runs are looked at for the keys that runs have."""


def snapshot(session: Session) -> None:
    """What is read from here on is of one moment. SQLite's reads are so by themselves."""
    if session.get_bind().dialect.name != "sqlite":
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


def resolve_runs(session: Session, project_id: str, references: Sequence[str]) -> list[RunRow | None]:
    """Each reference's run, null where there is none. Full ids are found in one statement."""
    ids = [reference for reference in references if len(reference) == 32]
    # with the project in the statement SQLite would go through all of its runs
    found = session.scalars(select(RunRow).where(RunRow.uuid.in_(ids))) if ids else ()
    known = {row.uuid: row for row in found if row.project_id == project_id}
    return [known.get(one) or find_run(session, project_id, one) for one in references]


def table_rows(session: Session, rows: Sequence[RunRow], columns: Columns) -> list[dict[str, Any]]:
    """The runs as :class:`nacre.schema.charts.RunRecord`, as plain dicts with the chosen columns.

    NaN of a metric is a float here.
    """
    if not rows:
        return []
    ids = [row.id for row in rows]
    experiments = dict(
        session.execute(
            select(ExperimentRow.id, ExperimentRow.name).where(
                ExperimentRow.id.in_({row.experiment_id for row in rows})
            )
        ).all()
    )
    users = dict(
        session.execute(
            select(UserRow.id, UserRow.name).where(UserRow.id.in_({row.user_id for row in rows}))
        ).all()
    )
    projects = dict(
        session.execute(
            select(ProjectRow.id, ProjectRow.name).where(
                ProjectRow.id.in_({row.project_id for row in rows})
            )
        ).all()
    )
    params = _texts(session, RunParamRow, ids, columns.params)
    tags = _texts(session, RunTagRow, ids, columns.tags)
    metrics = _metrics(session, ids, columns.metrics)
    return [
        {
            "id": row.uuid,
            "project": projects[row.project_id],
            "experiment": experiments[row.experiment_id],
            "name": row.name,
            "user": users.get(row.user_id) or row.user_id,
            "job": row.job_name,
            "state": row.state,
            "created_at": row.created_at,
            "started_at": row.started_at,
            "ended_at": row.ended_at,
            "params": params.get(row.id, {}),
            "tags": tags.get(row.id, {}),
            "metrics": metrics.get(row.id, {}),
        }
        for row in rows
    ]


def _texts(
    session: Session, table: type[RunParamRow | RunTagRow], ids: list[int], keys: Keys
) -> dict[int, dict[str, str]]:
    if keys.none:
        return {}
    statement = select(table.run_id, table.key, table.value).where(table.run_id.in_(ids))
    if keys.names is not None:
        statement = statement.where(table.key.in_(keys.names))
    found: dict[int, dict[str, str]] = {}
    for run_id, key, value in session.execute(statement.order_by(table.run_id, table.key)):
        found.setdefault(run_id, {})[key] = value
    return {run_id: {key: texts[key] for key in keys.pick(texts)} for run_id, texts in found.items()}


def _metrics(session: Session, ids: list[int], keys: Keys) -> dict[int, dict[str, dict[str, Any]]]:
    if keys.none:
        return {}
    s = MetricSeriesRow
    statement = select(s.run_id, s.key, s.last_value, s.min, s.max, s.last_step, s.n).where(
        s.run_id.in_(ids)
    )
    if keys.names is not None:
        statement = statement.where(s.key.in_(keys.names))
    found: dict[int, dict[str, dict[str, Any]]] = {}
    for run_id, key, last, low, high, step, count in session.execute(statement.order_by(s.run_id, s.key)):
        found.setdefault(run_id, {})[key] = {
            "last": _float(last),
            "min": _float(low),
            "max": _float(high),
            "step": step,
            "count": count,
        }
    return {run_id: {key: facts[key] for key in keys.pick(facts)} for run_id, facts in found.items()}


def _float(value: float | None) -> float:
    return float("nan") if value is None else value


@dataclass(frozen=True)
class KeyFacts:
    """A key, how many runs have it, and of texts the least and the greatest."""

    key: str
    runs: int
    low: str = ""
    high: str = ""


def known_keys(
    session: Session, project_id: str, experiment_ids: Iterable[int] | None
) -> tuple[dict[str, list[KeyFacts]], int]:
    """The keys that the latest runs have, by kind, and how many runs were looked at."""
    latest = select(RunRow.id).where(RunRow.project_id == project_id, RunRow.deleted_at.is_(None))
    if experiment_ids is not None:
        latest = latest.where(RunRow.experiment_id.in_(list(experiment_ids)))
    ids = list(session.scalars(latest.order_by(RunRow.id.desc()).limit(COLUMNS_OF)))
    found: dict[str, dict[str, KeyFacts]] = {"params": {}, "metrics": {}, "tags": {}}
    for at in range(0, len(ids), _CHUNK):
        part = ids[at : at + _CHUNK]
        s = MetricSeriesRow
        counted = select(s.key, func.count()).where(s.run_id.in_(part)).group_by(s.key)
        for key, count in session.execute(counted):
            _add(found["metrics"], KeyFacts(key, count))
        for kind, table in (("params", RunParamRow), ("tags", RunTagRow)):
            texts = select(table.key, func.count(), func.min(table.value), func.max(table.value))
            for key, count, low, high in session.execute(
                texts.where(table.run_id.in_(part)).group_by(table.key)
            ):
                _add(found[kind], KeyFacts(key, count, low, high))
    return {kind: sorted(keys.values(), key=lambda k: k.key) for kind, keys in found.items()}, len(ids)


def _add(known: dict[str, KeyFacts], more: KeyFacts) -> None:
    before = known.get(more.key)
    if before is not None:
        low, high = min(before.low, more.low), max(before.high, more.high)
        more = KeyFacts(more.key, before.runs + more.runs, low, high)
    known[more.key] = more


def keys_of(session: Session, run_ids: Sequence[int]) -> dict[str, set[str]]:
    """Every key of these runs, by kind."""
    found: dict[str, set[str]] = {"params": set(), "metrics": set(), "tags": set()}
    for at in range(0, len(run_ids), _CHUNK):
        part = run_ids[at : at + _CHUNK]
        for kind, table in (("params", RunParamRow), ("metrics", MetricSeriesRow), ("tags", RunTagRow)):
            found[kind].update(session.scalars(select(table.key).where(table.run_id.in_(part)).distinct()))
    return found


def count_runs(
    session: Session,
    project_id: str,
    *,
    experiment_ids: Sequence[int] | None,
    where: Sequence[Comparison],
    view: View,
) -> int:
    """How many runs ``search_runs`` would find on all its pages. This looks at each of them."""
    statement = select(func.count()).select_from(RunRow).where(RunRow.project_id == project_id)
    if experiment_ids is not None:
        statement = statement.where(RunRow.experiment_id.in_(experiment_ids))
    if view != "all":
        trash = RunRow.deleted_at.is_not(None)
        statement = statement.where(trash if view == "deleted" else RunRow.deleted_at.is_(None))
    statement = statement.where(*(condition(comparison, session) for comparison in where))
    return session.execute(statement).scalar_one()


def job_facts(session: Session, job_ids: Iterable[str]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Spec and record of jobs, by id."""
    statement = select(JobRow.id, JobRow.spec, JobRow.record).where(JobRow.id.in_(set(job_ids)))
    return {job_id: (spec, record or {}) for job_id, spec, record in session.execute(statement)}
