"""Blocks of a series: putting them in, summing them up level by level, and looking a point up in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import isnan
from typing import Any

from nacre.db.queries.series import PIECE, ROOTS, SUMMARY, children
from nacre.db.raw import Raw
from nacre.domain.blocks import FAN_IN, Points, Summary, combine, decode, encode, split, summarise

SEAL_AT = 512
"""A tail of so many points is packed into a block; as many that come at once never lie in the tail."""
PIECE_AT = 24
"""So many points of a series that come at once lie in the tail as one packed piece."""

BlockRow = tuple[Any, ...]
"""A row of ``metric_blocks``."""

_INSERT = (
    f"INSERT INTO metric_blocks (series_id, level, number, {SUMMARY}, data) "  # noqa: S608 - names only
    "SELECT * FROM {rows} WHERE true"
)


def pack(points: Points) -> list[tuple[Summary, bytes]]:
    """Points in order of (step, time) as blocks, ready to be put in."""
    return [(summarise(piece), encode(piece)) for piece in split(points)]


def piece_row(series_id: int, number: int, points: Points) -> BlockRow:
    """A packed part of the tail. Numbers of pieces grow: the series' count of points before it. It is soon
    sealed into a block, so compressing it would be work for nothing."""
    return (series_id, PIECE, number, *summarise(points).row(), encode(points, squeeze=False))


def block_rows(
    raw: Raw, series_id: int, before: int, packed: Sequence[tuple[Summary, bytes]]
) -> list[BlockRow]:
    """The rows of blocks behind the ``before`` that the series has, and of the sums of each sixteen that
    they complete. The caller holds the series, and adds their number to its ``blocks``."""
    rows: list[BlockRow] = [
        (series_id, 0, number, *summary.row(), data)
        for number, (summary, data) in enumerate(packed, before)
    ]
    level, count = 0, before
    added = [summary for summary, _ in packed]
    while added:
        first, end = count // FAN_IN, (count + len(added)) // FAN_IN
        known = dict(enumerate(added, count))
        if first < end and count > first * FAN_IN:
            known |= children(raw, series_id, level, first * FAN_IN, count)
        level, count = level + 1, first
        added = [
            combine([known[child] for child in range(number * FAN_IN, (number + 1) * FAN_IN)])
            for number in range(first, end)
        ]
        rows += [
            (series_id, level, number, *summary.row(), None) for number, summary in enumerate(added, first)
        ]
    return rows


def put_blocks(raw: Raw, rows: Sequence[BlockRow]) -> None:
    """Put rows of blocks and pieces in."""
    raw.each(_INSERT, "iiiiiiiiiffffb", rows)


_COVERS = "b.first_step <= ? AND b.last_step >= ? AND b.first_ts <= ? AND b.last_ts >= ?"
_COVERING_ROOTS = f"SELECT b.level, b.number FROM {ROOTS} AND {_COVERS}"  # noqa: S608
_COVERING_PIECES = (
    f"SELECT level, number FROM metric_blocks b WHERE series_id = ? AND level = {PIECE} AND {_COVERS}"  # noqa: S608
)
_COVERING_CHILDREN = (
    "SELECT level, number FROM metric_blocks b WHERE series_id = ? AND level = ? "  # noqa: S608
    f"AND number >= ? AND number < ? AND {_COVERS}"
)
_DATA = "SELECT data FROM metric_blocks WHERE series_id = ? AND level = ? AND number = ?"


def packed_values(
    raw: Raw, series_id: int, wanted: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], set[float | None]]:
    """The values that blocks and pieces hold at these (step, time); those that hold none are left out."""
    keys = set(wanted)
    steps, times = [step for step, _ in keys], [ts for _, ts in keys]
    area = (max(steps), min(steps), max(times), min(times))
    found: dict[tuple[int, int], set[float | None]] = {}
    with raw.together():
        roots = raw.ask(_COVERING_ROOTS, (series_id, *area))
        pieces = raw.ask(_COVERING_PIECES, (series_id, *area))
    nodes = [*roots.fetchall(), *pieces.fetchall()]
    while nodes:
        level, number = nodes.pop()
        if level > 0:
            low = number * FAN_IN
            nodes += raw.rows(_COVERING_CHILDREN, (series_id, level - 1, low, low + FAN_IN, *area))
            continue
        points = decode(raw.rows(_DATA, (series_id, level, number))[0][0])
        inside = (points.step >= area[1]) & (points.step <= area[0])
        inside &= (points.ts >= area[3]) & (points.ts <= area[2])
        some = points.at(inside)
        for step, ts, value in zip(some.step.tolist(), some.ts.tolist(), some.value.tolist(), strict=True):
            if (step, ts) in keys:
                found.setdefault((step, ts), set()).add(None if isnan(value) else value)
    return found
