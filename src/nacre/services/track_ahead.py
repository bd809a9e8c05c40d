"""The shortest way into PostgreSQL: one statement instead of two round trips and a transaction.

It serves what programs do nearly all the time: a few points, each ahead of its series' last, in series that
this writer brought points into before. What it remembers of a series may be stale (another server wrote,
the tail was sealed, the run was deleted): then the statement changes nothing, and the usual way is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan

from nacre.db.queries.series import Series
from nacre.db.raw import Raw, array
from nacre.services.packing import PIECE_AT, SEAL_AT
from nacre.services.track_core import Group, Outcome, Point, TrackBatch, count, fits

_MOST = 20_000
_STATEMENT = """
WITH alive AS (
    SELECT id FROM runs WHERE id = ANY(%s::bigint[]) AND deleted_at IS NULL ORDER BY id FOR NO KEY UPDATE
), moved AS (
    UPDATE metric_series m SET last_step = v.last_step, last_ts = v.last_ts, last_value = v.last_value,
        n = v.n, min = v.least, max = v.most, tail = v.tail
    FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::float8[], %s::bigint[], %s::float8[],
        %s::float8[], %s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[])
        AS v(id, last_step, last_ts, last_value, n, least, most, tail, old_n, old_tail, old_blocks)
    WHERE m.id = v.id AND m.n = v.old_n AND m.tail = v.old_tail AND m.blocks = v.old_blocks
        AND m.run_id IN (SELECT id FROM alive)
    RETURNING m.id
)
INSERT INTO metric_points (series_id, step, ts, seq, value)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::float8[])
WHERE 1 / (CASE WHEN (SELECT count(*) FROM moved) = %s THEN 1 ELSE 0 END) = 1
"""
"""Divides by zero, and so changes nothing, unless every series was as it is remembered."""
_CHANGED = "iiififfiiii"
_POINT = "iiiif"


@dataclass(slots=True)
class _Plan:
    runs: list[int]
    changed: list[tuple[object, ...]]
    points: list[tuple[object, ...]]
    outcome: Outcome


class Ahead:
    """What one writer remembers of the series that it wrote to. Used by its thread alone."""

    def __init__(self) -> None:
        self._runs: dict[str, tuple[int, str]] = {}
        self._series: dict[tuple[str, str], Series] = {}

    def remember(self, group: Group) -> None:
        """Keep how a group, now committed, left its series."""
        if len(self._series) > _MOST:
            self.forget()
        for (run, key), series in group.series.items():
            number, project_id, deleted = group.runs[run]
            if not deleted:
                self._runs[run] = (number, project_id)
                self._series[run, key] = series

    def forget(self) -> None:
        """Remember nothing."""
        self._runs.clear()
        self._series.clear()

    def bring(self, raw: Raw, batches: Sequence[TrackBatch], stale: type[Exception]) -> Outcome | None:
        """Apply the batches; null, with nothing changed, when they are not of the simple kind or something
        is not as remembered. ``stale``: the driver's error for a division by zero."""
        incoming = self._incoming(batches)
        plan = self._plan(batches, incoming) if incoming else None
        if plan is None:
            return None
        parameters = [
            array("i", plan.runs),
            *(
                array(kind, column)
                for kind, column in zip(_CHANGED, zip(*plan.changed, strict=True), strict=True)
            ),
            *(
                array(kind, column)
                for kind, column in zip(_POINT, zip(*plan.points, strict=True), strict=True)
            ),
            len(plan.changed),
        ]
        try:
            raw.connection.execute(_STATEMENT, parameters, binary=True)
        except stale:
            self.forget()
            return None
        except Exception:
            self.forget()
            raise
        return plan.outcome

    def _incoming(self, batches: Sequence[TrackBatch]) -> dict[tuple[str, str], list[Point]] | None:
        """The points by series; null when a batch asks for more than points in series that are known."""
        incoming: dict[tuple[str, str], list[Point]] = {}
        for batch in batches:
            run = self._runs.get(batch.run)
            simple = not (batch.params or batch.tags or batch.batch is not None)
            if run is None or not simple or batch.project_id not in (None, run[1]):
                return None
            for key, step, ts, value in batch.metrics:
                at = (batch.run, key)
                if at not in self._series or not fits(step, ts):
                    return None
                incoming.setdefault(at, []).append((step, ts, None if isnan(value) else value))
        return incoming

    def _plan(
        self, batches: Sequence[TrackBatch], incoming: dict[tuple[str, str], list[Point]]
    ) -> _Plan | None:
        """Null when points are not ahead of their series, each of the one before."""
        for at, points in incoming.items():
            series = self._series[at]
            places = [(series.last_step, series.last_ts), *((step, ts) for step, ts, _ in points)]
            if not series.n or len(points) >= PIECE_AT or not all(a < b for a, b in pairwise(places)):
                return None
        plan = _Plan([], [], [], Outcome([None] * len(batches), {batch.run for batch in batches}))
        plan.runs = [self._runs[run][0] for run in plan.outcome.runs]
        for at, points in incoming.items():
            series = self._series[at]
            before = (series.n, series.tail, series.blocks)
            fresh = [(step, ts, 0, value) for step, ts, value in points]
            count(series, fresh)
            series.tail += len(fresh)
            if series.tail >= SEAL_AT:
                plan.outcome.due.append(series.id)
            about = (series.id, series.last_step, series.last_ts, series.last_value, series.n)
            plan.changed.append((*about, series.min, series.max, series.tail, *before))
            plan.points += [(series.id, *point) for point in fresh]
        return plan
