"""Runs, experiments and metrics as JSON of MLflow's protocol buffers."""

from __future__ import annotations

import math
from typing import Any

from nacre.api.compat.mlflow.artifacts import run_uri
from nacre.api.compat.mlflow.errors import invalid
from nacre.clock import epoch_ms
from nacre.db.queries.run_conditions import RUN_NAME_TAG
from nacre.db.queries.run_details import Input, RunDetails
from nacre.db.queries.run_search import View
from nacre.schema.experiments import DEFAULT_EXPERIMENT
from nacre.schema.runs import RunState
from nacre.services.experiments import Found

DEFAULT_ID = "0"
"""What clients call the project's own experiment."""
DEFAULT_NAME = "Default"
_USER_TAG = "mlflow.user"
_LARGEST = 1.7976931348623157e308


def experiment_id(number: int, name: str) -> str:
    """The id of an experiment as clients know it."""
    return DEFAULT_ID if name == DEFAULT_EXPERIMENT else str(number)


def experiment_json(found: Found) -> dict[str, Any]:
    """An experiment."""
    row = found.row
    number = experiment_id(row.id, row.name)
    return {
        "experiment_id": number,
        "name": DEFAULT_NAME if number == DEFAULT_ID else row.name,
        "artifact_location": f"mlflow-artifacts:/{number}",
        "lifecycle_stage": "active" if row.deleted_at is None else "deleted",
        "creation_time": epoch_ms(row.created_at),
        "last_update_time": epoch_ms(row.updated_at or row.created_at),
        "tags": pairs(found.tags.items()),
    }


def pairs(texts: Any) -> list[dict[str, str]]:
    """Keys and values as a list of messages."""
    return [{"key": key, "value": value} for key, value in texts]


def metric_value(value: float | None) -> float | str:
    """A value as the protocol writes it: NaN as text, infinities as the largest numbers, as MLflow's do."""
    if value is None or math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return math.copysign(_LARGEST, value)
    return value


def info_json(run: RunDetails) -> dict[str, Any]:
    """What a run is, without what was logged to it."""
    number = experiment_id(run.experiment_id, run.experiment)
    user = next((value for key, value in run.tags if key == _USER_TAG), run.user)
    info = {
        "run_uuid": run.id,
        "run_id": run.id,
        "run_name": run.name,
        "experiment_id": number,
        "user_id": user,
        "status": run.state.upper(),
        "start_time": run.started_ms,
        "artifact_uri": run_uri(number, run.id),
        "lifecycle_stage": "deleted" if run.deleted else "active",
    }
    if run.ended_ms is not None:
        info["end_time"] = run.ended_ms
    return info


def run_json(run: RunDetails) -> dict[str, Any]:
    """A run with its last metrics, params, tags, inputs and outputs."""
    tags = [(key, value) for key, value in run.tags if key != RUN_NAME_TAG]
    made = [{"model_id": model, "step": step} for way, model, step in run.models if way == "output"]
    return {
        "info": info_json(run),
        "data": {
            "metrics": [
                {"key": key, "value": metric_value(value), "timestamp": ts, "step": step}
                for key, value, ts, step in run.metrics
            ],
            "params": pairs(run.params),
            "tags": pairs([*tags, (RUN_NAME_TAG, run.name)]),
        },
        "inputs": {
            "dataset_inputs": [_input_json(given) for given in run.inputs],
            "model_inputs": [{"model_id": model} for way, model, _ in run.models if way == "input"],
        },
        "outputs": {"model_outputs": made},
    }


def _input_json(given: Input) -> dict[str, Any]:
    dataset = {
        "name": given.name,
        "digest": given.digest,
        "source_type": given.source_type,
        "source": given.source,
    }
    if given.schema is not None:
        dataset["schema"] = given.schema
    if given.profile is not None:
        dataset["profile"] = given.profile
    return {"tags": pairs(given.tags.items()), "dataset": dataset}


_STATES = {
    "RUNNING": RunState.RUNNING,
    "SCHEDULED": RunState.RUNNING,
    "FINISHED": RunState.FINISHED,
    "FAILED": RunState.FAILED,
    "KILLED": RunState.KILLED,
    1: RunState.RUNNING,
    2: RunState.RUNNING,
    3: RunState.FINISHED,
    4: RunState.FAILED,
    5: RunState.KILLED,
}


def state_of(status: Any) -> RunState | None:
    """The state that a status means, by its name or number; null for one that there is not."""
    return _STATES.get(status) if isinstance(status, str | int) else None


_VIEWS: dict[str, View] = {
    "ACTIVE_ONLY": "active",
    "1": "active",
    "DELETED_ONLY": "deleted",
    "2": "deleted",
    "ALL": "all",
    "3": "all",
}


def view_of(asked: Any) -> View:
    """The view of a name or number; the active things when none is asked for."""
    if asked is None:
        return "active"
    view = _VIEWS.get(str(asked))
    if view is None:
        raise invalid(f"Invalid value {asked!r} for parameter 'view_type' supplied: there is no such view")
    return view
