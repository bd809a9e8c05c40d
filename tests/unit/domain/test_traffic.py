"""Shares add up, keep their proportions, and a new revision is judged by more than chance."""

from __future__ import annotations

import random
from itertools import pairwise
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nacre.domain.traffic import (
    WORSE_ERRORS,
    WORSE_LATENCY,
    Counts,
    Window,
    chance,
    checked,
    faults,
    going_back,
    judge,
    lower_ms,
    read,
    scaled,
    stored,
    taken,
    upper_ms,
    without,
)
from nacre.errors import InvalidSpec
from nacre.modelserver.stats import Stats, percentile_ms
from nacre.schema.endpoints import RollbackRule

RULE = RollbackRule()
PARTS = st.dictionaries(st.integers(1, 30), st.integers(0, 100), max_size=6)
WHOLE = PARTS.map(scaled).filter(bool)


class TestShares:
    @given(PARTS, st.integers(0, 100))
    def test_scaled_adds_up_and_keeps_the_order(self, parts: dict[int, int], total: int) -> None:
        found = scaled(parts, total)
        whole = sum(parts.values())
        assert sum(found.values()) == (total if whole else 0)
        assert all(share > 0 for share in found.values())
        for number, share in parts.items():
            assert abs(found.get(number, 0) - share * total / max(whole, 1)) < 1
        order = sorted(parts, key=lambda number: parts[number])
        for less, more in pairwise(order):
            if parts[less] < parts[more]:
                assert found.get(less, 0) <= found.get(more, 0)

    @given(WHOLE)
    def test_what_adds_up_stays(self, shares: dict[int, int]) -> None:
        assert scaled(shares) == shares
        assert checked(shares) == shares
        assert read(stored(shares)) == shares

    @given(WHOLE, st.integers(1, 40), st.integers(0, 100))
    def test_a_new_one_gets_its_share_and_all_add_up(
        self, shares: dict[int, int], number: int, percent: int
    ) -> None:
        found = taken(shares, number, percent)
        assert sum(found.values()) == 100
        assert found.get(number, 0) == (percent if shares.keys() - {number} else 100)
        assert found.keys() <= shares.keys() | {number}

    @given(WHOLE, st.integers(1, 30))
    def test_without_one_the_others_have_all(self, shares: dict[int, int], number: int) -> None:
        found = without(shares, number)
        assert number not in found
        assert sum(found.values()) == (100 if shares.keys() - {number} else 0)

    def test_by_example(self) -> None:
        assert taken({1: 100}, 2, 10) == {1: 90, 2: 10}
        assert taken({1: 90, 2: 10}, 3, 10) == {1: 81, 2: 9, 3: 10}
        assert taken({1: 90, 2: 10}, 3, 99) == {1: 1, 3: 99}
        assert taken({1: 90, 2: 10}, 2, 50) == {1: 50, 2: 50}
        assert taken({}, 1, 10) == {1: 100}
        assert taken({1: 100}, 2, 0) == {1: 100}
        assert scaled({1: 1, 2: 1, 3: 1}) == {1: 34, 2: 33, 3: 33}
        assert without({1: 81, 2: 9, 3: 10}, 3) == {1: 90, 2: 10}

    @pytest.mark.parametrize("shares", [{}, {1: 99}, {1: 60, 2: 60}])
    def test_shares_that_do_not_add_up_are_refused(self, shares: dict[int, int]) -> None:
        with pytest.raises(InvalidSpec, match="add up to 100"):
            checked(shares)

    def test_who_answers_in_place_of_one_that_is_taken_back(self) -> None:
        assert going_back({1: 90, 2: 10}, {1: 100}, 2, [1, 2]) == {1: 100}
        assert going_back({2: 100}, {1: 100}, 2, [1, 2]) == {1: 100}
        assert going_back({1: 50, 2: 50}, {1: 90, 2: 10}, 2, [1, 2]) == {1: 100}
        assert going_back({1: 81, 2: 9, 3: 10}, {1: 100}, 2, [1, 2, 3]) == {1: 89, 3: 11}
        assert going_back({3: 100}, {1: 90, 2: 10}, 3, [1, 3]) == {1: 100}
        assert going_back({2: 100}, {1: 100}, 2, [2]) == {}


