"""Counts and latencies of revisions: cheap to keep, mergeable between workers."""

from __future__ import annotations

from typing import Literal, TypedDict

from nacre.schema.serving import ServedRevisionState, ServedState, ServingStatus

_SLOTS = 128


class Stats:
    """Requests, their samples, errors by HTTP status and a histogram of latencies in microseconds.

    The slots of the histogram are four to each power of two, so a percentile is within 13 %.
    """

    __slots__ = ("buckets", "by_status", "errors", "requests", "samples", "seconds", "told")

    def __init__(self) -> None:
        self.requests = 0
        self.samples = 0
        self.errors = 0
        self.by_status: dict[int, int] = {}
        self.seconds = 0.0
        self.buckets = [0] * _SLOTS
        self.told: tuple[float, ...] = (0, 0, 0, 0.0)
        """Requests, errors, samples and seconds of these that were written down for the bill."""

    def add(self, seconds: float, status: int, samples: int = 0) -> None:
        """Count one request that took so long; a status from 400 on is an error."""
        self.requests += 1
        self.samples += samples
        if status >= 400:
            self.errors += 1
            self.by_status[status] = self.by_status.get(status, 0) + 1
        self.seconds += seconds
        micros = int(seconds * 1e6)
        bits = micros.bit_length()
        slot = (bits << 2) | ((micros >> (bits - 3)) & 3) if bits > 2 else micros
        self.buckets[slot if slot < _SLOTS else _SLOTS - 1] += 1


def upper(slot: int) -> float:
    """Seconds at the upper edge of a slot."""
    if slot < 4:
        return (slot + 1) / 1e6
    bits, quarter = slot >> 2, slot & 3
    return float((5 + quarter) << bits >> 3) / 1e6


def percentile_ms(buckets: list[int], share: float) -> float | None:
    """The latency that ``share`` of the requests did not exceed, or None without requests."""
    total = sum(buckets)
    if not total:
        return None
    wanted, seen = share * total, 0
    for slot, count in enumerate(buckets):
        seen += count
        if count and seen >= wanted:
            return round(upper(slot) * 1e3, 4)
    raise AssertionError("the slots hold every request")


State = Literal["loading", "ready", "unloaded", "failed"]
_WORST: dict[State, int] = {"failed": 3, "loading": 2, "unloaded": 1, "ready": 0}


class RevisionReport(TypedDict):
    """One revision in a :class:`Report`; the fields of ``nacre.schema.serving.ServedRevisionState``."""

    state: State
    message: str | None
    requests: int
    samples: int
    errors: dict[str, int]
    seconds: float
    buckets: list[int]
    in_flight: int
    waiting: int
    batches: int
    memory_bytes: int | None
    replicas: dict[str, str]


class CaptureReport(TypedDict):
    """Requests of an endpoint that were to be captured. ``dropped``: memory or disk had no room for them;
    ``over``: the budget had none."""

    kept: int
    dropped: int
    over: int


class Report(TypedDict):
    """What one worker tells of itself; plain JSON. ``endpoints``: key → revision → its report.
    ``demand``: requests that wait for a first replica, by endpoint. ``captures``: of those that do,
    by endpoint."""

    generation: int
    endpoints: dict[str, dict[str, RevisionReport]]
    demand: dict[str, int]
    captures: dict[str, CaptureReport]
    connections: int
    rss_bytes: int
    workers: int


def merge(reports: list[Report]) -> Report:
    """All workers as one: a revision is as far as the last of them is; counts add up."""
    merged: Report = {
        "generation": min((report["generation"] for report in reports), default=0),
        "endpoints": {},
        "demand": {},
        "captures": {},
        "connections": sum(report["connections"] for report in reports),
        "rss_bytes": sum(report["rss_bytes"] for report in reports),
        "workers": sum(report["workers"] for report in reports),
    }
    for report in reports:
        add_counts(merged["demand"], report["demand"])
        for key, counts in report["captures"].items():
            known = merged["captures"].get(key, {"kept": 0, "dropped": 0, "over": 0})
            merged["captures"][key] = {
                "kept": known["kept"] + counts["kept"],
                "dropped": known["dropped"] + counts["dropped"],
                "over": known["over"] + counts["over"],
            }
        for key, revisions in report["endpoints"].items():
            into = merged["endpoints"].setdefault(key, {})
            for number, one in revisions.items():
                into[number] = _both(into[number], one) if number in into else one
    return merged


def add_counts(into: dict[str, int], counts: dict[str, int]) -> None:
    """Add counts by key."""
    for key, count in counts.items():
        into[key] = into.get(key, 0) + count


def _both(left: RevisionReport, right: RevisionReport) -> RevisionReport:
    worse = max(left, right, key=lambda one: _WORST[one["state"]])
    errors = dict(left["errors"])
    add_counts(errors, right["errors"])
    held = [size for one in (left, right) if (size := one["memory_bytes"]) is not None]
    # A replica that one worker cannot reach is not up.
    replicas = left["replicas"] | {key: said for key, said in right["replicas"].items() if said != "up"}
    return {
        "state": worse["state"],
        "message": worse["message"] or left["message"] or right["message"],
        "requests": left["requests"] + right["requests"],
        "samples": left["samples"] + right["samples"],
        "errors": errors,
        "seconds": left["seconds"] + right["seconds"],
        "buckets": [a + b for a, b in zip(left["buckets"], right["buckets"], strict=True)],
        "in_flight": left["in_flight"] + right["in_flight"],
        "waiting": left["waiting"] + right["waiting"],
        "batches": left["batches"] + right["batches"],
        "memory_bytes": sum(held) if held else None,
        "replicas": {**right["replicas"], **replicas},
    }


def status(report: Report, pid: int) -> ServingStatus:
    """The answer of ``GET /status`` and ``POST /reload``."""
    return ServingStatus(
        generation=report["generation"],
        pid=pid,
        endpoints={key: _state(revisions) for key, revisions in report["endpoints"].items()},
    )


def _state(revisions: dict[str, RevisionReport]) -> ServedState:
    buckets = [sum(column) for column in zip(*(one["buckets"] for one in revisions.values()), strict=True)]
    return ServedState(
        revisions=[
            ServedRevisionState(revision=int(number), **one) for number, one in sorted(revisions.items())
        ],
        requests=sum(one["requests"] for one in revisions.values()),
        errors=sum(sum(one["errors"].values()) for one in revisions.values()),
        latency_p50_ms=percentile_ms(buckets, 0.5),
        latency_p99_ms=percentile_ms(buckets, 0.99),
    )
