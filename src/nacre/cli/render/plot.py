"""Curves in a terminal, drawn with braille characters: two dots wide and four high in each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
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


def plot_curves(
    curves: Sequence[Sequence[tuple[float, float]]], width: int, height: int
) -> list[list[tuple[str, int | None]]]:
    """Several curves in one frame: lines of pieces of text, each with the number of its curve (null: none).

    Where curves cross in a cell, its dots are those of all, in the colour of the last.
    """
    finite = [sorted((x, y) for x, y in curve if math.isfinite(x) and math.isfinite(y)) for curve in curves]
    everything = [point for curve in finite for point in curve]
    if not everything:
        return []
    low, high = min(y for _, y in everything), max(y for _, y in everything)
    first, last = min(x for x, _ in everything), max(x for x, _ in everything)
    labels = [f"{high:.4g}", *[""] * (height - 2), f"{low:.4g}"]
    margin = max(len(label) for label in labels)
    columns = max(4, width - margin - 2)
    layers = [_draw(curve, (first, last, low, high), columns, height) for curve in finite]
    lines: list[list[tuple[str, int | None]]] = []
    for row, label in enumerate(labels):
        line: list[tuple[str, int | None]] = [(f"{label:>{margin}} ┤", None)]
        for column in range(columns):
            cells = [layer[row][column] for layer in layers]
            owners = [number for number, cell in enumerate(cells) if cell]
            dots = 0
            for cell in cells:
                dots |= cell
            line.append((chr(0x2800 + dots), owners[-1] if owners else None))
        lines.append(line)
    start, end = f"{first:g}", f"{last:g}"
    axis = start if first == last else start + end.rjust(max(1, columns - len(start)))
    return [*lines, [(" " * (margin + 2) + axis, None)]]


def sparkline(values: Sequence[float | None], width: int) -> str:
    """The values as a line of blocks, at most ``width`` wide: each shows the mean of its stretch."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    if not known or width < 1:
        return ""
    count = min(width, len(known))
    means = []
    for number in range(count):
        part = known[number * len(known) // count : (number + 1) * len(known) // count]
        means.append(sum(value / len(part) for value in part))
    low, high = min(means), max(means)
    return "".join(_BLOCKS[_place(mean, low, high, len(_BLOCKS) - 1)] for mean in means)


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
