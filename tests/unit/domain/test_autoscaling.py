from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nacre.domain.autoscaling import (
    KEPT_S,
    SOON_S,
    Measure,
    Scaled,
    back_off_s,
    bounds,
    mean_load,
    share_of,
    wanted,
)
from nacre.schema.endpoints import Scaling, Schedule

NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)  # a Wednesday
T0 = NOW.timestamp()


def window(*loads: float, took: float = 0.01, end: float = T0) -> list[Measure]:
    """A measurement each second up to ``end``: between two of them, so many requests were under way."""
    seconds = [0.0, *accumulate(loads)]
    first = end - len(loads)
    return [
        Measure(first + index, round(total / took), total, round(loads[max(0, index - 1)]))
        for index, total in enumerate(seconds)
    ]


def slow(*under_way: int) -> list[Measure]:
    """Nothing ever ends: so many are seen under way each second."""
    return [Measure(T0 - len(under_way) + index + 1, 0, 0.0, one) for index, one in enumerate(under_way)]


class TestMeanLoad:
    @pytest.mark.parametrize("took", [0.001, 0.01, 0.5])
    def test_of_short_requests_is_the_growth_of_their_seconds(self, took: float) -> None:
        assert mean_load(window(*[2.0] * 5, *[6.0] * 10, took=took), 10) == pytest.approx(6)
        assert mean_load(window(*[2.0] * 5, *[6.0] * 5, took=took), 10) == pytest.approx(4)

    def test_of_long_requests_is_what_was_seen(self) -> None:
        # four at a time, 30 s each: all of their seconds come at once
        rows = [
            Measure(T0 + at, 4 * (at // 30), 120.0 * (at // 30), 4 if at else 0) for at in range(0, 62, 1)
        ]
        assert [mean_load(rows[: end + 1], 10) for end in (20, 30, 31, 45, 60, 61)] == [4.0] * 6

    def test_of_one_look_is_what_it_saw(self) -> None:
        assert mean_load([Measure(T0, 5, 1.0, 3)], 10) == 3


class TestWanted:
    scaling = Scaling(min_replicas=1, max_replicas=8, target=4)

    def of(self, have: int, rows: list[Measure], **change: object) -> int:
        scaling = self.scaling.model_copy(update=change)
        return wanted(scaling, NOW, Scaled(have), rows)

    @pytest.mark.parametrize(
        ("have", "loads", "then"),
        [
            (1, [3.9] * 41, 1),
            (1, [4.3] * 41, 1),  # within the tolerance
            (1, [4.5] * 41, 2),
            (1, [16.0] * 41, 4),
            (4, [3.0] * 38 + [16.0] * 3, 4),  # what three seconds asked for stays
            (1, [100.0] * 41, 8),  # the most
            (4, [16.0] * 41, 4),
            (4, [11.0] * 41, 3),
            (4, [0.0] * 41, 1),  # the fewest
            (4, [16.0, *[1.0] * 29], 4),  # half a minute has not gone by
            (4, [16.0] * 11 + [1.0] * 30, 4),
            (4, [16.0] * 10 + [1.0] * 41, 1),
            (4, [1.0] * 20, 4),  # not known for long enough
            (2, [4.0] * 30 + [30.0] * 3, 8),  # far too much: three seconds suffice
            (2, [4.0] * 38 + [14.0] * 3, 2),  # somewhat much: ten seconds tell
        ],
    )
    def test_by_load(self, have: int, loads: list[float], then: int) -> None:
        assert self.of(have, window(*loads)) == then

    def test_requests_that_wait_count_before_any_has_ended(self) -> None:
        assert self.of(1, slow(0, 0, 0, 12, 12, 12)) == 3
        assert self.of(1, slow(20, 20, 20, 20)) == 5

    def test_less_than_three_seconds_tell_nothing(self) -> None:
        assert [self.of(1, slow(*[900] * count)) for count in (1, 2, 3, 4)] == [1, 1, 1, 8]

    @pytest.mark.parametrize(
        ("under_way", "then"),
        [
            ((200, 150, 100, 50), 1),  # gone in a second
            ((400, 390, 380, 370), 4),  # gone in 37 s
            ((400, 395, 390, 385), 8),
            ((400, 350, 380, 400), 8),
        ],
    )
    def test_what_ends_by_itself_gets_no_more_than_end_it_soon(
        self, under_way: tuple[int, ...], then: int
    ) -> None:
        assert self.of(1, slow(*under_way)) == then

    def test_nothing_is_known_and_nothing_changes(self) -> None:
        assert self.of(3, []) == 3
        assert self.of(3, [], max_replicas=2) == 2
        assert self.of(3, [], min_replicas=5) == 5

    @pytest.mark.parametrize(
        ("have", "idle", "rows", "then"),
        [
            (1, 299, slow(0, 0), 1),
            (1, 300, slow(0, 0), 0),
            (3, 300, slow(0, 0), 0),
            (1, 300, slow(0, 1), 1),  # somebody is there after all
            (1, None, slow(0, 0), 1),
            (0, None, slow(0, 0), 0),
            (0, 1000, [], 0),
            (0, None, slow(1), 1),  # at once
            (0, None, slow(0, 900), 1),
            (0, None, slow(0, 0, 900, 900, 900, 900), 1),  # what one achieves is to be seen
        ],
    )
    def test_to_zero_and_back(self, have: int, idle: int | None, rows: list[Measure], then: int) -> None:
        since = None if idle is None else NOW - timedelta(seconds=idle)
        scaling = self.scaling.model_copy(update={"min_replicas": 0, "idle_s": 300})
        assert wanted(scaling, NOW, Scaled(have, since), rows) == then


class TestBounds:
    night = Schedule(from_time="22:00", to_time="06:00", days=[4], min_replicas=0, max_replicas=1)
    office = Schedule(
        from_time="08:00", to_time="17:30", days=[0, 1, 2, 3, 4], min_replicas=3, max_replicas=9
    )
    scaling = Scaling(min_replicas=1, max_replicas=2, schedules=[night, office])

    @pytest.mark.parametrize(
        ("day", "time", "then"),
        [
            ("2026-03-06", "07:59", (1, 2)),  # Friday
            ("2026-03-06", "08:00", (3, 9)),
            ("2026-03-06", "17:29", (3, 9)),
            ("2026-03-06", "17:30", (1, 2)),
            ("2026-03-06", "21:59", (1, 2)),
            ("2026-03-06", "22:00", (0, 1)),
            ("2026-03-06", "00:30", (1, 2)),  # Thursday's night is none
            ("2026-03-07", "00:00", (0, 1)),  # Friday's goes over midnight
            ("2026-03-07", "05:59", (0, 1)),
            ("2026-03-07", "06:00", (1, 2)),
            ("2026-03-07", "12:00", (1, 2)),  # a Saturday
            ("2026-03-07", "23:00", (1, 2)),
        ],
    )
    def test_by_day_and_time(self, day: str, time: str, then: tuple[int, int]) -> None:
        assert bounds(self.scaling, datetime.fromisoformat(f"{day}T{time}+00:00")) == then

    def test_a_whole_day_and_the_sunday_before_a_monday(self) -> None:
        day = Schedule(from_time="12:00", to_time="12:00", days=[6], min_replicas=2, max_replicas=2)
        scaling = Scaling(schedules=[day])
        sunday = datetime(2026, 3, 8, 11, 59, tzinfo=UTC)
        hours = [bounds(scaling, sunday + timedelta(hours=hour))[0] for hour in range(27)]
        assert hours == [1, *[2] * 24, 1, 1]

    def test_the_first_that_holds_wins_and_bounds_are_in_order(self) -> None:
        always = Schedule(from_time="00:00", to_time="00:00", min_replicas=5, max_replicas=1)
        assert bounds(Scaling(schedules=[always, self.office]), NOW) == (5, 5)
        assert bounds(Scaling(min_replicas=3, max_replicas=1), NOW) == (3, 3)


def test_a_revision_begins_with_its_share_of_what_answers() -> None:
    scaling = Scaling(min_replicas=1, max_replicas=8)
    alone = [(0, 100), (4, 100), (4, 10), (4, 0), (20, 100)]
    assert [share_of(scaling, NOW, [(beside, 100)], percent) for beside, percent in alone] == [
        1,
        4,
        1,
        1,
        8,
    ]
    assert share_of(scaling, NOW, [(4, 90)], 100) == 5  # a canary is promoted
    assert share_of(scaling, NOW, [(2, 30), (3, 30)], 40) == 4
    assert share_of(scaling, NOW, [(4, 0), (2, 100)], 50) == 1  # one that ends tells nothing
    assert share_of(scaling, NOW, [], 100) == 1
    assert share_of(Scaling(min_replicas=0), NOW, [(0, 100)], 100) == 1  # it must be seen to answer once


def test_back_off() -> None:
    assert [back_off_s(count) for count in range(9)] == [0, 0, 1, 2, 4, 8, 16, 32, 60]


# Laws

loads = st.floats(0.05, 200.0)
noises = st.lists(st.floats(1.0, 1.095), min_size=60, max_size=150)


def replay(scaling: Scaling, have: int, rows: list[Measure]) -> list[int]:
    """What is wanted after each measurement, one after the other."""
    found = []
    for end in range(1, len(rows) + 1):
        seen = [one for one in rows[:end] if one.at >= rows[end - 1].at - KEPT_S - 1]
        have = wanted(scaling, NOW, Scaled(have), seen)
        found.append(have)
    return found


@settings(max_examples=60)
@given(loads, noises, st.integers(1, 40), st.sampled_from([0.5, 1.0, 4.0, 7.0]))
def test_a_steady_load_never_makes_it_flap(
    load: float, noise: list[float], have: int, target: float
) -> None:
    scaling = Scaling(min_replicas=1, max_replicas=64, target=target)
    rows = window(*[load * one for one in noise], took=min(0.01, load / 50))
    steps = [after - before for before, after in pairwise(replay(scaling, have, rows))]
    down = next((at for at, step in enumerate(steps) if step < 0), len(steps))
    assert all(step <= 0 for step in steps[down:]), "it grew again after it had shrunk"
    assert sum(step != 0 for step in steps) <= 6


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.floats(0, 10), st.integers(1, 15)), min_size=1, max_size=6),
    st.sampled_from([0.5, 1.0, 4.0]),
)
def test_a_load_that_never_falls_never_makes_it_shrink(
    growth: list[tuple[float, int]], target: float
) -> None:
    scaling = Scaling(min_replicas=1, max_replicas=64, target=target)
    levels = accumulate(more for more, _ in growth)
    rows = window(*[level for level, (_, lasts) in zip(levels, growth, strict=True) for _ in range(lasts)])
    found = replay(scaling, 1, rows)
    assert found == sorted(found)


