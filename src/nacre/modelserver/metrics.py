"""The text of ``GET /metrics``, in Prometheus's exposition format."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from nacre.modelserver.stats import Report, RevisionReport, upper

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_CAPTURED: dict[Literal["kept", "dropped", "over"], str] = {
    "kept": "Requests that were captured.",
    "dropped": "Requests to be captured that memory or disk had no room for.",
    "over": "Requests to be captured that were over the budget.",
}
_KINDS = {"400": "invalid", "404": "not_found", "413": "too_large", "429": "rate_limited"} | {
    "500": "failed",
    "503": "overloaded",
    "504": "timeout",
}


def prometheus(report: Report) -> str:
    """Metrics by endpoint and revision, and of the server."""
    all_of = [
        (f'endpoint="{key}",revision="{number}"', one)
        for key, revisions in report["endpoints"].items()
        for number, one in revisions.items()
    ]
    lines: list[str] = []

    def family(name: str, kind: str, text: str, values: Iterator[str]) -> None:
        lines.extend((f"# HELP {name} {text}", f"# TYPE {name} {kind}"))
        lines.extend(values)

    def each(name: str, kind: str, text: str, of: Callable[[RevisionReport], float | None]) -> None:
        told = ((labels, of(one)) for labels, one in all_of)
        family(
            name,
            kind,
            text,
            (f"{name}{{{labels}}} {+value}" for labels, value in told if value is not None),
        )

    each("nacre_endpoint_requests_total", "counter", "Inference requests.", lambda one: one["requests"])
    each("nacre_endpoint_samples_total", "counter", "Rows that were answered.", lambda one: one["samples"])
    each("nacre_endpoint_batches_total", "counter", "Runs of the model.", lambda one: one["batches"])
    name = "nacre_endpoint_errors_total"
    family(name, "counter", "Requests that were not answered.", _errors(name, all_of))
    each("nacre_endpoint_in_flight", "gauge", "Requests under way.", lambda one: one["in_flight"])
    each("nacre_endpoint_waiting", "gauge", "Requests that wait.", lambda one: one["waiting"])
    each("nacre_endpoint_ready", "gauge", "Whether it answers.", lambda one: one["state"] == "ready")
    each("nacre_endpoint_failed", "gauge", "Whether it failed.", lambda one: one["state"] == "failed")
    each("nacre_endpoint_replicas", "gauge", "Replicas that answer.", _up)
    each("nacre_endpoint_memory_bytes", "gauge", "Memory of the model.", lambda one: one["memory_bytes"])
    name = "nacre_endpoint_latency_seconds"
    family(name, "histogram", "Time to answer a request.", _histograms(name, all_of))
    for end, text in _CAPTURED.items():
        name = f"nacre_endpoint_capture_{end}_total"
        told = ((key, counts[end]) for key, counts in report["captures"].items())
        family(name, "counter", text, (f'{name}{{endpoint="{key}"}} {count}' for key, count in told))
    own = {
        "generation": "Of the routes.",
        "connections": "Open.",
        "rss_bytes": "Memory.",
        "workers": "Alive.",
    }
    for field, text in own.items():
        name = f"nacre_modelserver_{field.replace('rss_', 'resident_')}"
        family(name, "gauge", text, iter((f"{name} {report[field]}",)))  # type: ignore[literal-required]
    return "\n".join(lines) + "\n"


def _up(one: RevisionReport) -> float | None:
    return sum(said == "up" for said in one["replicas"].values()) if one["replicas"] else None


def _errors(name: str, all_of: list[tuple[str, RevisionReport]]) -> Iterator[str]:
    for labels, one in all_of:
        kinds: dict[str, int] = {}
        for code, count in one["errors"].items():
            kind = _KINDS.get(code, "other")
            kinds[kind] = kinds.get(kind, 0) + count
        for kind, count in sorted(kinds.items()):
            yield f'{name}{{{labels},kind="{kind}"}} {count}'


def _histograms(name: str, all_of: list[tuple[str, RevisionReport]]) -> Iterator[str]:
    for labels, one in all_of:
        for edge in _SECONDS:
            below = sum(count for slot, count in enumerate(one["buckets"]) if upper(slot) <= edge)
            yield f'{name}_bucket{{{labels},le="{edge:g}"}} {below}'
        yield f'{name}_bucket{{{labels},le="+Inf"}} {one["requests"]}'
        yield f"{name}_sum{{{labels}}} {one['seconds']:.6f}"
        yield f"{name}_count{{{labels}}} {one['requests']}"
