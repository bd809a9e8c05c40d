"""Routes of models and evaluations."""

from __future__ import annotations

from fastapi import Response
from starlette.responses import StreamingResponse

from nacre.api.downloads import file_headers
from nacre.api.routes import Allowed, Limit, Routes, Wired
from nacre.api.waiting import Unless, WaitSeconds, changed
from nacre.schema.base import Page
from nacre.schema.models import (
    AliasSet,
    Evaluation,
    EvaluationCreate,
    ExportLayout,
    Model,
    ModelCreate,
    ModelFiles,
    ModelRegister,
    ModelUpdate,
    ModelVersion,
    VersionUpdate,
)

routes = Routes()


@routes.operation("models.register", status=201)
def register(caller: Allowed, services: Wired, model: str, body: ModelRegister) -> ModelVersion:
    """The next version, and its conversion."""
    return services.models.register(caller, model, body)


@routes.operation("models.create", status=201)
def create(caller: Allowed, services: Wired, body: ModelCreate) -> Model:
    """Without versions; registering one makes its model too."""
    return services.models.edits.create(caller, body)


@routes.operation("models.update")
def update(caller: Allowed, services: Wired, model: str, body: ModelUpdate) -> Model:
    """What is not said stays as it is."""
    return services.models.edits.update(caller, model, body)


@routes.operation("models.update_version")
def update_version(
    caller: Allowed, services: Wired, model: str, version: str, body: VersionUpdate
) -> ModelVersion:
    """What is not said stays as it is."""
    return services.models.edits.update_version(caller, model, version, body)


@routes.operation("models.list")
def list_models(
    caller: Allowed, services: Wired, cursor: str | None = None, limit: int = 100
) -> Page[Model]:
    """Newest first."""
    return services.models.list(caller, cursor=cursor, limit=limit)


@routes.operation("models.get")
def get(caller: Allowed, services: Wired, model: str) -> Model:
    """With its versions' numbers, its aliases and its latest version."""
    return services.models.get(caller, model)


@routes.operation("models.list_versions")
def list_versions(
    caller: Allowed, services: Wired, model: str, cursor: str | None = None, limit: Limit = 100
) -> Page[ModelVersion]:
    """Each with its aliases and its evaluations."""
    return services.models.catalogue.versions(caller, model, cursor=cursor, limit=limit)


@routes.operation("models.get_version")
async def get_version(
    caller: Allowed,
    services: Wired,
    model: str,
    version: str,
    wait_s: WaitSeconds = 0,
    unless: Unless = None,
) -> ModelVersion:
    """``unless`` is a state of its conversion."""
    return await changed(
        services.signals,
        ("models", "jobs"),
        lambda: services.models.get_version(caller, model, version),
        lambda found: found.conversion,
        unless,
        wait_s,
    )


@routes.operation("models.files")
def files(caller: Allowed, services: Wired, model: str, version: str) -> ModelFiles:
    """The files as they were registered, and the ONNX form."""
    return services.models.files(caller, model, version)


@routes.operation("models.archive", response_class=Response)
def archive(caller: Allowed, services: Wired, model: str, version: str) -> Response:
    """One folder, named as the file is; the ONNX form is in a folder ``onnx`` in it."""
    name, pieces = services.models.archive(caller, model, version)
    headers = file_headers(name) | {"Content-Type": "application/zip", "Cache-Control": "no-store"}
    return StreamingResponse(pieces, headers=headers)


@routes.operation("models.export", response_class=Response)
def export(
    caller: Allowed, services: Wired, model: str, version: str, layout: ExportLayout = "triton"
) -> Response:
    """``<model>/<version>/…`` with what tells the server of it: ``config.pbtxt``, or ``MLmodel``."""
    name, pieces = services.model_exports.export(caller, model, version, layout)
    headers = file_headers(name) | {"Content-Type": "application/zip", "Cache-Control": "no-store"}
    return StreamingResponse(pieces, headers=headers)


@routes.operation("models.convert", status=202)
def convert(caller: Allowed, services: Wired, model: str, version: str) -> ModelVersion:
    """Once more, after it failed."""
    return services.models.convert(caller, model, version)


@routes.operation("models.set_alias")
def set_alias(caller: Allowed, services: Wired, model: str, alias: str, body: AliasSet) -> Model:
    """From wherever it pointed."""
    return services.models.set_alias(caller, model, alias, body)


@routes.operation("models.delete_alias", status=204)
def delete_alias(caller: Allowed, services: Wired, model: str, alias: str) -> None:
    """The version stays."""
    services.models.delete_alias(caller, model, alias)


@routes.operation("models.delete_version", status=204)
def delete_version(caller: Allowed, services: Wired, model: str, version: str) -> None:
    """With its evaluations."""
    services.models.delete_version(caller, model, version)


@routes.operation("models.delete", status=204)
def delete(caller: Allowed, services: Wired, model: str) -> None:
    """With every version."""
    services.models.delete(caller, model)


@routes.operation("evaluations.create", status=201)
def create_evaluation(
    caller: Allowed, services: Wired, model: str, version: str, body: EvaluationCreate
) -> Evaluation:
    """Runs as a job."""
    return services.evaluations.create(caller, model, version, body)


@routes.operation("evaluations.list")
def list_evaluations(
    caller: Allowed, services: Wired, model: str, version: str, cursor: str | None = None, limit: int = 100
) -> Page[Evaluation]:
    """Newest first."""
    return services.evaluations.list(caller, model, version, cursor=cursor, limit=limit)


@routes.operation("evaluations.get")
async def get_evaluation(
    caller: Allowed, services: Wired, evaluation: str, wait_s: WaitSeconds = 0, unless: Unless = None
) -> Evaluation:
    """One evaluation."""
    return await changed(
        services.signals,
        (f"evaluation:{evaluation}",),
        lambda: services.evaluations.get(caller, evaluation),
        lambda found: found.state,
        unless,
        wait_s,
    )
