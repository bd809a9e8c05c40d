"""What the calls of MLflow's registry share: models and versions as its JSON, and how they are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from nacre.api.compat.mlflow.calls import Call
from nacre.api.compat.mlflow.errors import invalid, missing
from nacre.api.compat.mlflow.logged_models import offset_of
from nacre.api.compat.mlflow.wire import pairs
from nacre.clock import epoch_ms
from nacre.errors import NotFound
from nacre.schema.models import Model, ModelUpdate, ModelVersion, VersionUpdate, check_model_name

C = TypeVar("C", ModelUpdate, VersionUpdate)

STAGES = {stage.lower(): stage for stage in ("None", "Staging", "Production", "Archived")}


def model_json(call: Call, model: Model) -> dict[str, Any]:
    """A registered model as JSON of MLflow's protocol buffers, with the latest version of each stage."""
    return {
        "name": model.name,
        "creation_timestamp": epoch_ms(model.created_at),
        "last_updated_timestamp": epoch_ms(model.updated_at or model.created_at),
        "description": model.description,
        "latest_versions": [version_json(v) for v in latest_of(call, model)],
        "tags": pairs(model.tags.items()),
        "aliases": [{"alias": alias, "version": str(n)} for alias, n in model.aliases.items()],
    }


def version_json(version: ModelVersion) -> dict[str, Any]:
    """A version as JSON of MLflow's protocol buffers. Its files are there from the start."""
    lineage = version.lineage
    found = {
        "name": version.model,
        "version": str(version.number),
        "creation_timestamp": epoch_ms(version.created_at),
        "last_updated_timestamp": epoch_ms(version.updated_at or version.created_at),
        "user_id": version.user or "",
        "current_stage": version.stage,
        "description": version.description,
        "source": version.source or f"runs:/{lineage.run}/{lineage.path}",
        "run_id": lineage.run or "",
        "run_link": version.run_link,
        "status": "READY",
        "tags": pairs(version.tags.items()),
        "aliases": version.aliases,
    }
    if lineage.logged_model is not None:
        found["model_id"] = lineage.logged_model
    return found


def latest_of(call: Call, model: Model) -> list[ModelVersion]:
    """The newest version of each stage, by stage; mostly there is one, of no stage."""
    if model.latest is None:
        return []
    if len(model.versions) == 1 or not call.services.models.catalogue.has_stages(call.caller, model.name):
        return [model.latest]
    newest: dict[str, ModelVersion] = {}
    for number in reversed(model.versions):
        version = call.services.models.get_version(call.caller, model.name, str(number))
        newest.setdefault(version.stage, version)
    return [newest[stage] for stage in STAGES.values() if stage in newest]


def name_of(call: Call, key: str = "name") -> str:
    """The name of a model that the call gives.

    Raises:
        MlflowError: there is none, or no model can have it.
    """
    name = call.maybe_text(key)
    if not name or not name.strip():
        raise invalid(f"Missing value for required parameter '{key}'.")
    try:
        return check_model_name(name)
    except ValueError as error:
        raise invalid(str(error)) from None


def find_model(call: Call, name: str) -> Model:
    """The model of a name.

    Raises:
        MlflowError: there is none.
    """
    try:
        return call.services.models.get(call.caller, name)
    except NotFound:
        raise missing(f"Registered Model with name={name} not found") from None


def find_version(call: Call, name: str) -> ModelVersion:
    """The version that the call names.

    Raises:
        MlflowError: there is none.
    """
    text = call.text("version")
    if not (text.isascii() and text.isdecimal()):
        raise invalid(f"Parameter 'version' must be an integer, got '{text[:80]}'.")
    find_model(call, name)
    try:
        return call.services.models.get_version(call.caller, name, text)
    except NotFound:
        raise missing(f"Model Version (name={name}, version={text}) not found") from None


def page_of(call: Call, most: int) -> tuple[int, int]:
    """Length and offset of the page that is asked for."""
    limit = call.maybe_integer("max_results")
    limit = 100 if limit is None else limit
    if limit < 1:
        raise invalid(f"Invalid value for max_results. It must be a positive integer, but got {limit}")
    if limit > most:
        raise invalid(
            "Invalid value for request parameter max_results. It must be at most "
            f"{most}, but got value {limit}"
        )
    return limit, offset_of(call.maybe_text("page_token"))


def tagged(kind: type[C], tags: Mapping[str, str | None]) -> C:
    """A change of one tag."""
    key = next(iter(tags))
    if len(key) > 250:
        raise invalid("'key' exceeds the maximum length of 250 characters")
    return kind.model_validate({"tags": tags})


def stage_of(text: str) -> str:
    """The stage of a name, in whatever case."""
    stage = STAGES.get(text.lower())
    if stage is None:
        known = ", ".join(STAGES.values())
        raise invalid(f"Invalid Model Version stage: {text[:80]}. Value must be one of {known}.")
    return stage
