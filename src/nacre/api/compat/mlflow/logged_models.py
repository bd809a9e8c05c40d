"""MLflow's logged models."""

from __future__ import annotations

from typing import Any

from nacre.api.compat.mlflow.artifacts import experiment_word, infos, model_uri
from nacre.api.compat.mlflow.calls import Call, Calls, wrong_type
from nacre.api.compat.mlflow.errors import invalid
from nacre.api.compat.mlflow.experiments import active, find
from nacre.api.compat.mlflow.wire import metric_value, pairs
from nacre.clock import epoch_ms
from nacre.db.queries.logged_models import GRAMMAR, Dataset
from nacre.domain.run_filter import Order, parse_filter, parse_order
from nacre.schema.logged_models import LoggedModel, LoggedModelState

calls = Calls()

_MODEL = "mlflow/logged-models/{model_id}"
_MOST = 1000
_STATES = {
    "LOGGED_MODEL_PENDING": LoggedModelState.PENDING,
    "LOGGED_MODEL_READY": LoggedModelState.READY,
    "LOGGED_MODEL_UPLOAD_FAILED": LoggedModelState.FAILED,
    1: LoggedModelState.PENDING,
    2: LoggedModelState.READY,
    3: LoggedModelState.FAILED,
}
_WORDS = {state: word for word, state in _STATES.items() if isinstance(word, str)}


def model_json(model: LoggedModel) -> dict[str, Any]:
    """A logged model as JSON of MLflow's protocol buffers."""
    number = experiment_word(model.experiment_id, model.experiment)
    info = {
        "model_id": model.id,
        "experiment_id": number,
        "name": model.name,
        "creation_timestamp_ms": epoch_ms(model.created_at),
        "last_updated_timestamp_ms": epoch_ms(model.updated_at),
        "artifact_uri": model_uri(number, model.id),
        "status": _WORDS[model.state],
        "model_type": model.kind,
        "status_message": model.message,
        "tags": pairs(model.tags.items()),
    }
    if model.run is not None:
        info["source_run_id"] = model.run
    metrics = []
    for metric in model.metrics:
        shown = {
            "key": metric.key,
            "value": metric_value(metric.value),
            "timestamp": metric.time_ms,
            "step": metric.step,
            "model_id": metric.model,
            "run_id": metric.run,
        }
        if metric.dataset_name:
            shown |= {"dataset_name": metric.dataset_name, "dataset_digest": metric.dataset_digest}
        metrics.append(shown)
    return {"info": info, "data": {"params": pairs(model.params.items()), "metrics": metrics}}


@calls.on("POST", "mlflow/logged-models", "runs.log")
def create(call: Call) -> dict[str, Any]:
    """A pending model, whose files come next."""
    made = call.services.logged_models.create(
        call.caller,
        experiment=active(find(call, call.text("experiment_id"))).row.id,
        name=call.maybe_text("name") or None,
        kind=call.maybe_text("model_type") or "",
        run=call.maybe_text("source_run_id") or None,
        params=dict(call.pairs("params")),
        tags=dict(call.pairs("tags")),
    )
    return {"model": model_json(made)}


@calls.on("POST", "mlflow/logged-models/search", "runs.list")
def search(call: Call) -> dict[str, Any]:
    """A page of the logged models of experiments."""
    limit = call.maybe_integer("max_results") or 100
    if not 0 < limit <= _MOST:
        raise invalid(f"Invalid value {limit} for parameter 'max_results': it is from 1 to {_MOST}")
    numbers = [find(call, number).row.id for number in call.texts("experiment_ids")]
    if not numbers:
        raise invalid("Missing value for required parameter 'experiment_ids'.")
    found, following = call.services.logged_models.search(
        call.caller,
        experiments=numbers,
        filter_=parse_filter(call.maybe_text("filter"), GRAMMAR),
        order=[_order(item) for item in call.items("order_by")],
        datasets=[_dataset(item) for item in call.items("datasets")],
        limit=limit,
        offset=offset_of(call.maybe_text("page_token")),
    )
    answer: dict[str, Any] = {"models": [model_json(model) for model in found]}
    if following is not None:
        answer["next_page_token"] = str(following)
    return answer


def offset_of(token: str | None) -> int:
    """Where a page begins that a token names.

    Raises:
        MlflowError: it is no token of ours.
    """
    if not token:
        return 0
    if not (token.isascii() and token.isdecimal() and len(token) < 10):
        raise invalid(f"Invalid page token {token[:80]!r}: use the one of the page before")
    return int(token)


def _order(item: Any) -> tuple[Order, Dataset | None]:
    if not isinstance(item, dict) or not isinstance(item.get("field_name"), str):
        raise wrong_type("order_by", item)
    direction = "ASC" if item.get("ascending", True) else "DESC"
    [term] = parse_order([f"{item['field_name']} {direction}"], GRAMMAR)
    return term, _dataset(item) if item.get("dataset_name") else None


def _dataset(item: Any) -> Dataset:
    if not isinstance(item, dict) or not isinstance(item.get("dataset_name"), str):
        raise wrong_type("datasets", item)
    return item["dataset_name"], item.get("dataset_digest") or None


@calls.on("GET", _MODEL, "runs.get")
def get(call: Call) -> dict[str, Any]:
    """One model."""
    return {"model": model_json(call.services.logged_models.get(call.caller, call.path["model_id"]))}


@calls.on("PATCH", _MODEL, "runs.log")
def finish(call: Call) -> dict[str, Any]:
    """Its files are there, or will not come."""
    status = call.body.get("status")
    state = _STATES.get(status) if isinstance(status, str | int) else None
    if state is None:
        raise invalid(f"Invalid value {status!r} for parameter 'status' supplied")
    model = call.services.logged_models.finish(call.caller, call.path["model_id"], state)
    return {"model": model_json(model)}


@calls.on("DELETE", _MODEL, "runs.log")
def delete(call: Call) -> None:
    """Into the trash."""
    call.services.logged_models.delete(call.caller, call.path["model_id"])


@calls.on("PATCH", _MODEL + "/tags", "runs.log")
def set_tags(call: Call) -> dict[str, Any]:
    """Others stay."""
    tags = dict(call.pairs("tags"))
    return {
        "model": model_json(call.services.logged_models.set_tags(call.caller, call.path["model_id"], tags))
    }


@calls.on("DELETE", _MODEL + "/tags/{key:path}", "runs.log")
def delete_tag(call: Call) -> None:
    """One tag."""
    call.services.logged_models.delete_tag(call.caller, call.path["model_id"], call.path["key"])


@calls.on("POST", _MODEL + "/params", "runs.log")
def log_params(call: Call) -> None:
    """Those that did not fit into the call that made the model."""
    params = dict(call.pairs("params"))
    call.services.logged_models.log_params(call.caller, call.path["model_id"], params)


@calls.on("GET", _MODEL + "/artifacts/directories", "runs.artifacts")
def list_files(call: Call) -> dict[str, Any]:
    """What lies in a folder of the model, with paths from its root."""
    model = call.services.logged_models.get(call.caller, call.path["model_id"])
    folder = call.maybe_text("artifact_directory_path") or ""
    found = call.services.artifacts.list(call.caller, model.id, folder)
    root = model_uri(experiment_word(model.experiment_id, model.experiment), model.id)
    return {"root_uri": root, "files": infos(found, whole=True)}
