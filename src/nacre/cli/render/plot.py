"""Curves in a terminal, drawn with braille characters: two dots wide and four high in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""The bit of each dot, by column and row."""


def plot(points: Sequence[tuple[float, float]], width: int, height: int) -> list[str]:
    """The curve through the points as ``height`` lines of ``width`` characters, axis included.

    Points that are not finite leave gaps. The lines carry the greatest and the least value at their left;
    below them stands a line with the first and the last x. Nothing to draw gives no lines.
    """
    known = sorted((x, y) for x, y in points if math.isfinite(x) and math.isfinite(y))
    if not known:
        return []
    low, high = min(y for _, y in known), max(y for _, y in known)
    first, last = known[0][0], known[-1][0]
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"] if height > 1 else [f"{high:.4g}"]
    margin = max(len(label) for label in labels)
    columns = max(4, width - margin - 2)
    cells = _draw(known, (first, last, low, high), columns, height)
    lines = [
        f"{label:>{margin}} ┤" + "".join(chr(0x2800 + cell) for cell in row)
        for label, row in zip(labels, cells, strict=True)
    ]
    start, end = f"{first:g}", f"{last:g}"
    axis = start if first == last else start + end.rjust(max(1, columns - len(start)))
    return [*lines, " " * (margin + 2) + axis]


def _draw(
    known: list[tuple[float, float]], frame: tuple[float, float, float, float], columns: int, rows: int
) -> list[list[int]]:
    first, last, low, high = frame
    wide, tall = 2 * columns - 1, 4 * rows - 1
    cells = [[0] * columns for _ in range(rows)]

    def dot(x: int, y: int) -> None:
        cells[y // 4][x // 2] |= _DOTS[x % 2][y % 4]

    at: tuple[int, int] | None = None
    for x, y in known:
        here = (_place(x, first, last, wide), tall - _place(y, low, high, tall))
        for step in range(steps := max(abs(here[0] - at[0]), abs(here[1] - at[1])) if at else 0):
            assert at is not None
            dot(
                at[0] + round((here[0] - at[0]) * step / steps),
                at[1] + round((here[1] - at[1]) * step / steps),
            )
        dot(*here)
        at = here
    return cells


def _place(value: float, low: float, high: float, size: int) -> int:
    if low == high:
        return size // 2
    scale = max(abs(low), abs(high))  # a span of nearly the greatest floats must not overflow
    return round((value / scale - low / scale) / (high / scale - low / scale) * size)
