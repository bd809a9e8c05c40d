"""MLflow's experiments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nacre.api.compat.mlflow.calls import Call, Calls, whole
from nacre.api.compat.mlflow.errors import MlflowError, exists, invalid, missing
from nacre.api.compat.mlflow.names import MAX_EXPERIMENT_TAG, check_key
from nacre.api.compat.mlflow.wire import (
    DEFAULT_ID,
    DEFAULT_NAME,
    experiment_id,
    experiment_json,
    view_of,
)
from nacre.domain.run_filter import EXPERIMENTS, Comparison, Kind, parse_filter, parse_order
from nacre.errors import Conflict
from nacre.schema.experiments import DEFAULT_EXPERIMENT, ExperimentCreate, ExperimentUpdate
from nacre.services.experiments import Found

calls = Calls()

_MAX_PAGE = 50_000


def find(call: Call, number: str) -> Found:
    """The experiment of an id, ``0`` being the project's own, which is made on demand.

    Raises:
        MlflowError: there is none.
    """
    if number in (DEFAULT_ID, ""):
        return call.services.experiments.default(call.caller)
    try:
        wanted = int(number)
    except ValueError:
        raise invalid(f"Invalid experiment ID '{number}'. Experiment ID must be a valid integer.") from None
    found = call.services.experiments.by_id(call.caller, wanted) if 0 < wanted < 2**63 else None
    if found is None:
        raise missing(f"No Experiment with id={wanted} exists")
    return found


def active(found: Found) -> Found:
    """The experiment, unless it is in the trash."""
    if found.row.deleted_at is not None:
        number = experiment_id(found.row.id, found.row.name)
        raise invalid(f"The experiment {number} must be in the 'active' state. Current state is deleted.")
    return found


def _own_name(name: str) -> str:
    return DEFAULT_EXPERIMENT if name == DEFAULT_NAME else name


def _check_name(name: str) -> str:
    if len(name) > 500:
        raise invalid("'name' exceeds the maximum length of 500 characters")
    if not name.strip():
        raise invalid(f"Invalid experiment name: {name!r}. Expects a string.")
    return _own_name(name)


@calls.on("POST", "mlflow/experiments/create", "experiments.create")
def create(call: Call) -> dict[str, Any]:
    """An experiment by name. A job that makes one moves its run there."""
    name = _check_name(call.text("name"))
    tags = dict(call.pairs("tags"))
    for key, value in tags.items():
        _check_tag(key, value)
    call.maybe_text("artifact_location")  # Nacre keeps artifacts itself
    if name == DEFAULT_EXPERIMENT:
        call.services.experiments.default(call.caller)
    try:
        made = call.services.experiments.create(call.caller, ExperimentCreate(name=name, tags=tags))
    except Conflict as error:
        state = (
            " in deleted state. You can restore or permanently delete it" if error.extra["deleted"] else ""
        )
        raise exists(f"Experiment '{call.text('name')}' already exists{state}.") from None
    call.services.run_records.follow_experiment(call.caller, name)
    return {"experiment_id": made.id}


@calls.on("GET", "mlflow/experiments/get", "experiments.get")
def get(call: Call) -> dict[str, Any]:
    """An experiment by id, also one in the trash."""
    return {"experiment": experiment_json(find(call, call.text("experiment_id")))}


@calls.on("GET", "mlflow/experiments/get-by-name", "experiments.get")
def get_by_name(call: Call) -> dict[str, Any]:
    """An experiment by name, also one in the trash. A job that asks for one moves its run there."""
    asked = call.text("experiment_name")
    name = _own_name(asked)
    if name == DEFAULT_EXPERIMENT:
        found: Found | None = call.services.experiments.default(call.caller)
    else:
        found = call.services.experiments.by_name(call.caller, name)
    if found is None:
        raise missing(f"Could not find experiment with name '{asked}'")
    call.services.run_records.follow_experiment(call.caller, name)
    return {"experiment": experiment_json(found)}


@calls.on("POST", "mlflow/experiments/search", "experiments.list")
@calls.on("GET", "mlflow/experiments/search", "experiments.list")
def search(call: Call) -> dict[str, Any]:
    """A page of experiments."""
    view = view_of(call.body.get("view_type"))
    limit = call.maybe_integer("max_results")
    if limit is None:
        raise invalid(
            "Invalid value None for parameter 'max_results' supplied: It must be a positive integer"
        )
    if not 1 <= limit <= _MAX_PAGE:
        raise invalid(
            f"Invalid value {limit} for parameter 'max_results' supplied: It must be a positive integer, "
            f"and at most {_MAX_PAGE}"
        )
    comparisons = parse_filter(call.maybe_text("filter"), EXPERIMENTS)
    order = parse_order(call.texts("order_by"), EXPERIMENTS)
    call.services.experiments.default(call.caller)
    page, following = call.services.experiments.search(
        call.caller,
        filter=[_as_stored(comparison, call) for comparison in comparisons],
        order=order,
        view=view,
        limit=limit,
        cursor=call.maybe_text("page_token"),
        default_as=DEFAULT_NAME,
    )
    answer: dict[str, Any] = {"experiments": [experiment_json(found) for found in page]}
    if following is not None:
        answer["next_page_token"] = following
    return answer


def _as_stored(comparison: Comparison, call: Call) -> Comparison:
    """The comparison with the id of the default experiment as it is stored."""
    if comparison.kind is not Kind.ATTRIBUTE or comparison.key != "experiment_id":
        return comparison
    own = str(call.services.experiments.default(call.caller).row.id)
    given = comparison.value if isinstance(comparison.value, tuple) else (str(comparison.value),)
    numbers = tuple(own if one == DEFAULT_ID else str(whole("experiment_id", one)) for one in given)
    return replace(comparison, value=numbers if isinstance(comparison.value, tuple) else numbers[0])


@calls.on("POST", "mlflow/experiments/update", "experiments.update")
def update(call: Call) -> None:
    """Rename an experiment."""
    found = find(call, call.text("experiment_id"))
    name = call.maybe_text("new_name")
    if name is None:
        return
    if found.row.deleted_at is not None:
        raise MlflowError("INVALID_STATE", "Cannot rename a non-active experiment.")
    try:
        change = ExperimentUpdate(name=_check_name(name))
        call.services.experiments.update(call.caller, found.row.name, change)
    except Conflict:
        raise exists(f"Experiment(name={name}) already exists.") from None


@calls.on("POST", "mlflow/experiments/delete", "experiments.delete")
def delete(call: Call) -> None:
    """Put an experiment and its runs into the trash."""
    found = find(call, call.text("experiment_id"))
    if found.row.deleted_at is not None:
        raise missing(f"No Experiment with id={found.row.id} exists")
    call.services.experiments.delete(call.caller, found.row.name)


@calls.on("POST", "mlflow/experiments/restore", "experiments.restore")
def restore(call: Call) -> None:
    """Bring an experiment and its runs back."""
    found = find(call, call.text("experiment_id"))
    if found.row.deleted_at is None:
        raise missing(f"No Experiment with id={found.row.id} exists")
    call.services.experiments.restore(call.caller, found.row.name)


def _check_tag(key: str, value: str) -> None:
    check_key(key, "key")
    if len(value) > MAX_EXPERIMENT_TAG:
        raise invalid(f"'value' exceeds the maximum length of {MAX_EXPERIMENT_TAG} characters")


@calls.on("POST", "mlflow/experiments/set-experiment-tag", "experiments.update")
def set_tag(call: Call) -> None:
    """Tag an experiment."""
    found = active(find(call, call.text("experiment_id")))
    key, value = call.text("key"), call.maybe_text("value") or ""
    _check_tag(key, value)
    call.services.experiments.update(call.caller, found.row.name, ExperimentUpdate(tags={key: value}))


@calls.on("POST", "mlflow/experiments/delete-experiment-tag", "experiments.update")
def delete_tag(call: Call) -> None:
    """Remove a tag."""
    number = call.text("experiment_id")
    found = active(find(call, number))
    key = call.text("key")
    if key not in found.tags:
        raise missing(f"No tag with name: {key} in experiment with id {number}")
    call.services.experiments.update(call.caller, found.row.name, ExperimentUpdate(tags={key: None}))
