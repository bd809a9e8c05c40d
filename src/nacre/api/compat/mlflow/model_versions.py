"""MLflow's model versions, which are Nacre's."""

from __future__ import annotations

from typing import Any

from nacre.api.compat.mlflow.artifacts import version_uri
from nacre.api.compat.mlflow.calls import Call, Calls
from nacre.api.compat.mlflow.errors import invalid
from nacre.api.compat.mlflow.registry_wire import (
    find_model,
    find_version,
    name_of,
    page_of,
    stage_of,
    tagged,
    version_json,
)
from nacre.api.compat.mlflow.sources import find_source
from nacre.db.queries.model_search import VERSIONS
from nacre.domain.run_filter import parse_filter, parse_order
from nacre.schema.models import ModelVersion, VersionUpdate
from nacre.services.models import Said

calls = Calls()

_MOST = 10_000


@calls.on("POST", "mlflow/model-versions/create", "models.register")
def create_version(call: Call) -> dict[str, Any]:
    """The next version, from files of this project; its conversion to ONNX starts where there is one."""
    name, source = name_of(call), call.text("source")
    find_model(call, name)
    run, model = call.maybe_text("run_id"), call.maybe_text("model_id")
    if run:
        call.services.runs.get(call.caller, run)
    if model:
        call.services.logged_models.get(call.caller, model)
    request = find_source(
        call, source, tags=dict(call.pairs("tags")), description=call.maybe_text("description") or ""
    )
    said = Said(
        source=source,
        run_link=call.maybe_text("run_link") or "",
        run=run or None,
        logged_model=model or None,
    )
    version = call.services.models.register(call.caller, name, request, said)
    return {"model_version": version_json(version)}


@calls.on("GET", "mlflow/model-versions/get", "models.get_version")
def get_version(call: Call) -> dict[str, Any]:
    """By name and number."""
    return {"model_version": version_json(find_version(call, name_of(call)))}


@calls.on("PATCH", "mlflow/model-versions/update", "models.update_version")
def update_version(call: Call) -> dict[str, Any]:
    """A new description."""
    change = VersionUpdate(description=call.maybe_text("description") or "")
    return {"model_version": version_json(_change(call, change))}


def _change(call: Call, change: VersionUpdate) -> ModelVersion:
    found = find_version(call, name_of(call))
    return call.services.models.edits.update_version(call.caller, found.model, str(found.number), change)


@calls.on("DELETE", "mlflow/model-versions/delete", "models.delete_version")
def delete_version(call: Call) -> None:
    """Unless an endpoint serves it."""
    found = find_version(call, name_of(call))
    call.services.models.delete_version(call.caller, found.model, str(found.number))


@calls.on("GET", "mlflow/model-versions/search", "models.list")
@calls.on("POST", "mlflow/model-versions/search", "models.list")
def search_versions(call: Call) -> dict[str, Any]:
    """A page of versions."""
    limit, offset = page_of(call, _MOST)
    found, following = call.services.models.catalogue.search_versions(
        call.caller,
        filter_=parse_filter(call.maybe_text("filter"), VERSIONS),
        order=parse_order(call.texts("order_by"), VERSIONS),
        limit=limit,
        offset=offset,
    )
    answer: dict[str, Any] = {"model_versions": [version_json(version) for version in found]}
    if following is not None:
        answer["next_page_token"] = str(following)
    return answer


@calls.on("GET", "mlflow/model-versions/get-download-uri", "models.files")
def download_uri(call: Call) -> dict[str, Any]:
    """Where its files are: they stay when the run that they came from goes."""
    found = find_version(call, name_of(call))
    return {
        "artifact_uri": version_uri(
            found.id, call.services.models.catalogue.files_of(call.caller, found.id)
        )
    }


@calls.on("POST", "mlflow/model-versions/transition-stage", "models.update_version")
def transition(call: Call) -> dict[str, Any]:
    """A stage, as older clients set it; ``archive_existing_versions`` archives those that have it."""
    found = find_version(call, name_of(call))
    stage = stage_of(call.text("stage"))
    archive = call.body.get("archive_existing_versions") in (True, "true")
    if archive and stage not in ("Staging", "Production"):
        raise invalid(
            f"Model version transition cannot archive existing model versions of the stage {stage}."
        )
    changed = _change(call, VersionUpdate.model_validate({"stage": stage}))
    others = find_model(call, found.model).versions if archive else []
    for number in others:
        other = call.services.models.get_version(call.caller, found.model, str(number))
        if number != found.number and other.stage == stage:
            call.services.models.edits.update_version(
                call.caller, found.model, str(number), VersionUpdate(stage="Archived")
            )
    return {"model_version": version_json(changed)}


@calls.on("POST", "mlflow/model-versions/set-tag", "models.update_version")
def set_version_tag(call: Call) -> None:
    """One tag."""
    _change(call, tagged(VersionUpdate, {call.text("key"): call.maybe_text("value") or ""}))


@calls.on("DELETE", "mlflow/model-versions/delete-tag", "models.update_version")
def delete_version_tag(call: Call) -> None:
    """One tag; nothing when there is none."""
    _change(call, tagged(VersionUpdate, {call.text("key"): None}))
