"""What endpoints answered lately, interval by interval: beside the counts, mergeable between workers."""

from __future__ import annotations

import time
from collections import deque
from typing import TypedDict

from nacre.modelserver.stats import Stats, add_counts, percentile_ms
from nacre.schema.serving import HISTORY_SECONDS, HISTORY_SLOTS, ServedHistory, ServedSlice


class Slice(TypedDict):
    """What was counted in one interval; plain JSON. ``buckets`` holds only those that are not empty."""

    requests: int
    samples: int
    errors: dict[str, int]
    buckets: dict[str, int]


class HistoryReport(TypedDict):
    """One endpoint's intervals ``first`` to ``last``, by their numbers; those without requests are out.

    ``last`` is ``first - 1`` before the first interval is over.
    """

    since: float
    first: int
    last: int
    requests: int
    errors: dict[str, int]
    slices: dict[str, Slice]


def slot_of(moment: float) -> int:
    """The number of the interval in which a moment (seconds since 1970) lies."""
    return int(moment // HISTORY_SECONDS)


class History:
    """The latest half hour of one endpoint. Costs its requests nothing: it compares counts now and then."""

    def __init__(self, stats: Stats, now: float | None = None) -> None:
        self._stats = stats
        self._since = time.time() if now is None else now
        self._last = slot_of(self._since) - 1
        self._slices: deque[tuple[int, Slice]] = deque(maxlen=HISTORY_SLOTS)
        self._before = self._counts()

    def _counts(self) -> tuple[int, int, dict[int, int], list[int]]:
        stats = self._stats
        return stats.requests, stats.samples, dict(stats.by_status), list(stats.buckets)

    def cut(self, slot: int) -> None:
        """The interval ``slot`` is over: what was counted since the last cut belongs to it."""
        if slot <= self._last:
            return  # the clock was set back
        requests, samples, errors, buckets = self._counts()
        was_requests, was_samples, was_errors, was_buckets = self._before
        self._last = slot
        if requests == was_requests:
            return
        self._before = requests, samples, errors, buckets
        self._slices.append(
            (
                slot,
                {
                    "requests": requests - was_requests,
                    "samples": samples - was_samples,
                    "errors": {
                        str(status): count - was_errors.get(status, 0)
                        for status, count in errors.items()
                        if count != was_errors.get(status, 0)
                    },
                    "buckets": {
                        str(at): count - was
                        for at, (count, was) in enumerate(zip(buckets, was_buckets, strict=True))
                        if count != was
                    },
                },
            )
        )

    def report(self) -> HistoryReport:
        """The intervals that are over, at most half an hour of them."""
        first = max(slot_of(self._since), self._last - HISTORY_SLOTS + 1)
        return {
            "since": self._since,
            "first": first,
            "last": self._last,
            "requests": self._stats.requests,
            "errors": {str(status): count for status, count in self._stats.by_status.items()},
            "slices": {str(slot): one for slot, one in self._slices if slot >= first},
        }


def merge_histories(reports: list[HistoryReport]) -> HistoryReport | None:
    """All workers as one, over the intervals that each of them has ended; null without any."""
    if not reports:
        return None
    last = min(report["last"] for report in reports)
    merged: HistoryReport = {
        "since": min(report["since"] for report in reports),
        "first": min(report["first"] for report in reports),
        "last": last,
        "requests": sum(report["requests"] for report in reports),
        "errors": {},
        "slices": {},
    }
    for report in reports:
        add_counts(merged["errors"], report["errors"])
        for slot, one in report["slices"].items():
            if int(slot) > last:
                continue
            empty: Slice = {"requests": 0, "samples": 0, "errors": {}, "buckets": {}}
            into = merged["slices"].setdefault(slot, empty)
            into["requests"] += one["requests"]
            into["samples"] += one["samples"]
            add_counts(into["errors"], one["errors"])
            add_counts(into["buckets"], one["buckets"])
    return merged


def told(report: HistoryReport) -> ServedHistory:
    """The answer of ``GET /history``."""
    return ServedHistory(
        since_ms=int(report["since"] * 1000),
        first=report["first"],
        last=report["last"],
        requests=report["requests"],
        errors=report["errors"],
        slices=[_slice(int(slot), one) for slot, one in sorted(report["slices"].items(), key=_number)],
    )


def _number(item: tuple[str, Slice]) -> int:
    return int(item[0])


def _slice(slot: int, one: Slice) -> ServedSlice:
    buckets = [0] * len(Stats().buckets)
    for at, count in one["buckets"].items():
        buckets[int(at)] = count
    return ServedSlice(
        slot=slot,
        requests=one["requests"],
        samples=one["samples"],
        errors=one["errors"],
        latency_p50_ms=percentile_ms(buckets, 0.5),
        latency_p99_ms=percentile_ms(buckets, 0.99),
    )
