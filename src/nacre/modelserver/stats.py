"""Counts and latencies of endpoints: cheap to keep, mergeable between workers."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

from nacre.schema.serving import ServedState, ServingStatus

_SLOTS = 128
_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Stats:
    """Requests, their samples, errors by HTTP status and a histogram of latencies in microseconds.

    The slots of the histogram are four to each power of two, so a percentile is within 13 %.
    """

    __slots__ = ("buckets", "by_status", "errors", "requests", "samples", "seconds")

    def __init__(self) -> None:
        self.requests = 0
        self.samples = 0
        self.errors = 0
        self.by_status: dict[int, int] = {}
        self.seconds = 0.0
        self.buckets = [0] * _SLOTS

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


def _upper(slot: int) -> float:
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
            return round(_upper(slot) * 1e3, 4)
    raise AssertionError("the slots hold every request")


class EndpointReport(TypedDict):
    """One endpoint in a :class:`Report`."""

    revision: int | None
    state: Literal["ready", "failed"]
    message: str | None
    requests: int
    errors: int
    seconds: float
    buckets: list[int]


class Report(TypedDict):
    """What one worker tells of itself; plain JSON."""

    generation: int
    endpoints: dict[str, EndpointReport]
    connections: int
    rss_bytes: int


def merge(reports: list[Report]) -> Report:
    """All workers as one: an endpoint has failed when any has; counts add up."""
    merged: Report = {"generation": 0, "endpoints": {}, "connections": 0, "rss_bytes": 0}
    if reports:
        merged["generation"] = min(report["generation"] for report in reports)
    for report in reports:
        merged["connections"] += report["connections"]
        merged["rss_bytes"] += report["rss_bytes"]
        for key, one in report["endpoints"].items():
            known = merged["endpoints"].get(key)
            merged["endpoints"][key] = one if known is None else _both(known, one)
    return merged


def _both(left: EndpointReport, right: EndpointReport) -> EndpointReport:
    worse = right if right["state"] == "failed" else left
    return {
        "revision": worse["revision"],
        "state": worse["state"],
        "message": worse["message"],
        "requests": left["requests"] + right["requests"],
        "errors": left["errors"] + right["errors"],
        "seconds": left["seconds"] + right["seconds"],
        "buckets": [a + b for a, b in zip(left["buckets"], right["buckets"], strict=True)],
    }


def status(report: Report, pid: int) -> ServingStatus:
    """The answer of ``GET /status`` and ``POST /reload``."""
    return ServingStatus(
        generation=report["generation"],
        pid=pid,
        endpoints={key: _state(one) for key, one in report["endpoints"].items()},
    )


def _state(one: EndpointReport) -> ServedState:
    return ServedState(
        revision=one["revision"],
        state=one["state"],
        message=one["message"],
        requests=one["requests"],
        errors=one["errors"],
        latency_p50_ms=percentile_ms(one["buckets"], 0.5),
        latency_p99_ms=percentile_ms(one["buckets"], 0.99),
    )


def prometheus(report: Report) -> str:
    """The text of ``GET /metrics``, in Prometheus's exposition format."""
    endpoints = report["endpoints"]
    lines: list[str] = []

    def family(name: str, kind: str, text: str, values: dict[str, Any]) -> None:
        lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{labels} {value}" for labels, value in values.items())

    def each(field: str) -> dict[str, Any]:
        return {f'{{endpoint="{key}"}}': one[field] for key, one in endpoints.items()}  # type: ignore[literal-required]

    family("nacre_endpoint_requests_total", "counter", "Inference requests.", each("requests"))
    family("nacre_endpoint_errors_total", "counter", "Of these, not answered.", each("errors"))
    ready = {f'{{endpoint="{key}"}}': int(one["revision"] is not None) for key, one in endpoints.items()}
    family("nacre_endpoint_ready", "gauge", "Whether a revision answers.", ready)
    failed = {f'{{endpoint="{key}"}}': int(one["state"] == "failed") for key, one in endpoints.items()}
    family("nacre_endpoint_failed", "gauge", "Whether the wanted revision failed.", failed)
    name = "nacre_endpoint_latency_seconds"
    lines.extend((f"# HELP {name} Time to answer a request.", f"# TYPE {name} histogram"))
    for key, one in endpoints.items():
        lines.extend(_histogram(name, key, one))
    family("nacre_modelserver_generation", "gauge", "Of the routes.", {"": report["generation"]})
    family("nacre_modelserver_connections", "gauge", "Open.", {"": report["connections"]})
    family("nacre_modelserver_resident_bytes", "gauge", "Memory.", {"": report["rss_bytes"]})
    return "\n".join(lines) + "\n"


def _histogram(name: str, key: str, one: EndpointReport) -> list[str]:
    lines = []
    for edge in _SECONDS:
        below = sum(count for slot, count in enumerate(one["buckets"]) if _upper(slot) <= edge)
        lines.append(f'{name}_bucket{{endpoint="{key}",le="{edge:g}"}} {below}')
    lines.append(f'{name}_bucket{{endpoint="{key}",le="+Inf"}} {one["requests"]}')
    lines.append(f'{name}_sum{{endpoint="{key}"}} {one["seconds"]:.6f}')
    lines.append(f'{name}_count{{endpoint="{key}"}} {one["requests"]}')
    return lines
