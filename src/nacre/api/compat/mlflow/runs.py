"""MLflow's runs: made, read, ended, searched, put into the trash; their inputs and outputs."""

from __future__ import annotations

import json
import random
from typing import Any

import orjson

from nacre.api.compat.mlflow.calls import Call, Calls, wrong_type
from nacre.api.compat.mlflow.errors import invalid, missing
from nacre.api.compat.mlflow.experiments import active, find
from nacre.api.compat.mlflow.logging import not_there, run_of
from nacre.api.compat.mlflow.names import MAX_TAG, check_key, cut
from nacre.api.compat.mlflow.wire import info_json, run_json, state_of, view_of
from nacre.clock import from_epoch_ms
from nacre.db.queries.run_conditions import RUN_NAME_TAG
from nacre.db.queries.run_details import Input, RunDetails
from nacre.domain.run_filter import parse_filter, parse_order
from nacre.errors import Conflict, NotFound
from nacre.services.track_writer import TrackBatch

calls = Calls()

_MAX_PAGE = 50_000
_MAX_EXPERIMENTS = 20
_LAST_MS = 253_402_300_799_999  # the end of the year 9999
_MODELS_TAG = "mlflow.loggedModels"


def load(call: Call, run: str) -> RunDetails:
    """A run of the project, also one in the trash.

    Raises:
        MlflowError: there is none.
    """
    found = call.services.run_records.get(call.caller, run)
    if found is None:
        raise missing(f"Run with id={run} not found")
    return found


def _instant(call: Call, name: str) -> int | None:
    at = call.maybe_integer(name)
    if at is not None and not 0 <= at <= _LAST_MS:
        raise invalid(f"Invalid value {at} for parameter '{name}' supplied: milliseconds since 1970")
    return at


@calls.on("POST", "mlflow/runs/create", "runs.create")
def create(call: Call) -> dict[str, Any]:
    """Start a run."""
    found = active(find(call, call.maybe_text("experiment_id") or ""))
    tags = {key: cut(value, MAX_TAG) for key, value in call.pairs("tags")}
    for key in tags:
        check_key(key, "key")
    name, tagged = call.maybe_text("run_name"), tags.pop(RUN_NAME_TAG, None)
    if name and tagged and name != tagged:
        raise invalid(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values "
            f"(run_name='{name}', mlflow.runName='{tagged}')."
        )
    name = name or tagged or _any_name()
    if len(name) > 250:
        raise invalid("'run_name' exceeds the maximum length of 250 characters")
    started = _instant(call, "start_time")
    run = call.services.runs.start(
        call.caller,
        experiment=found.row.id,
        name=name,
        tags=tags,
        started_at=None if started is None else from_epoch_ms(started),
    )
    return {"run": run_json(load(call, run))}


_FIRST = ("amber", "brave", "calm", "clever", "eager", "fair", "gentle", "jolly", "keen", "lively", "quick")
_SECOND = ("auk", "crane", "dove", "finch", "gull", "heron", "ibis", "jay", "kite", "lark", "owl", "wren")


def _any_name() -> str:
    return f"{random.choice(_FIRST)}-{random.choice(_SECOND)}-{random.randrange(1000)}"  # noqa: S311


@calls.on("GET", "mlflow/runs/get", "runs.get")
def get(call: Call) -> dict[str, Any]:
    """A run."""
    return {"run": run_json(load(call, run_of(call)))}


@calls.on("POST", "mlflow/runs/update", "runs.update")
def update(call: Call) -> dict[str, Any]:
    """End or rename a run. The state of a job's run stays as its job's."""
    run = run_of(call)
    status = call.body.get("status")
    state = None if status is None else state_of(status)
    if status is not None and state is None:
        raise invalid(f"Invalid value {status!r} for parameter 'status' supplied: there is no such status")
    ended = _instant(call, "end_time")
    try:
        call.services.run_records.update(
            call.caller,
            run,
            state=state,
            ended_at=None if ended is None else from_epoch_ms(ended),
            name=call.maybe_text("run_name") or None,
        )
    except (NotFound, Conflict):
        raise not_there(call, run) from None
    return {"run_info": info_json(load(call, run))}


@calls.on("POST", "mlflow/runs/delete", "runs.delete")
def delete(call: Call) -> None:
    """Put a run into the trash; one that is there already stays there."""
    found = load(call, run_of(call))
    if not found.deleted:
        call.services.runs.delete(call.caller, found.id)


@calls.on("POST", "mlflow/runs/restore", "runs.restore")
def restore(call: Call) -> None:
    """Bring a run back; one that is not in the trash stays where it is."""
    found = load(call, run_of(call))
    if found.deleted:
        call.services.runs.restore(call.caller, found.id)


@calls.on("POST", "mlflow/runs/search", "runs.list")
def search(call: Call) -> dict[str, Any]:
    """A page of the runs of experiments that fulfil a filter."""
    limit = call.maybe_integer("max_results")
    limit = 1000 if limit is None else limit
    if not 1 <= limit <= _MAX_PAGE:
        raise invalid(
            f"Invalid value {limit} for parameter 'max_results' supplied: it must be from 1 to {_MAX_PAGE}"
        )
    view = view_of(call.body.get("run_view_type"))
    comparisons = parse_filter(call.maybe_text("filter"))
    order = parse_order(call.texts("order_by"))
    numbers = [find_number(call, number) for number in call.texts("experiment_ids")]
    found, following = call.services.run_records.search(
        call.caller,
        experiment_ids=[number for number in numbers if number is not None],
        filter=comparisons,
        order=order,
        view=view,
        limit=limit,
        cursor=call.maybe_text("page_token"),
    )
    answer: dict[str, Any] = {"runs": [run_json(run) for run in found]}
    if following is not None:
        answer["next_page_token"] = following
    return answer


