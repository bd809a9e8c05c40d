"""Packed points come back exactly, in few bytes, and what is summed up of them is true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.domain.blocks import (
    TARGET,
    Points,
    combine,
    decode,
    encode,
    join,
    make_points,
    split,
    summarise,
)

integers = st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 5)
values = st.none() | st.floats(allow_nan=False) | st.floats(width=32, allow_nan=False) | st.integers(-9, 9)
rows = st.lists(st.tuples(integers, integers, values.map(lambda v: None if v is None else float(v))))


def same(one: Points, other: Points) -> bool:
    return (
        np.array_equal(one.step, other.step)
        and np.array_equal(one.ts, other.ts)
        and np.array_equal(one.value, other.value, equal_nan=True)
        and np.array_equal(np.signbit(one.value), np.signbit(other.value))
    )


@given(rows)
def test_every_point_comes_back_exactly(drawn: list[tuple[int, int, float | None]]) -> None:
    points = make_points(drawn)
    assert same(decode(encode(points)), points)


def curve(values: np.ndarray) -> Points:  # type: ignore[type-arg]
    rng = np.random.default_rng(1)
    count = len(values)
    jitter = np.cumsum(rng.integers(900, 1100, count)) + 1_700_000_000_000
    return Points(np.arange(count), jitter, values.astype(np.float64))


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        (np.random.default_rng(0).random(512), 10.0),
        (np.random.default_rng(0).random(512).astype(np.float32), 6.0),
        (np.arange(512) * 3, 2.0),
        (np.full(512, np.nan), 2.0),
    ],
    ids=["float64", "float32", "integers", "nan"],
)
def test_a_point_takes_few_bytes(values: np.ndarray, limit: float) -> None:  # type: ignore[type-arg]
    assert len(encode(curve(values))) / len(values) < limit


@pytest.mark.parametrize("data", [b"", b"\x02\0\0\0\0", encode(make_points([(1, 2, 3.5)] * 99))[:-20]])
def test_what_is_no_block_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"block|buffer"):
        decode(data)


def test_pieces_are_of_about_equal_length() -> None:
    points = curve(np.arange(5 * TARGET + 1))
    lengths = [len(piece) for piece in split(points)]
    assert len(lengths) == 6
    assert max(lengths) - min(lengths) <= 1
    assert same(join(split(points)), points)


@given(st.lists(rows.filter(bool), min_size=1, max_size=4))
def test_a_sum_of_summaries_is_the_summary_of_all(parts: list[list[tuple[int, int, float | None]]]) -> None:
    pieces = [make_points(sorted(part, key=lambda row: row[:2])) for part in parts]
    whole, summed = summarise(join(pieces)), combine([summarise(piece) for piece in pieces])
    for name in ("n", "finite", "first_step", "last_step", "first_ts", "last_ts", "min", "max"):
        assert getattr(whole, name) == getattr(summed, name)
    assert whole.sum == pytest.approx(summed.sum, rel=1e-9, abs=1e-300) or abs(whole.sum) > 1e300
