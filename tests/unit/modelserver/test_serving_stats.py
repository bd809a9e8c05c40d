"""Histograms of latency, and workers told as one."""

from __future__ import annotations

import random

import pytest

from nacre.modelserver.stats import EndpointReport, Report, Stats, merge, percentile_ms, status


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


def report(requests: int, state: str = "ready", generation: int = 3) -> Report:
    stats = Stats()
    for _ in range(requests):
        stats.add(0.001, 200)
    one: EndpointReport = {
        "revision": 1,
        "state": state,  # type: ignore[typeddict-item]
        "message": None if state == "ready" else "why",
        "requests": requests,
        "errors": 0,
        "seconds": stats.seconds,
        "buckets": stats.buckets,
    }
    return {"generation": generation, "endpoints": {"p/e": one}, "connections": 1, "rss_bytes": 10}


def test_workers_are_told_as_one() -> None:
    merged = merge([report(2), report(3, "failed", generation=2)])
    told = status(merged, 77)
    assert (told.generation, told.pid) == (2, 77)
    one = told.endpoints["p/e"]
    assert (one.requests, one.state, one.message) == (5, "failed", "why")
    assert one.latency_p50_ms == pytest.approx(1.0, rel=0.3)
    assert (merged["connections"], merged["rss_bytes"]) == (2, 20)