def find_number(call: Call, number: str) -> int | None:
    """The number of an experiment to search in; null for one that there cannot be."""
    if number == "0":
        return call.services.experiments.default(call.caller).row.id
    try:
        wanted = int(number)
    except ValueError:
        raise invalid(f"Invalid experiment ID '{number}'. Experiment ID must be a valid integer.") from None
    return wanted if 0 < wanted < 2**63 else None


@calls.on("POST", "mlflow/experiments/search-datasets", "runs.list")
def search_datasets(call: Call) -> dict[str, Any]:
    """The data sets that runs of up to 20 experiments read."""
    asked = call.texts("experiment_ids")
    if not asked:
        raise invalid("SearchDatasets request must specify at least one experiment_id.")
    if len(asked) > _MAX_EXPERIMENTS:
        raise invalid(
            f"SearchDatasets request cannot specify more than {_MAX_EXPERIMENTS} experiment_ids. "
            f"Received {len(asked)} experiment_ids."
        )
    shown = {number: text for text in asked if (number := find_number(call, text)) is not None}
    found = call.services.run_records.datasets(call.caller, list(shown))
    return {
        "dataset_summaries": [
            {"experiment_id": shown[number], "name": name, "digest": digest, "context": context}
            for number, name, digest, context in found
        ]
    }


@calls.on("POST", "mlflow/runs/delete-tag", "runs.log")
def delete_tag(call: Call) -> None:
    """Remove a tag."""
    run, key = run_of(call), call.text("key")
    try:
        there = call.services.run_records.delete_tag(call.caller, run, key)
    except (NotFound, Conflict):
        raise not_there(call, run) from None
    if not there:
        raise missing(f"No tag with name: {key} in run with id {run}")


@calls.on("POST", "mlflow/runs/log-inputs", "runs.log")
def log_inputs(call: Call) -> None:
    """Note data sets, and models, that a run reads."""
    run = run_of(call)
    given = [_input(item, f"datasets[{at}]") for at, item in enumerate(call.items("datasets"))]
    models = [("input", model, 0) for model, _ in _models(call)]
    try:
        call.services.run_records.add_inputs(call.caller, run, given, models)
    except (NotFound, Conflict):
        raise not_there(call, run) from None


@calls.on("POST", "mlflow/runs/outputs", "runs.log")
def log_outputs(call: Call) -> None:
    """Note models that a run made."""
    run = run_of(call)
    models = [("output", model, step) for model, step in _models(call)]
    try:
        call.services.run_records.add_inputs(call.caller, run, (), models)
    except (NotFound, Conflict):
        raise not_there(call, run) from None


def _models(call: Call) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for at, item in enumerate(call.items("models")):
        model = item.get("model_id") if isinstance(item, dict) else None
        if not isinstance(model, str) or not 1 <= len(model) <= 40:
            raise invalid(f"Missing value for required parameter 'models[{at}].model_id'.")
        step = item.get("step", 0)
        try:
            found.append((model, min(max(int(step), -(2**31)), 2**31 - 1)))
        except (TypeError, ValueError):
            raise wrong_type(f"models[{at}].step", step) from None
    return found


_LIMITS = {
    "name": 500,
    "digest": 64,
    "source_type": 64,
    "source": 65_535,
    "schema": 1_048_575,
    "profile": 16_777_215,
}


def _input(item: Any, path: str) -> Input:
    dataset = item.get("dataset") if isinstance(item, dict) else None
    if not isinstance(dataset, dict):
        raise invalid(f"Missing value for required parameter '{path}.dataset'.")
    for name, most in _LIMITS.items():
        value = dataset.get(name)
        if value is None and name in ("schema", "profile"):
            continue
        if not isinstance(value, str) or (not value and name in ("name", "digest")):
            raise invalid(f"Missing value for required parameter '{path}.dataset.{name}'.")
        if len(value) > most:
            raise invalid(f"'{path}.dataset.{name}' exceeds the maximum length of {most} characters")
    tags = {}
    for at, tag in enumerate(item.get("tags") or []):
        key = tag.get("key") if isinstance(tag, dict) else None
        value = tag.get("value", "") if isinstance(tag, dict) else None
        if not isinstance(key, str) or not isinstance(value, str) or not key:
            raise invalid(f"Missing value for required parameter '{path}.tags[{at}].key'.")
        if len(key) > 255 or len(value) > 500:
            raise invalid(f"'{path}.tags[{at}]' exceeds the maximum length of 255 and 500 characters")
        tags[key] = value
    return Input(**{name: dataset.get(name) for name in _LIMITS}, tags=tags)  # type: ignore[arg-type]


@calls.on("POST", "mlflow/runs/log-model", "runs.log")
def log_model(call: Call) -> None:
    """Note a saved model in the tag that MLflow 2 reads (``mlflow.loggedModels``)."""
    run = run_of(call)
    text = call.text("model_json")
    try:
        model = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise invalid(f"Malformed model info. \n {text} \n is not a valid JSON.") from None
    lacking = {"artifact_path", "flavors", "utc_time_created", "run_id"} - set(
        model if isinstance(model, dict) else ()
    )
    if lacking:
        raise invalid(f"Model json is missing mandatory fields: {sorted(lacking)}")
    before = next((value for key, value in load(call, run).tags if key == _MODELS_TAG), "[]")
    kept = {key: model[key] for key in ("run_id", "artifact_path", "utc_time_created", "flavors")}
    kept |= {key: model[key] for key in ("model_uuid", "mlflow_version") if key in model}
    value = json.dumps([*json.loads(before), kept])
    batch = TrackBatch(run, call.caller.project_id, tags=[(_MODELS_TAG, value)])
    call.services.runs.own.check(call.caller, run)
    call.services.writer.write(batch)
