"""Guessing gets slower, and the memory of it stays small."""

from __future__ import annotations

import pytest

from nacre.clock import FixedClock
from nacre.domain.throttle import wait_s
from nacre.errors import RateLimited
from nacre.services.brief import Brief
from nacre.services.throttle import Throttle


class TestWait:
    @pytest.mark.parametrize(
        ("failures", "expected"),
        [(0, 0.0), (4, 0.0), (5, 1.0), (6, 2.0), (9, 16.0), (14, 300.0), (10_000, 300.0)],
    )
    def test_doubles_from_the_first_that_is_not_free(self, failures: int, expected: float) -> None:
        assert wait_s(failures, free=5, longest_s=300.0) == expected


class TestThrottle:
    def test_tries_that_are_under_way_count(self, clock: FixedClock) -> None:
        throttle = Throttle(clock, free=3, longest_s=60)
        for _ in range(3):
            throttle.admit("ada")
        with pytest.raises(RateLimited):
            throttle.admit("ada")
        throttle.admit("bob")

    def test_forgiving_one_or_all(self, clock: FixedClock) -> None:
        throttle = Throttle(clock, free=2, longest_s=60)
        for _ in range(2):
            throttle.admit("ada")
        throttle.forgive("ada", all_of_them=False)
        throttle.admit("ada")
        with pytest.raises(RateLimited):
            throttle.admit("ada")
        throttle.forgive("ada")
        throttle.admit("ada")
        throttle.forgive("nobody")

    def test_a_refused_try_does_not_lengthen_the_wait(self, clock: FixedClock) -> None:
        throttle = Throttle(clock, free=1, longest_s=60)
        throttle.admit("ada")
        for _ in range(10):
            with pytest.raises(RateLimited) as caught:
                throttle.admit("ada")
            assert caught.value.extra == {"retry_after_s": 1}
        clock.advance(1)
        throttle.admit("ada")

    def test_forgotten_after_a_quiet_quarter_of_an_hour(self, clock: FixedClock) -> None:
        throttle = Throttle(clock, free=1, longest_s=10_000)
        for _ in range(3):
            throttle.admit("ada")
            clock.advance(10)
        clock.advance(900)
        throttle.admit("ada")
        clock.advance(1)
        throttle.admit("ada")

    def test_the_memory_is_bounded(self, clock: FixedClock) -> None:
        throttle = Throttle(clock, free=1, longest_s=60, size=10)
        for number in range(100):
            throttle.admit(number)
        assert len(throttle._tries) <= 10


class TestBrief:
    def test_kept_for_its_time_and_loaded_again_after(self) -> None:
        now, loads = [0.0], []
        brief: Brief[str, int] = Brief(5.0, monotonic=lambda: now[0])

        def load() -> int:
            loads.append(now[0])
            return len(loads)

        assert [brief.get("a", load), brief.get("a", load)] == [1, 1]
        now[0] = 5.0
        assert brief.get("a", load) == 2
        brief.forget()
        assert brief.get("a", load) == 3

    def test_nothing_is_not_kept(self) -> None:
        answers: list[int | None] = [None, 7]
        brief: Brief[str, int] = Brief(5.0)
        assert brief.get("a", lambda: answers.pop(0)) is None
        assert brief.get("a", lambda: answers.pop(0)) == 7

    def test_what_was_loading_when_it_was_told_to_forget_is_not_kept(self) -> None:
        brief: Brief[str, int] = Brief(5.0)

        def load() -> int:
            brief.forget()
            return 1

        assert brief.get("a", load) == 1
        assert brief.get("a", lambda: 2) == 2

    def test_the_size_is_bounded(self) -> None:
        brief: Brief[int, int] = Brief(5.0, size=10)
        for number in range(100):
            brief.get(number, lambda number=number: number)  # type: ignore[misc]
        assert len(brief._entries) <= 10
