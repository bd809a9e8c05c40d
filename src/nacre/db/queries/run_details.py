"""Runs with all that is known of them, as plain values: for protocols that tell it in their own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import BigInteger, select, type_coerce
from sqlalchemy.orm import Session

from nacre.db.tables.logged_models import RunModelRow
from nacre.db.tables.runs import (
    ExperimentRow,
    MetricSeriesRow,
    RunInputRow,
    RunParamRow,
    RunRow,
    RunTagRow,
)
from nacre.db.tables.users import UserRow

_CHUNK = 5000


@dataclass(slots=True)
class Input:
    """A data set that a run read."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None
    tags: dict[str, str]


@dataclass(slots=True)
class RunDetails:
    """A run. Times are milliseconds since 1970. ``metrics``: (key, last value or null for NaN, time, step).

    ``models``: (input or output, model id, step).
    """

    number: int
    id: str
    name: str
    experiment_id: int
    experiment: str
    user: str
    state: str
    started_ms: int
    ended_ms: int | None
    deleted: bool
    of_job: bool
    metrics: list[tuple[str, float | None, int, int]] = field(default_factory=list)
    params: list[tuple[str, str]] = field(default_factory=list)
    tags: list[tuple[str, str]] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    models: list[tuple[str, str, int]] = field(default_factory=list)


def load_details(session: Session, numbers: Sequence[int]) -> list[RunDetails]:
    """The runs of these numbers, in their order, in six queries a chunk, without those that are gone."""
    found: dict[int, RunDetails] = {}
    for at in range(0, len(numbers), _CHUNK):
        found |= _chunk(session, numbers[at : at + _CHUNK])
    return [found[number] for number in numbers if number in found]


def _chunk(session: Session, numbers: Sequence[int]) -> dict[int, RunDetails]:
    started = type_coerce(RunRow.started_at, BigInteger)
    ended = type_coerce(RunRow.ended_at, BigInteger)
    heads = (
        select(
            RunRow.id,
            RunRow.uuid,
            RunRow.name,
            RunRow.experiment_id,
            ExperimentRow.name,
            UserRow.name,
            RunRow.user_id,
            RunRow.state,
            started,
            ended,
            type_coerce(RunRow.deleted_at, BigInteger),
            RunRow.job_id,
        )
        .join(ExperimentRow, ExperimentRow.id == RunRow.experiment_id)
        .outerjoin(UserRow, UserRow.id == RunRow.user_id)
        .where(RunRow.id.in_(numbers))
    )
    runs = {
        row[0]: RunDetails(*row[:5], row[5] or row[6], *row[7:10], row[10] is not None, row[11] is not None)
        for row in session.execute(heads)
    }
    numbers = list(runs)
    m, p, t, b = MetricSeriesRow, RunParamRow, RunTagRow, RunModelRow
    metrics = select(m.run_id, m.key, m.last_value, m.last_ts, m.last_step).where(m.run_id.in_(numbers))
    for number, key, last, ts, step in session.execute(metrics.order_by(m.run_id, m.key)):
        runs[number].metrics.append((key, last, ts, step))
    table: Any
    for table, name in ((p, "params"), (t, "tags")):
        texts = select(table.run_id, table.key, table.value).where(table.run_id.in_(numbers))
        for number, key, value in session.execute(texts.order_by(table.run_id, table.key)):
            getattr(runs[number], name).append((key, value))
    for row in session.scalars(select(RunInputRow).where(RunInputRow.run_id.in_(numbers))):
        given = Input(
            row.name, row.digest, row.source_type, row.source, row.schema, row.profile, row.tags or {}
        )
        runs[row.run_id].inputs.append(given)
    models = select(b.run_id, b.direction, b.model_id, b.step).where(b.run_id.in_(numbers))
    for number, direction, model, step in session.execute(models.order_by(b.run_id, b.model_id)):
        runs[number].models.append((direction, model, step))
    return runs
