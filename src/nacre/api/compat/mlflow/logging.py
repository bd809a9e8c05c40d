"""MLflow's hot calls: metrics, params and tags go from the request straight to the group-commit writer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from nacre.api.compat.mlflow.calls import Call, Calls, shown, whole, wrong_type
from nacre.api.compat.mlflow.errors import MlflowError, invalid, missing
from nacre.api.compat.mlflow.names import MAX_PARAM, MAX_TAG, check_key, cut
from nacre.db.queries.run_conditions import RUN_NAME_TAG
from nacre.errors import Conflict, NotFound
from nacre.services.track_writer import TrackBatch

calls = Calls()

MAX_METRICS = 1000
MAX_TEXTS = 100
MAX_ENTITIES = 1000

Metric = tuple[str, int, int, float]
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_HINT = " See the API docs for more information about request parameters."

_checked: set[str] = set()
"""Keys that passed: a program logs the same ones again and again."""
_MOST_CHECKED = 20_000


def run_of(call: Call) -> str:
    """The id of the run that a call is about.

    Raises:
        MlflowError: none is given, or it cannot be one of Nacre's.
    """
    run = call.text("run_id", "run_uuid")
    if not _RUN_ID.fullmatch(run):
        raise missing(f"Run with id={run} not found")
    return run


def not_there(call: Call, run: str) -> MlflowError:
    """Why a run that the writer did not find cannot be logged to."""
    found = call.services.run_records.get(call.caller, run)
    if found is not None and found.deleted:
        return invalid(f"The run {run} must be in the 'active' state. Current state is deleted.")
    return missing(f"Run with id={run} not found")


@calls.on("POST", "mlflow/runs/log-metric", "runs.log")
async def log_metric(call: Call) -> None:
    """One point."""
    run = run_of(call)
    metric = _metric(call.body)
    await _write(call, run, metrics=[metric])
    await _of_models(call, run, [call.body], [metric])


@calls.on("POST", "mlflow/runs/log-parameter", "runs.log")
async def log_parameter(call: Call) -> None:
    """One param; the same value again is fine, another one is not."""
    run = run_of(call)
    key = call.text("key")
    check_key(key, "key", what="Param key")
    value = cut(call.maybe_text("value") or "", MAX_PARAM)
    try:
        await _write(call, run, params=[(key, value)])
    except Conflict as error:
        raise invalid(
            f"Changing param values is not allowed. Param with key='{key}' was already logged with "
            f"value='{error.extra.get('old')}' for run ID='{run}'. Attempted logging new value '{value}'."
        ) from None


@calls.on("POST", "mlflow/runs/set-tag", "runs.log")
async def set_tag(call: Call) -> None:
    """One tag; a later value replaces it."""
    run = run_of(call)
    key = call.text("key")
    check_key(key, "key")
    await _write(call, run, tags=[(key, cut(call.maybe_text("value") or "", MAX_TAG))])


@calls.on("POST", "mlflow/runs/log-batch", "runs.log")
async def log_batch(call: Call) -> None:
    """Up to 1000 metrics, 100 params and 100 tags; all of them, or none when something is refused."""
    run = call.text("run_id", "run_uuid")
    if not re.fullmatch(r"[a-zA-Z0-9][\w\-]{0,255}", run):
        raise invalid(f"Invalid value {shown(run)} for parameter 'run_id' supplied.")
    run = run_of(call)
    given = call.items("metrics")
    metrics = [_metric(item, at) for at, item in enumerate(given)]
    params = _texts(call, "params", MAX_PARAM)
    tags = _texts(call, "tags", MAX_TAG)
    _check_limits(len(metrics), len(params), len(tags))
    _check_unique(params)
    try:
        await _write(call, run, metrics=metrics, params=params, tags=tags)
    except Conflict as error:
        key, old = error.extra.get("key"), error.extra.get("old")
        differing = [{"key": key, "old_value": old, "new_value": dict(params).get(str(key))}]
        raise invalid(
            "Changing param values is not allowed. Params were already "
            f"logged='{differing}' for run ID='{run}'."
        ) from None
    await _of_models(call, run, given, metrics)


def _texts(call: Call, name: str, limit: int) -> list[tuple[str, str]]:
    found = []
    for at, (key, value) in enumerate(call.pairs(name)):
        check_key(key, f"{name}[{at}].key", what="Param key" if name == "params" else None)
        found.append((key, cut(value, limit)))
    return found


def _check_limits(metrics: int, params: int, tags: int) -> None:
    for what, most, count in (
        ("metrics", MAX_METRICS, metrics),
        ("params", MAX_TEXTS, params),
        ("tags", MAX_TEXTS, tags),
        ("metrics, params, and tags", MAX_ENTITIES, metrics + params + tags),
    ):
        if count > most:
            raise invalid(
                f"A batch logging request can contain at most {most} {what}. Got {count} {what}. "
                f"Please split up {what} across multiple requests and try again."
            )


def _check_unique(params: Sequence[tuple[str, str]]) -> None:
    if len(dict(params)) == len(params):
        return
    seen: set[str] = set()
    twice = [key for key, _ in params if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
    raise invalid(
        f"Duplicate parameter keys have been submitted: {twice}. Please ensure the request contains only "
        "one param value per param key."
    )


def _metric(item: Any, at: int | None = None) -> Metric:
    """A point of the protocol, ``at`` that place of a batch. NaN and the infinities come as texts; a step
    that is missing is 0."""
    if type(item) is not dict:
        raise wrong_type(_path(at), item)
    key, value, ts, step = item.get("key"), item.get("value"), item.get("timestamp"), item.get("step", 0)
    if type(key) is not str or key not in _checked:
        key = _new_key(key, at)
    if type(value) is not float:
        value = _number(value, key, at)
    if type(ts) is not int or not 0 <= ts < 2**53:
        ts = _time(ts, key, at)
    if type(step) is not int or not -(2**63) <= step < 2**63:
        step = 0 if step is None else whole(_path(at, "step"), step)
    return key, step, ts, value


def _path(at: int | None, name: str = "") -> str:
    """How MLflow names a field of a request."""
    return ".".join(filter(None, ("" if at is None else f"metrics[{at}]", name)))


def _absent(path: str) -> MlflowError:
    return invalid(f"Missing value for required parameter '{path}'.{_HINT}")


def _new_key(key: Any, at: int | None) -> str:
    if key is None or key == "":
        raise _absent(_path(at, "key"))
    if not isinstance(key, str):
        raise wrong_type(_path(at, "key"), key)
    check_key(key, _path(at, "name"), what="Metric name")
    if len(_checked) >= _MOST_CHECKED:
        _checked.clear()
    _checked.add(key)
    return key


def _number(value: Any, key: str, at: int | None) -> float:
    if value is None or value == "":
        raise _absent(_path(at, "value"))
    if not isinstance(value, bool) and isinstance(value, int | float | str):
        try:
            return float(value)
        except (ValueError, OverflowError):
            pass
    raise invalid(
        f"Invalid value {shown(value)} for parameter '{_path(at, 'value')}' supplied: (metric '{key}'). "
        f"Please specify value as a valid double (64-bit floating point){_HINT}"
    )


def _time(ts: Any, key: str, at: int | None) -> int:
    if ts is None or ts == "":
        raise _absent(_path(at, "timestamp"))
    number = whole(_path(at, "timestamp"), ts)
    if not 0 <= number < 2**53:
        raise invalid(
            f"Invalid value {number} for parameter '{_path(at, 'timestamp')}' supplied: metric '{key}'. "
            "Timestamp must be a nonnegative long (64-bit integer) of milliseconds since 1970"
        )
    return number


async def _write(
    call: Call,
    run: str,
    *,
    metrics: Sequence[Metric] = (),
    params: Sequence[tuple[str, str]] = (),
    tags: Sequence[tuple[str, str]] = (),
) -> None:
    """Bring the records in. MLflow's tag for a run's name is the name itself."""
    if not call.services.runs.own.known(call.caller, run):
        await asyncio.to_thread(call.services.runs.own.check, call.caller, run)
    name = dict(tags).get(RUN_NAME_TAG) if tags else None
    if name is not None:
        tags = [tag for tag in tags if tag[0] != RUN_NAME_TAG]
    batch = TrackBatch(
        run, call.caller.project_id, metrics=metrics, params=params, tags=tags, strict_params=True
    )
    try:
        await call.services.writer.write_async(batch)
        if name is not None:
            await asyncio.to_thread(call.services.run_records.update, call.caller, run, name=name)
    except NotFound:
        raise await asyncio.to_thread(not_there, call, run) from None


async def _of_models(call: Call, run: str, given: Sequence[dict[str, Any]], metrics: list[Metric]) -> None:
    """Keep metrics that were measured of logged models with these models too."""
    if not any("model_id" in item for item in given):
        return
    measured = [
        {
            "model_id": item["model_id"],
            "key": key,
            "value": value,
            "step": step,
            "timestamp": ts,
            "dataset_name": item.get("dataset_name") or "",
            "dataset_digest": item.get("dataset_digest") or "",
        }
        for item, (key, step, ts, value) in zip(given, metrics, strict=True)
        if isinstance(item.get("model_id"), str) and item["model_id"]
    ]
    if measured:
        keep = call.services.logged_models.record_metrics
        await asyncio.to_thread(keep, call.caller.project_id, run, measured)
