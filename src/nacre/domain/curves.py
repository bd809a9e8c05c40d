"""Curves: fewer points that still show what the many show."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[int, int, float | None]
"""(step, milliseconds since 1970, value); the value is null for NaN."""


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """At most ``limit`` (4 or more) of the points, in their order: the first, the last, and the lowest
    and highest of each stretch between, so that no spike is lost."""
    if len(points) <= limit:
        return list(points)
    stretches = (limit - 2) // 2
    inner = points[1:-1]
    kept = [points[0]]
    for number in range(stretches):
        a, b = number * len(inner) // stretches, (number + 1) * len(inner) // stretches
        values = [(point[2], at) for at, point in enumerate(inner[a:b], a) if point[2] is not None]
        if values:
            kept += [inner[at] for at in sorted({min(values)[1], max(values)[1]})]
    return [*kept, points[-1]]
