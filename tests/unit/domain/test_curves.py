"""Thinned curves and drawn ones: within the limit, in order, with every extreme."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.domain.blocks import Floats, make_points
from nacre.domain.curves import Curve, Stretches, draw, exact_curve, shortened, thin

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


def packed(column: Floats) -> int:
    return len(zlib.compress(str(column.tolist()).encode()))


class TestShortened:
    def curve(self, values: Floats, width: int = 100, low: float = 0.0, high: float = 5000.0) -> Curve:
        x = np.linspace(low, high, len(values))
        return draw(x, values, [], low=low, high=high, width=width)

    @pytest.mark.parametrize("scale", [1.0, 1e-9, 1e12])
    @pytest.mark.parametrize("offset", [0.0, 7.0, 1e6])
    def test_it_looks_the_same_in_half_the_text(self, scale: float, offset: float) -> None:
        chance = np.random.default_rng(3)
        whole = self.curve((chance.normal(size=5000) + offset) * scale)
        short = shortened(whole)
        height = whole.max.max() - whole.min.min()
        for name in ("mean", "min", "max", "last"):
            assert np.abs(getattr(short, name) - getattr(whole, name)).max() <= height * 1e-3
        assert np.all(short.min <= whole.min)
        assert np.all(short.max >= whole.max)
        assert np.abs(np.diff(short.x) - 50.0).max() <= 1.0
        assert short.n.tolist() == whole.n.tolist()
        assert packed(short.mean) < 0.75 * packed(whole.mean)

    def test_small_values_beside_great_ones_keep_their_digits(self) -> None:
        values = np.repeat(np.geomspace(1e-12, 1e3, 200), 10)
        whole = self.curve(values)
        short = shortened(whole)
        assert np.abs(short.mean / whole.mean - 1).max() < 1e-4  # a logarithmic axis shows them

    def test_what_is_no_number_stays(self) -> None:
        values = np.tile([np.nan, np.inf, -np.inf, 0.0, 1 / 3, 1e300, 1e-300, 2.0], 500)
        whole = self.curve(values, width=4000)
        short = shortened(whole)
        assert np.array_equal(np.isnan(short.mean), np.isnan(whole.mean))
        assert np.array_equal(np.isinf(short.mean), np.isinf(whole.mean))
        assert np.allclose(short.mean, whole.mean, rtol=1e-4, equal_nan=True)

    def test_points_themselves_and_level_curves_stay(self) -> None:
        points = exact_curve(np.arange(3.0), np.array([1 / 3, 2 / 3, 1.0]))
        assert shortened(points) is points
        level = self.curve(np.full(5000, 1_700_000_123.0))
        assert shortened(level).mean.tolist() == level.mean.tolist()
