"""Sealing: the tail of a series becomes packed blocks. Written so that it may be killed at any line."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.series import PIECE
from nacre.db.raw import Raw
from nacre.db.tables.runs import MetricSeriesRow, RunRow
from nacre.domain.blocks import Points, Summary, decode, join, make_points
from nacre.services.packing import SEAL_AT, block_rows, pack, put_blocks

REST_AT = 32
"""The shortest tail of an ended run that is worth a block."""
_VACUUM_AT = 20_000
_PASS = 200
_SCAN = 20_000
_BEFORE = timedelta(minutes=2)  # how far back clocks of other servers may lie

_SERIES = "SELECT run_id, tail, blocks FROM metric_series WHERE id = ?"
_ROWS = "SELECT step, ts, value, seq FROM metric_points WHERE series_id = ? ORDER BY step, ts, seq"
_PIECES = f"SELECT number, data FROM metric_blocks WHERE series_id = ? AND level = {PIECE} ORDER BY number"  # noqa: S608
_HOLD = "SELECT id FROM runs WHERE id = ? FOR NO KEY UPDATE"
_DELETE_ROWS = (
    "DELETE FROM metric_points WHERE series_id = ? AND (step, ts, seq) >= (?, ?, ?) "
    "AND (step, ts, seq) <= (?, ?, ?)"
)
_DELETE_PIECES = f"DELETE FROM metric_blocks WHERE series_id = ? AND level = {PIECE} AND number <= ?"  # noqa: S608
_UPDATE = "UPDATE metric_series SET tail = tail - ?, blocks = blocks + ? WHERE id = ?"


class _Changed(Exception):
    """The tail is not what was read."""


@dataclass(frozen=True, slots=True)
class _Tail:
    """A tail as it was read: first and last place and number of its rows; last number of its pieces."""

    run_id: int
    blocks: int
    points: int
    rows: int
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    pieces: int
    newest: int
    packed: list[tuple[Summary, bytes]]


class Sealing:
    """Finds tails that are due and packs them, each in a transaction of its own."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._since: datetime | None = None
        self._removed = 0

    def seal(self, series_id: int) -> int:
        """Pack the tail of a series; returns how many points that were. Zero when there is none."""
        try:
            with self._db.read() as session:
                tail = self._read(Raw.of(session), series_id)
            if tail is None:
                return 0
            with self._db.write() as session:
                self._apply(session, series_id, tail)
        except _Changed:  # points came in between others: now with the run held
            with self._db.write() as session:
                raw = Raw.of(session)
                self._hold(raw, series_id)
                tail = self._read(raw, series_id)
                if tail is None:
                    return 0
                self._apply(session, series_id, tail)
        self._removed += tail.rows
        return tail.points

    def due(self) -> list[int]:
        """Some of the series whose tails are long enough."""
        with self._db.read() as session:
            query = select(MetricSeriesRow.id).where(MetricSeriesRow.tail >= SEAL_AT)
            return list(session.scalars(query.order_by(MetricSeriesRow.tail.desc()).limit(_PASS)))

    def ended(self) -> list[int]:
        """Series of runs that ended since the last call, whose tails are worth a block."""
        now = self._clock.now()
        since, self._since = self._since, now
        if since is None:
            return []
        with self._db.read() as session:
            return list(
                session.scalars(
                    select(MetricSeriesRow.id)
                    .join(RunRow, RunRow.id == MetricSeriesRow.run_id)
                    .where(RunRow.ended_at >= since - _BEFORE, MetricSeriesRow.tail >= REST_AT)
                )
            )

    def scan(self, after: int) -> tuple[list[int], int | None]:
        """Look through all series, part by part: those of ended runs that :meth:`ended` missed.

        Returns them, and from where to go on (null at the end).
        """
        with self._db.read() as session:
            bound = session.scalar(
                select(MetricSeriesRow.id)
                .where(MetricSeriesRow.id > after)
                .order_by(MetricSeriesRow.id)
                .offset(_SCAN)
                .limit(1)
            )
            query = (
                select(MetricSeriesRow.id)
                .join(RunRow, RunRow.id == MetricSeriesRow.run_id)
                .where(
                    MetricSeriesRow.id > after, MetricSeriesRow.tail >= REST_AT, RunRow.ended_at.isnot(None)
                )
            )
            if bound is not None:
                query = query.where(MetricSeriesRow.id <= bound)
            return list(session.scalars(query)), bound

    def tidy(self) -> None:
        """PostgreSQL: make the room of sealed rows free for new ones, when there are many."""
        if self._db.sqlite or self._removed < _VACUUM_AT:
            return
        self._removed = 0
        with self._db.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            for table in ("metric_points", "metric_blocks", "metric_series"):
                connection.exec_driver_sql(f"VACUUM {table}")

    def _hold(self, raw: Raw, series_id: int) -> None:
        """Lock the series' run against other writers; with SQLite this process has the only one."""
        if not raw.sqlite:
            for run_id, _, _ in raw.rows(_SERIES, (series_id,)):
                raw.rows(_HOLD, (run_id,))

    def _read(self, raw: Raw, series_id: int) -> _Tail | None:
        with raw.together():
            series = raw.ask(_SERIES, (series_id,))
            rows = raw.ask(_ROWS, (series_id,))
            pieces = raw.ask(_PIECES, (series_id,))
        about, found, packed = series.fetchone(), rows.fetchall(), pieces.fetchall()
        if about is None or not (found or packed):
            return None
        points = join([make_points([row[:3] for row in found]), *(decode(data) for _, data in packed)])
        return _Tail(
            run_id=about[0],
            blocks=about[2],
            points=len(points),
            rows=len(found),
            first=(found[0][0], found[0][1], found[0][3]) if found else (0, 0, 0),
            last=(found[-1][0], found[-1][1], found[-1][3]) if found else (0, 0, 0),
            pieces=len(packed),
            newest=packed[-1][0] if packed else 0,
            packed=pack(_in_order(points)),
        )

    def _apply(self, session: Session, series_id: int, tail: _Tail) -> None:
        """Put the blocks in the place of the tail, if that is still what was read.

        A tail's rows never change, so as many in the same range are the same.
        """
        raw = Raw.of(session)
        self._hold(raw, series_id)
        about = raw.rows(_SERIES, (series_id,))
        if not about or about[0][2] != tail.blocks:
            raise _Changed
        if tail.rows:
            done = raw.ask(_DELETE_ROWS, (series_id, *tail.first, *tail.last))
            if done.rowcount != tail.rows:
                raise _Changed
        if tail.pieces:
            done = raw.ask(_DELETE_PIECES, (series_id, tail.newest))
            if done.rowcount != tail.pieces:
                raise _Changed
        put_blocks(raw, block_rows(raw, series_id, tail.blocks, tail.packed))
        raw.ask(_UPDATE, (tail.points, len(tail.packed), series_id))


def _in_order(points: Points) -> Points:
    """By (step, time); of equal ones the later written stays behind."""
    return points.at(np.lexsort((points.ts, points.step)))
