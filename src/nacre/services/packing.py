"""Blocks of a series: putting them in, summing them up level by level, and looking a point up in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import astuple
from math import isnan

from nacre.db.queries.series import ROOTS, SUMMARY, children
from nacre.db.raw import Raw
from nacre.domain.blocks import FAN_IN, Points, Summary, combine, decode, encode, split, summarise

_INSERT = (
    f"INSERT INTO metric_blocks (series_id, level, number, {SUMMARY}, data) "  # noqa: S608 - names only
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def pack(points: Points) -> list[tuple[Summary, bytes]]:
    """Points in order of (step, time) as blocks, ready to be put in."""
    return [(summarise(piece), encode(piece)) for piece in split(points)]


def put_blocks(raw: Raw, series_id: int, before: int, packed: Sequence[tuple[Summary, bytes]]) -> int:
    """Put blocks behind the ``before`` that the series has, and sum up each sixteen that are complete.

    The caller holds the series. Returns how many blocks it has now (to be written into its row).
    """
    level, count = 0, before
    added: list[Summary] = []
    for number, (summary, data) in enumerate(packed, before):
        raw.ask(_INSERT, (series_id, 0, number, *astuple(summary), data))
        added.append(summary)
    while added:
        after = count + len(added)
        first, end = count // FAN_IN, after // FAN_IN
        if first == end:
            break
        known = dict(enumerate(added, count))
        if count > first * FAN_IN:
            known |= children(raw, series_id, level, first * FAN_IN, count)
        level += 1
        added = []
        for number in range(first, end):
            summary = combine([known[child] for child in range(number * FAN_IN, (number + 1) * FAN_IN)])
            raw.ask(_INSERT, (series_id, level, number, *astuple(summary), None))
            added.append(summary)
        count = first
    return before + len(packed)


_COVERS = "first_step <= ? AND last_step >= ? AND first_ts <= ? AND last_ts >= ?"
_COVERING_ROOTS = f"SELECT b.level, b.number FROM {ROOTS} AND {_COVERS}"  # noqa: S608
_COVERING_CHILDREN = (
    "SELECT level, number FROM metric_blocks WHERE series_id = ? AND level = ? "  # noqa: S608
    f"AND number >= ? AND number < ? AND {_COVERS}"
)
_DATA = "SELECT data FROM metric_blocks WHERE series_id = ? AND level = 0 AND number = ?"


def sealed_values(
    raw: Raw, series_id: int, wanted: Iterable[tuple[int, int]]
) -> dict[tuple[int, int], set[float | None]]:
    """The values that blocks hold at these (step, time); those that hold none are left out."""
    keys = set(wanted)
    steps, times = [step for step, _ in keys], [ts for _, ts in keys]
    area = (max(steps), min(steps), max(times), min(times))
    found: dict[tuple[int, int], set[float | None]] = {}
    nodes = raw.rows(_COVERING_ROOTS, (series_id, *area))
    while nodes:
        level, number = nodes.pop()
        if level:
            low = number * FAN_IN
            nodes += raw.rows(_COVERING_CHILDREN, (series_id, level - 1, low, low + FAN_IN, *area))
            continue
        points = decode(raw.rows(_DATA, (series_id, number))[0][0])
        inside = (points.step >= area[1]) & (points.step <= area[0])
        inside &= (points.ts >= area[3]) & (points.ts <= area[2])
        some = points.at(inside)
        for step, ts, value in zip(some.step.tolist(), some.ts.tolist(), some.value.tolist(), strict=True):
            if (step, ts) in keys:
                found.setdefault((step, ts), set()).add(None if isnan(value) else value)
    return found
