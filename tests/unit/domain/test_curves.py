"""Thinned curves: within the limit, in order, with every extreme."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from nacre.domain.curves import Point, thin

values = st.one_of(st.none(), st.floats(allow_nan=False))


@given(st.lists(values, max_size=300), st.integers(4, 40))
def test_thinning(drawn: list[float | None], limit: int) -> None:
    points: list[Point] = [(step, 1000 + step, value) for step, value in enumerate(drawn)]
    kept = thin(points, limit)
    assert len(kept) <= max(limit, 0)
    assert kept == sorted(kept, key=lambda point: point[0])
    assert set(kept) <= set(points)
    if points:
        assert (kept[0], kept[-1]) == (points[0], points[-1])
    known = [value for value in drawn if value is not None]
    if known:
        left = [value for _, _, value in kept if value is not None]
        assert (min(left), max(left)) == (min(known), max(known))


def test_few_points_stay_as_they_are() -> None:
    points: list[Point] = [(0, 0, 1.0), (1, 1, None)]
    assert thin(points, 4) == points
