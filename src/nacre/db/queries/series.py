"""Reading series of metrics: all points, the latest, or a chart of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.raw import Raw, gather
from nacre.db.tables.runs import MetricSeriesRow
from nacre.domain.blocks import FAN_IN, Floats, Points, Summary, decode, join, make_points
from nacre.domain.curves import Curve, Stretches, draw, exact_curve

SUMMARY = "n, finite, first_step, last_step, first_ts, last_ts, min, max, sum, last"
"""Columns of a block, in the order of :class:`Summary`."""
ROOTS = (
    "metric_series s CROSS JOIN (VALUES (0), (1), (2), (3), (4), (5), (6)) AS l CROSS JOIN metric_blocks b "
    "WHERE s.id = ? AND b.series_id = s.id AND b.level = l.column1 "
    "AND b.number >= s.blocks / (16 << (4 * l.column1)) * 16"
)
"""The blocks that no other sums up: together they hold each packed point of a series once."""
PIECE = -1
"""The level of pieces: packed parts of the tail."""
_CHUNK = 500
_TRIES = 50


@dataclass(slots=True)
class Series:
    """A row of ``metric_series``. ``last_value``, ``min`` and ``max`` are null for NaN."""

    id: int
    run_id: int
    key: str
    last_step: int
    last_ts: int
    last_value: float | None
    n: int
    min: float | None
    max: float | None
    tail: int
    blocks: int


_COLUMNS = tuple(getattr(MetricSeriesRow, name) for name in Series.__slots__)


def find_series(session: Session, run_ids: Sequence[int], keys: Sequence[str] | None) -> list[Series]:
    """The series of some runs, by run and key; ``keys`` keeps those of these names."""
    found: list[Series] = []
    for at in range(0, len(run_ids), _CHUNK):
        query = select(*_COLUMNS).where(MetricSeriesRow.run_id.in_(run_ids[at : at + _CHUNK]))
        if keys is not None:
            query = query.where(MetricSeriesRow.key.in_(keys))
        found += [Series(*row) for row in session.execute(query)]
    return sorted(found, key=lambda series: (series.run_id, series.key))


def children(raw: Raw, series_id: int, level: int, low: int, high: int) -> dict[int, Summary]:
    """Summaries of the blocks of one level from number ``low`` to below ``high``."""
    query = (
        f"SELECT number, {SUMMARY} FROM metric_blocks WHERE series_id = ? AND level = ? "  # noqa: S608
        "AND number >= ? AND number < ?"
    )
    return {row[0]: Summary(*row[1:]) for row in raw.rows(query, (series_id, level, low, high))}


_TAIL = "SELECT step, ts, value FROM metric_points WHERE series_id = ?"
_PACKED = f"SELECT data FROM metric_blocks WHERE series_id = ? AND level IN (0, {PIECE})"  # noqa: S608
_PIECES = f"SELECT data FROM metric_blocks WHERE series_id = ? AND level = {PIECE}"  # noqa: S608
_BLOCKS = "SELECT blocks FROM metric_series WHERE id = ?"


def points(session: Session, series: Series) -> Points:
    """Every point in order of (step, time, value)."""
    return _ordered(_read(Raw.of(session), series.id, "", ()))


def points_after(session: Session, series: Series, step: int, ts: int) -> Points:
    """The points behind (step, time), in order."""
    found = _read(Raw.of(session), series.id, " AND {last}step >= ?", (step,))
    later = (found.step > step) | ((found.step == step) & (found.ts > ts))
    return _ordered(found.at(later))


def _read(raw: Raw, series_id: int, where: str, parameters: Sequence[Any]) -> Points:
    """Tail and blocks as they were at one time: sealing moves points from the one to the others."""
    tail, packed = _TAIL + where.format(last=""), _PACKED + where.format(last="last_")
    for _ in range(_TRIES):
        with raw.together():
            before = raw.ask(_BLOCKS, (series_id,))
            rows = raw.ask(tail, (series_id, *parameters))
            blocks = raw.ask(packed, (series_id, *parameters))
            after = raw.ask(_BLOCKS, (series_id,))
        parts = [decode(data) for (data,) in blocks.fetchall()]
        parts.append(make_points(rows.fetchall()))
        if before.fetchall() == after.fetchall():
            break
    return join(parts)


def _ordered(found: Points) -> Points:
    """Sorted; most are already, but for the blocks' order."""
    step, ts = found.step, found.ts
    behind = (step[1:] > step[:-1]) | ((step[1:] == step[:-1]) & (ts[1:] > ts[:-1]))
    return found if bool(np.all(behind)) else found.sorted()


_ALL_ROOTS = (
    f"SELECT b.level, b.number, {', '.join('b.' + name for name in SUMMARY.split(', '))} FROM {ROOTS}"  # noqa: S608
)
_BLOCK_DATA = (
    "SELECT b.number, b.data FROM {rows} CROSS JOIN metric_blocks b "
    "WHERE b.series_id = v.column1 AND b.level = 0 AND b.number = v.column2"
)
_MOST_NODES = 20_000
_MOST_DECODED = 2_000

Axis = Literal["step", "time", "relative"]


