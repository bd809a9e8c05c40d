"""Thinned curves and drawn ones: within the limit, in order, with every extreme."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nacre.domain.blocks import make_points
from nacre.domain.curves import Stretches, draw, thin

values = st.none() | st.floats(allow_nan=False)


@given(st.lists(values, max_size=300), st.integers(4, 40))
def test_thinning(drawn: list[float | None], limit: int) -> None:
    points = make_points([(step, 1000 + step, value) for step, value in enumerate(drawn)])
    kept = thin(points, limit)
    assert len(kept) <= limit
    assert kept.step.tolist() == sorted(set(kept.step.tolist()))
    assert np.array_equal(points.value[kept.step], kept.value, equal_nan=True)
    if drawn:
        assert (kept.step[0], kept.step[-1]) == (0, len(drawn) - 1)
    known = [value for value in drawn if value is not None]
    if known:
        assert (np.nanmin(kept.value), np.nanmax(kept.value)) == (min(known), max(known))


def test_few_points_stay_as_they_are() -> None:
    points = make_points([(0, 0, 1.0), (1, 1, None)])
    assert thin(points, 4) is points


@given(st.lists(values, min_size=1, max_size=300), st.integers(1, 50))
def test_a_drawn_curve_has_every_point_in_its_band(drawn: list[float | None], width: int) -> None:
    x = np.sort(np.random.default_rng(len(drawn)).random(len(drawn)) * 100)
    points = np.array(drawn, np.float64)
    curve = draw(x, points, [], low=0, high=100, width=width)
    assert curve.n.sum() == len(drawn)
    assert len(curve.x) <= width
    for place, value in zip(x, points, strict=True):
        at = np.argmin(np.abs(curve.x - place))
        if not np.isnan(value):
            assert curve.min[at] <= value <= curve.max[at]
            assert curve.min[at] <= curve.mean[at] <= curve.max[at]
    assert curve.last[-1] == points[-1] or (np.isnan(curve.last[-1]) and np.isnan(points[-1]))


def test_a_summary_across_an_edge_counts_in_equal_parts_and_its_band_on_both_sides() -> None:
    one = [np.array([number], np.float64) for number in (4, 6, 10, 8, -1, 1, 4, 0.5)]
    curve = draw(np.empty(0), np.empty(0), [Stretches(*one)], low=0, high=10, width=2)
    assert curve.x.tolist() == [2.5, 7.5]
    assert curve.n.tolist() == [5, 5]
    assert (curve.min.tolist(), curve.max.tolist()) == ([-1, -1], [1, 1])
    assert curve.mean.tolist() == [0.5, 0.5]
    assert curve.last.tolist() == [0.5, 0.5]


def test_where_all_is_nan_the_curve_has_a_gap() -> None:
    nan = float("nan")
    curve = draw(np.arange(4.0), np.array([1.0, nan, nan, 2.0]), [], low=0, high=4, width=4)
    assert [None if np.isnan(v) else v for v in curve.mean.tolist()] == [1.0, None, None, 2.0]
    assert curve.n.tolist() == [1, 1, 1, 1]
