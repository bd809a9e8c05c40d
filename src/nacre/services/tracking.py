"""Writes records of a run: many at once, in a few statements, inside the caller's transaction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, insert, select, text
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from nacre.db.tables.runs import (
    MetricPointRow,
    MetricSeriesRow,
    RunBatchRow,
    RunParamRow,
    RunTagRow,
)
from nacre.schema.runs import TrackRecord

_CHUNK = 500
_UNNEST = text(
    "INSERT INTO metric_points (series_id, step, ts, seq, value) SELECT * FROM unnest("
    "CAST(:series AS bigint[]), CAST(:step AS bigint[]), CAST(:ts AS bigint[]), CAST(:seq AS bigint[]), "
    "CAST(:value AS double precision[]))"
)
"""PostgreSQL takes whole columns about ten times as fast as rows."""

_Point = tuple[int, int, float | None]


class RecordWriter:
    """Brings records into one run. The caller holds the run's row locked, so nobody else writes to it."""

    def __init__(self, session: Session, run_id: int) -> None:
        self._session = session
        self._run_id = run_id
        self._sqlite = session.get_bind().dialect.name == "sqlite"
        self._make: Any = sqlite_insert if self._sqlite else postgres_insert

    def first_time(self, batch: str) -> bool:
        """Whether this batch has not been applied before; from now on it has."""
        statement = self._make(RunBatchRow).values(run_id=self._run_id, batch=batch)
        done = self._session.execute(statement.on_conflict_do_nothing().returning(RunBatchRow.batch))
        return done.first() is not None

    def write(self, records: Iterable[TrackRecord]) -> None:
        """Apply the records in their order: the last value of a param or tag stays."""
        params: dict[str, str] = {}
        tags: dict[str, str] = {}
        series: dict[str, list[_Point]] = {}
        for record in records:
            if record.type == "m":
                value = record.value
                known = None if value is None or math.isnan(value) else value
                points = series.get(record.key)
                if points is None:
                    points = series[record.key] = []
                points.append((record.step, record.time_ms, known))
            else:
                (params if record.type == "p" else tags)[storable(record.key)] = storable(record.text or "")
        if params:
            self._texts(RunParamRow, params)
        if tags:
            self._texts(RunTagRow, tags)
        if series:
            self._metrics(series)

    def _texts(self, table: type[RunParamRow | RunTagRow], texts: dict[str, str]) -> None:
        statement = self._make(table)
        statement = statement.on_conflict_do_update(
            index_elements=["run_id", "key"], set_={"value": statement.excluded.value}
        )
        rows = [{"run_id": self._run_id, "key": key, "value": value} for key, value in texts.items()]
        self._session.execute(statement, rows)

    def _metrics(self, raw: dict[str, list[_Point]]) -> None:
        series: dict[str, list[_Point]] = {}
        for key, points in raw.items():
            series.setdefault(storable(key), []).extend(points)
        before = self._existing(list(series))
        self._upsert(
            [_merged(self._run_id, key, points, before.get(key)) for key, points in series.items()]
        )
        fresh = [key for key in series if key not in before]
        ids = {key: row["id"] for key, row in before.items()} | {
            key: row["id"] for key, row in self._existing(fresh).items()
        }
        rows = [
            (ids[key], step, ts, seq, value)
            for key, points in series.items()
            for seq, (step, ts, value) in enumerate(points, before[key]["n"] if key in before else 0)
        ]
        self._points(rows)

    def _existing(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        table = MetricSeriesRow.__table__
        found: dict[str, dict[str, Any]] = {}
        for at in range(0, len(keys), _CHUNK):
            statement = select(table).where(
                table.c.run_id == self._run_id,
                table.c.key.in_(bindparam("keys", keys[at : at + _CHUNK], expanding=True)),
            )
            found |= {row["key"]: dict(row) for row in self._session.execute(statement).mappings()}
        return found

    def _upsert(self, rows: list[dict[str, Any]]) -> None:
        statement = self._make(MetricSeriesRow)
        changing = ("last_step", "last_ts", "last_value", "n", "min", "max", "tail")
        statement = statement.on_conflict_do_update(
            index_elements=["run_id", "key"], set_={name: statement.excluded[name] for name in changing}
        )
        self._session.execute(statement, rows)

    def _points(self, rows: list[tuple[int, int, int, int, float | None]]) -> None:
        names = ("series_id", "step", "ts", "seq", "value")
        if self._sqlite:
            self._session.execute(insert(MetricPointRow), [dict(zip(names, r, strict=True)) for r in rows])
            return
        columns = [list(column) for column in zip(*rows, strict=True)]
        self._session.execute(_UNNEST, dict(zip(("series", *names[1:]), columns, strict=True)))


def _merged(run_id: int, key: str, points: list[_Point], before: dict[str, Any] | None) -> dict[str, Any]:
    """The series' row after these points. Of equal (step, time) the one that came later is the last."""
    step, ts, last = max(enumerate(points), key=lambda entry: (entry[1][0], entry[1][1], entry[0]))[1]
    values = [value for _, _, value in points if value is not None]
    count = tail = len(points)
    if before is not None:
        count += before["n"]
        tail += before["tail"]
        values += [value for value in (before["min"], before["max"]) if value is not None]
        if (before["last_step"], before["last_ts"]) > (step, ts):
            step, ts, last = before["last_step"], before["last_ts"], before["last_value"]
    return {
        "run_id": run_id,
        "key": key,
        "last_step": step,
        "last_ts": ts,
        "last_value": last,
        "n": count,
        "tail": tail,
        "blocks": 0,
        "min": min(values, default=None),
        "max": max(values, default=None),
    }


def storable(words: str) -> str:
    """The text as every database can keep it: NUL becomes U+FFFD."""
    return words.replace("\0", "\ufffd")
