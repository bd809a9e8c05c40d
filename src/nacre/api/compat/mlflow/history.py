"""MLflow's histories of metrics: whole, in pages, of many runs, and sampled."""

from __future__ import annotations

from typing import Any

import numpy as np

from nacre.api.compat.mlflow.calls import Call, Calls
from nacre.api.compat.mlflow.errors import invalid
from nacre.api.compat.mlflow.logging import run_of
from nacre.domain.blocks import Points

calls = Calls()

_MAX_BULK = 25_000
_MAX_RUNS = 100
_MAX_SAMPLED = 2500
_LARGEST = float(np.finfo(np.float64).max)


def _json(key: str, points: Points, run: str | None = None) -> list[dict[str, Any]]:
    """The points as messages: NaN as text, infinities as the largest numbers."""
    values: list[Any] = np.clip(points.value, -_LARGEST, _LARGEST).tolist()
    for at in np.flatnonzero(np.isnan(points.value)).tolist():
        values[at] = "NaN"
    more = {} if run is None else {"run_id": run}
    return [
        {"key": key, "value": value, "timestamp": ts, "step": step, **more}
        for value, ts, step in zip(values, points.ts.tolist(), points.step.tolist(), strict=True)
    ]


def _by_time(points: Points) -> Points:
    """In order of time, then step, then value; most are already."""
    ts, step = points.ts, points.step
    if np.all((ts[1:] > ts[:-1]) | ((ts[1:] == ts[:-1]) & (step[1:] > step[:-1]))):
        return points
    return points.at(np.lexsort((points.value, points.step, points.ts)))


@calls.on("GET", "mlflow/metrics/get-history", "runs.metric")
def history(call: Call) -> dict[str, Any]:
    """Every point of a metric by time, or a page of them."""
    run, key = run_of(call), call.text("metric_key")
    limit = call.maybe_integer("max_results")
    if limit is not None and limit <= 0:
        raise invalid(
            f"Invalid value {limit} for parameter 'max_results' supplied. It must be a positive integer."
        )
    start = _offset(call.maybe_text("page_token"))
    found = call.services.run_records.points(call.caller, [run], key)
    if run not in found:
        return {"metrics": []}
    points = _by_time(found[run])
    end = len(points) if limit is None else start + limit
    answer: dict[str, Any] = {"metrics": _json(key, points.at(slice(start, end)))}
    if end < len(points):
        answer["next_page_token"] = str(end)
    return answer


def _offset(token: str | None) -> int:
    if not token:
        return 0
    if not token.isascii() or not token.isdecimal() or len(token) > 18:
        raise invalid("Invalid page token: it is not one that this server made")
    return int(token)


@calls.on("GET", "mlflow/metrics/get-history-bulk", "runs.metric")
def bulk(call: Call) -> dict[str, Any]:
    """Histories of many runs after one another, cut at ``max_results``."""
    runs = sorted(set(call.texts("run_id")))
    if not runs:
        raise invalid("GetMetricHistoryBulk request must specify at least one run_id.")
    _check_count("GetMetricHistoryBulk request cannot specify more than", runs)
    key = call.maybe_text("metric_key")
    if key is None:
        raise invalid("GetMetricHistoryBulk request must specify a metric_key.")
    most = call.maybe_integer("max_results")
    most = _MAX_BULK if most is None else max(0, min(most, _MAX_BULK))
    found = call.services.run_records.points(call.caller, runs, key, strict=False)
    metrics: list[dict[str, Any]] = []
    for run in runs:
        if run in found and len(metrics) < most:
            metrics += _json(key, _by_time(found[run]).at(slice(0, most - len(metrics))), run)
    return {"metrics": metrics}


@calls.on("GET", "mlflow/metrics/get-history-bulk-interval", "runs.metric")
def interval(call: Call) -> dict[str, Any]:
    """Histories of many runs, each sampled evenly with its first and last point, between two steps."""
    runs = call.texts("run_ids")
    if not runs:
        raise invalid("Missing value for required parameter 'run_ids'.")
    _check_count("GetMetricHistoryBulkInterval request must specify at most", runs)
    key = call.text("metric_key")
    low, high = call.maybe_integer("start_step"), call.maybe_integer("end_step")
    if (low is None) != (high is None):
        raise invalid("If either start step or end step are specified, both must be specified.")
    if low is not None and high is not None and low > high:
        raise invalid(
            f"end_step must be greater than start_step. Found start_step={low} and end_step={high}."
        )
    most = call.maybe_integer("max_results")
    most = _MAX_SAMPLED if most is None else most
    if not 1 <= most <= _MAX_SAMPLED:
        raise invalid(f"max_results must be between 1 and {_MAX_SAMPLED}.")
    found = call.services.run_records.points(call.caller, runs, key)
    metrics: list[dict[str, Any]] = []
    for run in runs:
        if run in found:
            points = found[run]
            if low is not None and high is not None:
                points = points.at((points.step >= low) & (points.step <= high))
            metrics += _json(key, points.at(_sample(len(points), most)), run)
    return {"metrics": metrics}


def _check_count(words: str, runs: list[str]) -> None:
    if len(runs) > _MAX_RUNS:
        raise invalid(f"{words} {_MAX_RUNS} run_ids. Received {len(runs)} run_ids.")


def _sample(count: int, most: int) -> Any:
    """The first of each of ``most`` stretches of almost equal length, and the last of all."""
    if count <= most:
        return slice(None)
    size, longer = divmod(count, most)
    at = np.arange(most)
    picked = at * size + np.minimum(at, longer)
    picked[-1] = count - 1
    return picked
