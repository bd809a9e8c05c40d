"""Routes of experiments."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.experiments import Experiment, ExperimentCreate, ExperimentUpdate

routes = Routes()


@routes.operation("experiments.create", status=201)
def create(project: str, body: ExperimentCreate, caller: Allowed, services: Wired) -> Experiment:
    """Make an experiment."""
    return services.experiments.create(caller, body)


@routes.operation("experiments.list")
def list_experiments(
    project: str,
    caller: Allowed,
    services: Wired,
    cursor: Cursor = None,
    limit: Limit = 100,
    deleted: Annotated[bool, Query(description="those in the trash")] = False,
) -> Page[Experiment]:
    """Experiments, the newest first."""
    return services.experiments.list(caller, cursor=cursor, limit=limit, deleted=deleted)


@routes.operation("experiments.get")
def get(project: str, experiment: str, caller: Allowed, services: Wired) -> Experiment:
    """An experiment by name or id."""
    return services.experiments.get(caller, experiment)


@routes.operation("experiments.update")
def update(
    project: str, experiment: str, body: ExperimentUpdate, caller: Allowed, services: Wired
) -> Experiment:
    """Rename or tag an experiment."""
    return services.experiments.update(caller, experiment, body)


@routes.operation("experiments.delete", status=204)
def delete(project: str, experiment: str, caller: Allowed, services: Wired) -> None:
    """Put an experiment into the trash."""
    services.experiments.delete(caller, experiment)


@routes.operation("experiments.restore")
def restore(project: str, experiment: str, caller: Allowed, services: Wired) -> Experiment:
    """Bring an experiment back."""
    return services.experiments.restore(caller, experiment)