def chart(
    session: Session,
    series: Series,
    *,
    axis: Axis,
    low: float | None = None,
    high: float | None = None,
    width: int = 320,
    start_ms: int = 0,
) -> Curve:
    """A curve of at most ``width`` stretches of the x axis, or the points themselves when they are no more.

    ``axis``: the step, milliseconds since 1970, or (relative) milliseconds since ``start_ms``. ``low`` and
    ``high`` (both included, in the axis's unit) zoom in. Blocks that are narrower than a stretch are not
    opened, so the time that it takes hardly grows with the number of points.
    """
    raw = Raw.of(session)
    view = _View(axis, start_ms, raw, series.id)
    tail, nodes = view.roots()
    low, high = view.range(tail, nodes, low, high)
    nodes = [node for node in nodes if view.meets(node, low, high)]
    span = (high - low) / width
    nodes, opened = view.open_wide(nodes, low, high, span)
    found = join([*opened, tail])
    x = view.of_points(found)
    inside = (x >= low) & (x <= high)
    x, values = x[inside], found.value[inside]
    if np.any(x[1:] < x[:-1]):
        order = np.argsort(x, kind="stable")
        x, values = x[order], values[order]
    if not nodes and len(x) <= width:
        return exact_curve(x, values)
    stretches = [view.stretches(nodes, low, high)] if nodes else []
    return draw(x, values, stretches, low=low, high=high, width=width)


@dataclass(slots=True)
class _Node:
    """A block that stands for its points, until it is opened."""

    level: int
    number: int
    about: Summary


class _View:
    """One series, seen along one axis."""

    def __init__(self, axis: Axis, start_ms: int, raw: Raw, series_id: int) -> None:
        self._by_step = axis == "step"
        self._origin = start_ms if axis == "relative" else 0
        self._raw = raw
        self._id = series_id

    def of_points(self, points: Points) -> Floats:
        """Their places on the axis."""
        return (points.step if self._by_step else points.ts - self._origin).astype(np.float64)

    def ends(self, about: Summary) -> tuple[float, float]:
        """Where a block begins and ends on the axis."""
        if self._by_step:
            return float(about.first_step), float(about.last_step)
        return float(about.first_ts - self._origin), float(about.last_ts - self._origin)

    def meets(self, node: _Node, low: float, high: float) -> bool:
        """Whether part of the block lies between."""
        first, last = self.ends(node.about)
        return first <= high and last >= low

    def roots(self) -> tuple[Points, list[_Node]]:
        """The tail, and the blocks that hold all the other points, as they were at one time."""
        for _ in range(_TRIES):
            with self._raw.together():
                before = self._raw.ask(_BLOCKS, (self._id,))
                rows = self._raw.ask(_TAIL, (self._id,))
                pieces = self._raw.ask(_PIECES, (self._id,))
                roots = self._raw.ask(_ALL_ROOTS, (self._id,))
                after = self._raw.ask(_BLOCKS, (self._id,))
            nodes = [_Node(level, number, Summary(*about)) for level, number, *about in roots.fetchall()]
            parts = [decode(data) for (data,) in pieces.fetchall()]
            tail = join([*parts, make_points(rows.fetchall())])
            if before.fetchall() == after.fetchall():
                break
        return tail, nodes

    def range(
        self, tail: Points, nodes: Sequence[_Node], low: float | None, high: float | None
    ) -> tuple[float, float]:
        """What is to be seen: all, where no bound is given."""
        places = [place for node in nodes for place in self.ends(node.about)]
        if len(tail):
            x = self.of_points(tail)
            places += [float(x.min()), float(x.max())]
        return (
            min(places, default=0.0) if low is None else low,
            max(places, default=0.0) if high is None else high,
        )

    def open_wide(
        self, nodes: list[_Node], low: float, high: float, span: float
    ) -> tuple[list[_Node], list[Points]]:
        """Replace blocks that are wider than ``span``, or only partly in view, by those that they sum up,
        and at last by their points. What cannot be opened within bounds of work stays."""
        kept: list[_Node] = []
        wide: list[_Node] = []
        fresh = nodes
        while True:
            for node in fresh:
                first, last = self.ends(node.about)
                narrow = last - first <= span and first >= low and last <= high
                (kept if narrow else wide).append(node)
            top = max((node.level for node in wide), default=0)
            if top == 0 or len(kept) + len(wide) > _MOST_NODES:
                break
            below = [node for node in wide if node.level == top]
            wide = [node for node in wide if node.level != top]
            fresh = [node for node in self._children(below) if self.meets(node, low, high)]
        chosen = [node for node in wide if node.level == 0][:_MOST_DECODED]
        numbers = {node.number for node in chosen}
        kept += [node for node in wide if node.level or node.number not in numbers]
        return kept, self._data(sorted(numbers))

    def _children(self, nodes: list[_Node]) -> list[_Node]:
        found: list[_Node] = []
        numbers = sorted(node.number for node in nodes)
        level = nodes[0].level - 1
        start = 0
        for at in range(1, len(numbers) + 1):
            if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
                low, high = numbers[start] * FAN_IN, (numbers[at - 1] + 1) * FAN_IN
                some = children(self._raw, self._id, level, low, high)
                found += [_Node(level, number, about) for number, about in some.items()]
                start = at
        return found

    def _data(self, numbers: list[int]) -> list[Points]:
        rows = gather(self._raw.each(_BLOCK_DATA, "ii", [(self._id, number) for number in numbers]))
        return [decode(data) for _, data in sorted(rows)]

    def stretches(self, nodes: list[_Node], low: float, high: float) -> Stretches:
        """The blocks' summaries as columns; a bound beyond the view is moved to its edge."""
        ends = np.array([self.ends(node.about) for node in nodes])
        columns = np.array(
            [
                (about.n, about.finite, about.min, about.max, about.sum, about.last)
                for about in (node.about for node in nodes)
            ],
            np.float64,
        )
        return Stretches(
            np.clip(ends[:, 0], low, high), np.clip(ends[:, 1], low, high), *np.ascontiguousarray(columns.T)
        )
