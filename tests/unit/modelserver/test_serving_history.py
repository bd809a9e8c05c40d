"""What endpoints answered lately: intervals, gaps, workers as one, and a real server's word."""

from __future__ import annotations

import time
from collections.abc import Callable

import modelserver_kit as kit
import pytest

from nacre.modelserver.history import History, merge_histories, slot_of, told
from nacre.modelserver.stats import Stats
from nacre.schema.serving import HISTORY_SECONDS, HISTORY_SLOTS, ServedHistory


class TestIntervals:
    def test_what_was_counted_since_the_last_cut_belongs_to_the_interval(self) -> None:
        stats = Stats()
        history = History(stats, now=1000.0)
        first = slot_of(1000.0)
        stats.add(0.001, 200, samples=4)
        stats.add(0.5, 400)
        history.cut(first)
        history.cut(first + 1)
        stats.add(0.002, 200, samples=1)
        history.cut(first + 2)
        found = told(history.report())
        assert (found.since_ms, found.first, found.last) == (1_000_000, first, first + 2)
        assert (found.requests, found.errors) == (3, {"400": 1})
        one, two = found.slices
        assert (one.slot, one.requests, one.samples, one.errors) == (first, 2, 4, {"400": 1})
        assert one.latency_p99_ms == pytest.approx(500, rel=0.3)
        assert (two.slot, two.requests, two.errors) == (first + 2, 1, {})
        assert two.latency_p99_ms == pytest.approx(2, rel=0.3)

    def test_nothing_is_told_before_the_first_interval_is_over(self) -> None:
        stats = Stats()
        stats.add(0.001, 200)
        found = told(History(stats, now=1000.0).report())
        assert found.last == found.first - 1
        assert found.slices == []

    def test_half_an_hour_is_kept(self) -> None:
        stats = Stats()
        history = History(stats, now=0.0)
        for slot in range(HISTORY_SLOTS + 10):
            stats.add(0.001, 200)
            history.cut(slot)
        found = told(history.report())
        assert (found.first, found.last, len(found.slices)) == (10, HISTORY_SLOTS + 9, HISTORY_SLOTS)
        assert found.requests == HISTORY_SLOTS + 10

    def test_a_clock_that_was_set_back_counts_nothing_twice(self) -> None:
        stats = Stats()
        history = History(stats, now=1000.0)
        stats.add(0.001, 200)
        history.cut(slot_of(1000.0))
        stats.add(0.001, 200)
        history.cut(slot_of(900.0))
        history.cut(slot_of(1000.0) + 1)
        assert [one.requests for one in told(history.report()).slices] == [1, 1]


class TestWorkers:
    def test_they_are_told_as_one_where_each_has_counted(self) -> None:
        one, two = Stats(), Stats()
        left, right = History(one, now=1000.0), History(two, now=1010.0)
        for stats in (one, two):
            stats.add(0.001, 200, samples=2)
            stats.add(0.001, 503)
        slot = slot_of(1010.0)
        left.cut(slot)
        right.cut(slot)
        one.add(0.001, 200)
        left.cut(slot + 1)
        merged = merge_histories([left.report(), right.report()])
        assert merged is not None
        found = told(merged)
        assert (found.first, found.last, found.since_ms) == (slot_of(1000.0), slot, 1_000_000)
        assert (found.requests, found.errors) == (5, {"503": 2})
        assert [(s.requests, s.samples, s.errors) for s in found.slices] == [(4, 4, {"503": 2})]

    def test_none_know_the_endpoint(self) -> None:
        assert merge_histories([]) is None


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_real_server_tells(start: Callable[..., kit.Server], workers: str) -> None:
    server = start("--workers", workers)
    files = {"mlp": kit.mlp(server.folder / "mlp.onnx")}
    kit.write_routes(server.folder, {f"p/{name}": kit.revision(path) for name, path in files.items()})
    server.wait().reload()
    x = {"inputs": [kit.tensor("x", "FP32", [3, 8], [0.5] * 24)]}
    bad = {"inputs": [kit.tensor("x", "FP32", [3, 7], [0.5] * 21)]}
    begin = time.time()
    for _ in range(4):
        assert server.infer("p/mlp", x).status_code == 200
    assert server.infer("p/mlp", bad).status_code == 400

    def told_of_all() -> ServedHistory | None:
        answer = server.control("GET", "/history?endpoint=p%2Fmlp")
        found = ServedHistory.model_validate_json(answer.content)
        return found if sum(one.requests for one in found.slices) == 5 else None

    found = kit.until(told_of_all, "the interval is over")
    assert (found.requests, found.errors) == (5, {"400": 1})
    assert sum(one.samples for one in found.slices) == 12
    assert {s: n for one in found.slices for s, n in one.errors.items()} == {"400": 1}
    assert all(slot_of(begin) <= one.slot <= slot_of(time.time()) for one in found.slices)
    assert found.since_ms <= begin * 1000 <= (found.last + 1) * HISTORY_SECONDS * 1000
    assert server.control("GET", "/history?endpoint=p%2Fnothing").status_code == 404