@settings(max_examples=60)
@given(loads, st.integers(1, 64), st.sampled_from([0.5, 1.0, 4.0]))
def test_a_constant_load_has_what_it_needs_in_the_end(load: float, have: int, target: float) -> None:
    scaling = Scaling(min_replicas=1, max_replicas=64, target=target)
    last = replay(scaling, have, window(*[load] * 60, took=load / 1000))[-1]
    assert load <= last * target * 1.1 + 1e-6 or last == 64
    assert last == 1 or (last - 1) * target < load * 1.1 + 1e-6


@settings(max_examples=60)
@given(
    st.lists(st.floats(0, 100), min_size=1, max_size=80),
    st.integers(0, 64),
    st.integers(0, 5),
    st.integers(1, 9),
    st.integers(0, 600),
)
def test_it_is_always_within_its_bounds(
    rows: list[float], have: int, least: int, most: int, idle: int
) -> None:
    scaling = Scaling(min_replicas=least, max_replicas=most)
    found = wanted(scaling, NOW, Scaled(have, NOW - timedelta(seconds=idle)), window(*rows))
    assert least <= found <= max(least, most)


def cold_start(scaling: Scaling, burst: int, rate: float, more: float = 0.0) -> list[int]:
    """What is wanted in each second after so many requests came while there was no replica.

    A replica answers ``rate`` requests a second and takes 3 s to start; ``more`` come each second.
    """
    waiting, ended, seconds = float(burst), 0.0, 0.0
    have, starts, rows, found = 0, [0.0], [], []
    for second in range(60):
        at = T0 + second
        answering = sum(second >= since for since in starts)
        measure = Measure(at, int(ended), seconds, round(waiting), max(1, answering))
        rows = [*rows, measure] if answering else []
        have = wanted(scaling, NOW, Scaled(have), rows[-42:] or [measure])
        starts = [*starts, *[second + 3.0] * (have - len(starts))][:have]
        found.append(have)
        done = min(waiting + more, answering * rate)
        ended, seconds = ended + done, seconds + waiting
        waiting = waiting + more - done
    return found


@settings(max_examples=30)
@given(st.integers(1, 5000), st.floats(1, 500), st.sampled_from([1.0, 4.0]))
def test_a_burst_at_a_cold_start_gets_no_more_than_work_it_off(
    burst: int, rate: float, target: float
) -> None:
    scaling = Scaling(min_replicas=0, max_replicas=16, target=target)
    found = cold_start(scaling, burst, rate)
    assert found[0] == 1
    alone_s = burst / rate
    assert max(found) <= ceil(alone_s / SOON_S) + 1
    if alone_s <= SOON_S:
        assert max(found) == 1


@settings(max_examples=30)
@given(st.integers(10, 500), st.floats(2, 20), st.integers(2, 12))
def test_a_load_that_stays_after_a_cold_start_is_answered(burst: int, rate: float, needs: int) -> None:
    scaling = Scaling(min_replicas=0, max_replicas=16, target=1)
    found = cold_start(scaling, burst, rate, more=(needs - 0.5) * rate)
    assert max(found) >= needs