class TestCounts:
    def test_the_histogram_is_the_model_servers(self) -> None:
        stats, rng = Stats(), random.Random(1)
        for _ in range(5000):
            seconds = 10 ** rng.uniform(-6, 1)
            stats.add(seconds, 200)
        counts = Counts(stats.requests, 0, tuple(stats.buckets))
        for share in (0.5, 0.9, 0.99):
            told = percentile_ms(stats.buckets, share)
            assert told is not None
            assert counts.percentile_ms(share) == pytest.approx(told, abs=1e-4)

    @pytest.mark.parametrize("micros", [0, 3, 4, 7, 8, 100, 1_500, 40_000, 3_000_000])
    def test_each_latency_lies_between_the_edges_of_its_slot(self, micros: int) -> None:
        stats = Stats()
        stats.add((micros + 0.5) / 1e6, 200)
        (slot,) = [at for at, count in enumerate(stats.buckets) if count]
        assert lower_ms(slot) <= micros / 1e3 < upper_ms(slot)

    def test_clients_errors_are_not_the_revisions(self) -> None:
        clients = dict.fromkeys(("400", "401", "403", "404", "413", "429", "499", "501"), 5)
        assert faults(clients) == 0
        assert faults(clients | {"500": 2, "503": 3, "504": 1}) == 6

    def test_a_window_tells_what_was_counted_lately(self) -> None:
        window = Window(60.0)
        assert (window.last, window.counts()) == (None, Counts())
        for second in range(0, 300, 2):
            window.add(second, Counts(second * 10, second, (second * 10,)))
        counts = window.counts()
        assert 600 <= counts.requests <= 700
        assert counts.faults * 10 == counts.requests == counts.buckets[0]
        assert len(window._samples) <= 12
        assert window.counts(after=291).requests <= 120
        window.add(900, Counts(2980, 298, (2980,)))
        assert (window.last, window.counts()) == (298, counts)  # nothing new
        window.add(902, Counts(3000, 300, (3000,)))
        assert (window.last, window.start, window.counts().requests) == (902, 900, 20)

    def test_totals_of_a_new_process_begin_anew(self) -> None:
        window = Window(60.0)
        window.add(0, Counts(0))
        window.add(10, Counts(1000, 500))
        window.add(20, Counts(10, 0))
        assert window.counts() == Counts()
        window.add(30, Counts(40, 0))
        assert window.counts() == Counts(30, 0)


def counts(
    requests: int, faults: int = 0, ms: float = 1.0, slow: int = 0, slow_ms: float = 100.0
) -> Counts:
    stats = Stats()
    for at in range(requests):
        stats.add((slow_ms if at < slow else ms) / 1e3, 200)
    return Counts(requests, faults, tuple(stats.buckets))


class TestJudge:
    @pytest.mark.parametrize(
        ("new", "others", "reason"),
        [
            (counts(50, 0), counts(450, 0), None),
            (counts(50, 3), counts(450, 0), None),  # once in a thousand windows
            (counts(50, 4), counts(450, 0), WORSE_ERRORS),
            (counts(49, 49), counts(450, 0), None),  # too few to tell
            (counts(50, 50), counts(0), WORSE_ERRORS),
            (counts(100, 4), counts(0), None),  # within the rule
            (counts(50, 2), counts(0), None),
            (counts(50, 4), counts(450, 9), None),  # may well be chance
            (counts(5000, 400), counts(45000, 900), WORSE_ERRORS),
            (counts(500, 250), counts(500, 250), None),  # all of them are as bad
            (counts(100, ms=10), counts(400, ms=1), WORSE_LATENCY),
            (counts(100, ms=1.8), counts(400, ms=1), None),  # less than the factor
            (counts(100, ms=0.5), counts(400, ms=0.1), None),  # nobody would notice
            (counts(50, slow=2), counts(400, ms=1), None),
            (counts(50, slow=5), counts(400, ms=1), WORSE_LATENCY),
            (counts(10_000, slow=90), counts(40_000, ms=1), None),  # its p99 is not
            (counts(10_000, slow=200), counts(40_000, ms=1), WORSE_LATENCY),
            (counts(100, ms=10), counts(10, ms=1), None),  # the others are too few
        ],
    )
    def test_by_example(self, new: Counts, others: Counts, reason: str | None) -> None:
        found = judge(RULE, new, others)
        assert (found.reason if found else None) == reason

    def test_the_sentence_has_the_numbers(self) -> None:
        found = judge(RULE, counts(200, 30), counts(800, 1))
        assert found is not None
        said = "15.0% of its 200 requests failed, of the others' 800 only 0.1%, within 60 s"
        assert found.message == said
        found = judge(RULE, counts(200, ms=64), counts(800, ms=8))
        assert found is not None
        assert "99th percentile of its 200 requests was" in found.message
        assert "of the others' " in found.message

    def test_a_rule_that_is_off_judges_nothing(self) -> None:
        assert judge(RollbackRule(enabled=False), counts(100, 100), counts(100)) is None

    def test_equal_revisions_are_hardly_ever_told_apart(self) -> None:
        rng, wrong = random.Random(7), 0
        for _ in range(1000):
            new = sum(rng.random() < 0.02 for _ in range(60))
            old = sum(rng.random() < 0.02 for _ in range(540))
            wrong += judge(RULE, Counts(60, new), Counts(540, old)) is not None
        assert wrong <= 1

    @given(st.integers(1, 60), st.integers(1, 60), st.data())
    def test_chance_is_fishers(self, of: int, of_others: int, data: st.DataObject) -> None:
        some = data.draw(st.integers(0, of))
        others = data.draw(st.integers(0, of_others))
        ways = comb(of + of_others, some + others)
        exact = sum(
            comb(of, count) * comb(of_others, some + others - count)
            for count in range(some, min(of, some + others) + 1)
        )
        assert chance(some, of, others, of_others) == pytest.approx(exact / ways, rel=1e-6, abs=1e-12)
