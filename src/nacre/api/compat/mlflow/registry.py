"""MLflow's registered models and their aliases, which are Nacre's models."""

from __future__ import annotations

from typing import Any

from nacre.api.compat.mlflow.calls import Call, Calls
from nacre.api.compat.mlflow.errors import exists, invalid, missing
from nacre.api.compat.mlflow.registry_wire import (
    STAGES,
    find_model,
    find_version,
    latest_of,
    model_json,
    name_of,
    page_of,
    stage_of,
    tagged,
    version_json,
)
from nacre.db.queries.model_search import MODELS
from nacre.domain.run_filter import parse_filter, parse_order
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.models import AliasSet, ModelCreate, ModelUpdate, check_alias_name

calls = Calls()

_MOST = 1000


@calls.on("POST", "mlflow/registered-models/create", "models.create")
def create_model(call: Call) -> dict[str, Any]:
    """A model without versions."""
    name = name_of(call)
    description, tags = call.maybe_text("description") or "", dict(call.pairs("tags"))
    try:
        made = call.services.models.edits.create(
            call.caller, ModelCreate(name=name, description=description, tags=tags)
        )
    except Conflict:
        raise exists(f"Registered Model (name={name}) already exists.") from None
    return {"registered_model": model_json(call, made)}


@calls.on("GET", "mlflow/registered-models/get", "models.get")
def get_model(call: Call) -> dict[str, Any]:
    """By name."""
    return {"registered_model": model_json(call, find_model(call, name_of(call)))}


@calls.on("PATCH", "mlflow/registered-models/update", "models.update")
def update_model(call: Call) -> dict[str, Any]:
    """A new description."""
    change = ModelUpdate(description=call.maybe_text("description") or "")
    name = find_model(call, name_of(call)).name
    return {
        "registered_model": model_json(call, call.services.models.edits.update(call.caller, name, change))
    }


@calls.on("POST", "mlflow/registered-models/rename", "models.update")
def rename_model(call: Call) -> dict[str, Any]:
    """A new name; versions and aliases stay."""
    name, wanted = find_model(call, name_of(call)).name, name_of(call, "new_name")
    try:
        model = call.services.models.edits.update(call.caller, name, ModelUpdate(name=wanted))
    except Conflict:
        raise exists(f"Registered Model (name={wanted}) already exists.") from None
    return {"registered_model": model_json(call, model)}


@calls.on("DELETE", "mlflow/registered-models/delete", "models.delete")
def delete_model(call: Call) -> None:
    """With its versions, unless an endpoint serves one."""
    call.services.models.delete(call.caller, find_model(call, name_of(call)).name)


@calls.on("GET", "mlflow/registered-models/search", "models.list")
@calls.on("POST", "mlflow/registered-models/search", "models.list")
def search_models(call: Call) -> dict[str, Any]:
    """A page of models."""
    limit, offset = page_of(call, _MOST)
    found, following = call.services.models.catalogue.search(
        call.caller,
        filter_=parse_filter(call.maybe_text("filter"), MODELS),
        order=parse_order(call.texts("order_by"), MODELS),
        limit=limit,
        offset=offset,
    )
    answer: dict[str, Any] = {"registered_models": [model_json(call, model) for model in found]}
    if following is not None:
        answer["next_page_token"] = str(following)
    return answer


@calls.on("GET", "mlflow/registered-models/get-latest-versions", "models.get")
@calls.on("POST", "mlflow/registered-models/get-latest-versions", "models.get")
def latest_versions(call: Call) -> dict[str, Any]:
    """The newest version of each stage."""
    wanted = {stage_of(stage) for stage in call.texts("stages")} or set(STAGES.values())
    found = latest_of(call, find_model(call, name_of(call)))
    return {"model_versions": [version_json(v) for v in found if v.stage in wanted]}


@calls.on("POST", "mlflow/registered-models/set-tag", "models.update")
def set_model_tag(call: Call) -> None:
    """One tag."""
    tags = {call.text("key"): call.maybe_text("value") or ""}
    call.services.models.edits.update(
        call.caller, find_model(call, name_of(call)).name, tagged(ModelUpdate, tags)
    )


@calls.on("DELETE", "mlflow/registered-models/delete-tag", "models.update")
def delete_model_tag(call: Call) -> None:
    """One tag; nothing when there is none."""
    tags = {call.text("key"): None}
    call.services.models.edits.update(
        call.caller, find_model(call, name_of(call)).name, tagged(ModelUpdate, tags)
    )


@calls.on("POST", "mlflow/registered-models/alias", "models.set_alias")
def set_alias(call: Call) -> None:
    """From wherever it pointed."""
    name, alias = name_of(call), call.text("alias")
    version = find_version(call, name)
    try:
        call.services.models.set_alias(call.caller, name, alias, AliasSet(version=version.number))
    except InvalidSpec as error:
        raise invalid(f"Invalid alias name: '{alias[:260]}'. {error.detail}") from None


@calls.on("DELETE", "mlflow/registered-models/alias", "models.delete_alias")
def delete_alias(call: Call) -> None:
    """The version stays; nothing when there is no such alias."""
    name, alias = find_model(call, name_of(call)).name, call.text("alias")
    try:
        call.services.models.delete_alias(call.caller, name, alias)
    except NotFound:
        return


@calls.on("GET", "mlflow/registered-models/alias", "models.get_version")
def by_alias(call: Call) -> dict[str, Any]:
    """The version that an alias points at; ``latest`` is the newest."""
    name, alias = name_of(call), call.text("alias")
    model = find_model(call, name)
    if alias.lower() == "latest":
        if model.latest is None:
            raise missing(f"Latest version not found for model {name}.")
        return {"model_version": version_json(model.latest)}
    try:
        number = model.aliases[check_alias_name(alias)]
    except (KeyError, ValueError):
        raise invalid(f"Registered model alias {alias[:260]} not found.") from None
    return {"model_version": version_json(call.services.models.get_version(call.caller, name, str(number)))}
