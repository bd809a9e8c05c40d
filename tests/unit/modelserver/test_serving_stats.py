"""Histograms of latency, and workers told as one."""

from __future__ import annotations

import random

import pytest

from nacre.modelserver.metrics import prometheus
from nacre.modelserver.stats import (
    Report,
    RevisionReport,
    State,
    Stats,
    merge,
    percentile_ms,
    status,
)


@pytest.mark.parametrize("scale", [1e-6, 1e-4, 1e-2, 1.0, 100.0])
def test_percentiles_are_close(scale: float) -> None:
    rng = random.Random(4)
    values = [rng.expovariate(1) * scale + 8e-6 for _ in range(5000)]
    stats = Stats()
    for value in values:
        stats.add(value, 200)
    for share in (0.5, 0.99):
        true = sorted(values)[int(share * len(values))] * 1e3
        assert percentile_ms(stats.buckets, share) == pytest.approx(true, rel=0.3)


def test_any_duration_has_a_slot() -> None:
    stats = Stats()
    for seconds in (0.0, 1e-9, 1e9):
        stats.add(seconds, 500)
    assert (stats.requests, stats.errors, sum(stats.buckets)) == (3, 3, 3)
    assert percentile_ms([0] * 128, 0.5) is None


def report(requests: int, state: State = "ready", generation: int = 3) -> Report:
    stats = Stats()
    for _ in range(requests):
        stats.add(0.001, 200)
    stats.add(0.001, 503)
    one: RevisionReport = {
        "state": state,
        "message": None if state == "ready" else "why",
        "requests": stats.requests,
        "samples": 2 * requests,
        "errors": {"503": 1},
        "seconds": stats.seconds,
        "buckets": stats.buckets,
        "in_flight": 1,
        "waiting": 2,
        "batches": 3,
        "memory_bytes": 5,
        "replicas": {"a": "up", "b": "up" if state == "ready" else "gone"},
    }
    return {
        "generation": generation,
        "endpoints": {"p/e": {"1": one}},
        "demand": {"p/e": 1},
        "captures": {"p/e": {"kept": 1, "dropped": 2, "over": 3}},
        "connections": 1,
        "rss_bytes": 10,
        "workers": 1,
    }


def test_workers_are_told_as_one() -> None:
    merged = merge([report(2), report(3, "failed", generation=2)])
    told = status(merged, 77)
    assert (told.generation, told.pid) == (2, 77)
    all_of = told.endpoints["p/e"]
    assert (all_of.requests, all_of.errors) == (7, 2)
    assert all_of.latency_p50_ms == pytest.approx(1.0, rel=0.3)
    [one] = all_of.revisions
    assert (one.revision, one.state, one.message) == (1, "failed", "why")
    assert (one.requests, one.samples, one.errors) == (7, 10, {"503": 2})
    assert (one.in_flight, one.waiting, one.batches, one.memory_bytes) == (2, 4, 6, 10)
    assert one.replicas == {"a": "up", "b": "gone"}
    assert (merged["connections"], merged["rss_bytes"], merged["workers"]) == (2, 20, 2)
    assert merged["demand"] == {"p/e": 2}
    assert merged["captures"] == {"p/e": {"kept": 2, "dropped": 4, "over": 6}}


def test_metrics_are_whole_numbers_however_large() -> None:
    many = report(1)
    many["endpoints"]["p/e"]["1"]["requests"] = 123_456_789
    text = prometheus(many)
    assert 'nacre_endpoint_requests_total{endpoint="p/e",revision="1"} 123456789\n' in text
    assert 'nacre_endpoint_ready{endpoint="p/e",revision="1"} 1\n' in text


def test_what_was_captured_is_told_by_endpoint() -> None:
    text = prometheus(report(1))
    for field, count in (("kept", 1), ("dropped", 2), ("over", 3)):
        assert f'nacre_endpoint_capture_{field}_total{{endpoint="p/e"}} {count}\n' in text
    nothing = report(1)
    nothing["captures"] = {}
    assert "capture_kept_total{" not in prometheus(nothing)
