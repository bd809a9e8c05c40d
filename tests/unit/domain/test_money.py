"""Money: whole micros, and parts that add up to the whole."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.domain.money import (
    Rates,
    at_the_pace,
    cost_between,
    cost_micros,
    micros,
    month_of,
    split_by_day,
)

HOUR_MS = 3_600_000
DAY = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("price", "milliseconds", "cost"),
    [
        (0, HOUR_MS, 0),
        (1_000_000, 0, 0),
        (1_000_000, HOUR_MS, 1_000_000),
        (1_000_000, HOUR_MS // 2, 500_000),
        (1, HOUR_MS // 2, 1),  # half a micro, up
        (1, HOUR_MS // 2 - 1, 0),
        (3, HOUR_MS, 3),
        (100_000, 1, 0),  # 0.0278 micros
        (3_600_000, 1, 1),
        (7_200_000_000, 24 * HOUR_MS, 172_800_000_000),
    ],
)
def test_cost(price: int, milliseconds: int, cost: int) -> None:
    assert cost_micros(price, milliseconds) == cost


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("0", 0), ("0.02", 20_000), ("1.5", 1_500_000), ("0.0000005", 1), ("0.0000004", 0), ("3", 3_000_000)],
)
def test_an_amount_in_micros(amount: str, expected: int) -> None:
    assert micros(Decimal(amount)) == expected


RATES = Rates(Decimal("0.02"), Decimal("0.003"), Decimal("0.8"), {"NVIDIA H200": Decimal("3.5")})


@pytest.mark.parametrize(
    ("cpu", "memory", "gpu", "name", "expected"),
    [
        (1, 2 * 2**30, 0, None, 26_000),
        (0.5, 2**29, 0, None, 11_500),
        (4, 16 * 2**30, 2, None, 1_728_000),
        (1, 2**30, 1, "NVIDIA H200", 3_523_000),
        (1, 2**30, 1, "h200", 3_523_000),
        (1, 2**30, 1, "A10", 823_000),
        (1, 1, 0, None, 20_000),
    ],
)
def test_price_of_resources(cpu: float, memory: int, gpu: int, name: str | None, expected: int) -> None:
    assert RATES.per_hour(cpu, memory, gpu, name) == expected


def test_an_allocation_over_midnight_is_cut_there() -> None:
    start, end = DAY + timedelta(hours=23), DAY + timedelta(hours=25.5)
    parts = list(split_by_day(1_000_000, start, end, start, end))
    assert [(p.day, p.milliseconds, p.cost) for p in parts] == [
        ("2026-03-01", HOUR_MS, 1_000_000),
        ("2026-03-02", HOUR_MS * 3 // 2, 1_500_000),
    ]


def test_what_lies_outside_the_period_costs_nothing() -> None:
    start, end = DAY, DAY + timedelta(hours=1)
    assert cost_between(1_000_000, start, end, end, end + timedelta(days=1)) == (0, 0)
    assert list(split_by_day(1_000_000, start, end, end, end + timedelta(days=1))) == []
    half = start + timedelta(minutes=30)
    assert cost_between(1_000_000, start, end, half, end) == (HOUR_MS // 2, 500_000)


moments = st.integers(0, 40 * 24 * HOUR_MS).map(lambda ms: DAY + timedelta(milliseconds=ms))
prices = st.integers(0, 10**9)


@given(prices, moments, moments)
def test_the_days_add_up_to_the_whole(price: int, one: datetime, other: datetime) -> None:
    start, end = min(one, other), max(one, other)
    parts = list(split_by_day(price, start, end, start, end))
    milliseconds = (end - start) // timedelta(milliseconds=1)
    assert sum(part.milliseconds for part in parts) == milliseconds
    assert sum(part.cost for part in parts) == cost_micros(price, milliseconds)
    assert all(part.cost >= 0 for part in parts)
    assert [part.day for part in parts] == sorted({part.day for part in parts})


@given(prices, moments, moments, st.lists(moments, max_size=5))
def test_however_it_is_cut_the_parts_add_up(
    price: int, one: datetime, other: datetime, cuts: list[datetime]
) -> None:
    start, end = min(one, other), max(one, other)
    ends = [start, *sorted(cut for cut in cuts if start < cut < end), end]
    parts = [cost_between(price, start, end, a, b) for a, b in pairwise(ends)]
    assert sum(cost for _, cost in parts) == cost_between(price, start, end, start, end)[1]


@given(st.datetimes(datetime(1999, 1, 1), datetime(2099, 1, 1), timezones=st.just(UTC)))
def test_a_month_holds_its_instant_and_ends_where_the_next_begins(at: datetime) -> None:
    first, end = month_of(at)
    assert first <= at < end
    assert (first.day, end.day) == (1, 1)
    assert 28 <= (end - first).days <= 31
    assert month_of(end)[0] == end


def test_a_month_is_one_of_utc() -> None:
    late = datetime(2026, 2, 28, 23, 30, tzinfo=timezone(timedelta(hours=-2)))
    assert month_of(late) == (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("cost", "hours", "more", "expected"),
    [(0, 24, 24, 0), (10, 24, 24, 10), (10, 24, 36, 15), (1, 24, 12, 1), (1, 24, 11, 0), (7, 168, 0, 0)],
)
def test_a_pace_goes_on(cost: int, hours: int, more: int, expected: int) -> None:
    assert at_the_pace(cost, timedelta(hours=hours), timedelta(hours=more)) == expected
