"""Runs to log to, without services around: for tests of the store of points."""

from __future__ import annotations

import math
from collections.abc import Iterable

from tests.conftest import People

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.series import Series, find_series, points
from nacre.db.tables.runs import ExperimentRow, RunRow
from nacre.ids import new_run_id
from nacre.services.track_writer import TrackBatch

Metric = tuple[str, int, int, float]
Row = tuple[int, int, float | None]


def make_run(database: Database, people: People, clock: Clock) -> str:
    """A running run in an experiment of its own."""
    uuid = new_run_id()
    with database.write() as session:
        now = clock.now()
        experiment = ExperimentRow(project_id=people.project.id, name=uuid, created_at=now)
        session.add(experiment)
        session.flush()
        session.add(
            RunRow(
                uuid=uuid,
                project_id=people.project.id,
                experiment_id=experiment.id,
                user_id=people.editor.user_id,
                name="run",
                state="running",
                created_at=now,
                started_at=now,
            )
        )
    return uuid


def batch_of(people: People, run: str, metrics: Iterable[Metric], **more: object) -> TrackBatch:
    """A batch of metrics."""
    return TrackBatch(run, people.project.id, list(metrics), **more)  # type: ignore[arg-type]


def steps(count: int, *, start: int = 0, key: str = "loss") -> list[Metric]:
    """A curve that no encoding shortens: values with all their digits, a second apart."""
    return [(key, step, 1000 * step, math.sin(step) * 1e-3) for step in range(start, start + count)]


def series_of(database: Database, run: str, key: str = "loss") -> Series | None:
    """The series' row."""
    with database.read() as session:
        number = session.query(RunRow.id).where(RunRow.uuid == run).scalar()
        found = find_series(session, [number], [key])
    return found[0] if found else None


def rows_of(database: Database, run: str, key: str = "loss") -> list[Row]:
    """Every point that is stored; null for NaN."""
    series = series_of(database, run, key)
    if series is None:
        return []
    with database.read() as session:
        found = points(session, series)
    columns = zip(found.step.tolist(), found.ts.tolist(), found.value.tolist(), strict=True)
    return [(step, ts, None if math.isnan(value) else value) for step, ts, value in columns]
