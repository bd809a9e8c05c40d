"""Plots in the terminal: as wide and high as asked, whatever the points are."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.cli.render.plot import plot


def dots(line: str) -> int:
    return sum((ord(c) - 0x2800).bit_count() for c in line if 0x2800 <= ord(c) < 0x2900)


def test_a_rising_line_rises() -> None:
    lines = plot([(x, x) for x in range(10)], 20, 4)
    assert len(lines) == 5
    assert lines[0].startswith("9 ┤")
    assert lines[3].startswith("0 ┤")
    body = [line[3:] for line in lines[:4]]
    first = [next(i for i, c in enumerate(line) if c != "\u2800") for line in body]
    assert first == sorted(first, reverse=True)
    assert len(set(first)) == 4
    assert lines[4].split() == ["0", "9"]


def test_exact_picture() -> None:
    blank = "\u2800"
    assert plot([(0, 0), (1, 1), (2, 0)], 8, 2) == [
        f"1 ┤{blank}⡰⠱⡀{blank}",
        f"0 ┤⡰⠁{blank}⠈⢆",
        "   0   2",
    ]


def test_a_single_point_is_a_dot() -> None:
    lines = plot([(5, 0.25)], 20, 3)
    assert sum(dots(line) for line in lines) == 1
    assert lines[-1].split() == ["5"]


def test_a_constant_is_one_level_line() -> None:
    lines = plot([(x, 2.0) for x in range(30)], 40, 5)
    assert [dots(line) > 0 for line in lines] == [False, False, True, False, False, False]


def test_what_is_not_finite_is_left_out() -> None:
    assert plot([(0, math.nan), (1, math.inf)], 20, 3) == []
    assert plot([], 20, 3) == []
    with_gap = plot([(0, 1.0), (1, math.nan), (2, 3.0)], 20, 3)
    assert with_gap == plot([(0, 1.0), (2, 3.0)], 20, 3)


@pytest.mark.parametrize("height", [1, 2, 7])
def test_extremes_of_floats(height: int) -> None:
    top = sys.float_info.max
    lines = plot([(0, -top), (1, top), (2, 5e-324)], 30, height)
    assert len(lines) == height + 1


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.floats()), max_size=40),
    st.integers(30, 120),
    st.integers(1, 10),
)
def test_every_curve_fits(points: list[tuple[int, float]], width: int, height: int) -> None:
    lines = plot(points, width, height)
    if any(math.isfinite(y) for _, y in points):
        assert len(lines) == height + 1
        assert all(len(line) <= width for line in lines[:-1])
        assert dots("".join(lines)) >= 1
    else:
        assert lines == []
