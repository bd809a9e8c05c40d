"""Routes of environments."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from fastapi.responses import StreamingResponse

from nacre.api.routes import Allowed, Routes, Wired
from nacre.api.waiting import log_response
from nacre.schema.base import Page
from nacre.schema.environments import Environment, EnvironmentCreate, EnvironmentUses

routes = Routes()


@routes.operation("environments.create", status=201)
def create(caller: Allowed, services: Wired, body: EnvironmentCreate) -> Environment:
    """It is resolved and built at once, in the background."""
    return services.environments.create(caller, body)


@routes.operation("environments.list")
def list_environments(
    caller: Allowed,
    services: Wired,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> Page[Environment]:
    """The project's own, newest first, then the catalogue; without the text of the locks."""
    return services.environments.list(caller, cursor=cursor, limit=limit)


@routes.operation("environments.get")
def get(caller: Allowed, services: Wired, environment: str) -> Environment:
    """By name or id."""
    return services.environments.get(caller, environment)


@routes.operation("environments.build", status=202)
def build(caller: Allowed, services: Wired, environment: str, upgrade: bool = False) -> Environment:
    """One that failed is tried again. ``upgrade`` resolves again, to newer versions."""
    return services.environments.build(caller, environment, upgrade=upgrade)


@routes.operation("environments.uses")
def uses(
    caller: Allowed,
    services: Wired,
    environment: str,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> EnvironmentUses:
    """Jobs and instances of the project in it, the latest first."""
    return services.environments.uses(caller, environment, limit)


@routes.operation("environments.logs", response_class=StreamingResponse)
def logs(
    caller: Allowed,
    services: Wired,
    environment: str,
    follow: bool = False,
    offset: Annotated[int, Query(ge=0)] = 0,
) -> StreamingResponse:
    """Plain text from the byte ``offset``; with ``follow`` until the environment is ready or failed."""
    found = services.environments.get(caller, environment)
    return log_response(
        services.signals,
        (f"environment:{found.id}",),
        lambda at: services.environments.read_log(found.id, at),
        offset=offset,
        follow=follow,
    )


@routes.operation("environments.delete", status=204)
def delete(caller: Allowed, services: Wired, environment: str) -> None:
    """Delete an environment of the project."""
    services.environments.delete(caller, environment)
