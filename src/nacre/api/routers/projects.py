"""Routes of projects."""

from __future__ import annotations

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.projects import Project, ProjectCreate, ProjectUpdate

routes = Routes()


@routes.operation("projects.create", status=201)
def create(body: ProjectCreate, caller: Allowed, services: Wired) -> Project:
    """A new project that the caller owns."""
    return services.projects.create(caller, body)


@routes.operation("projects.list")
def list_projects(
    caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100
) -> Page[Project]:
    """The caller's projects, newest first."""
    return services.projects.list(caller, cursor=cursor, limit=limit)


@routes.operation("projects.get")
def get(project: str, caller: Allowed, services: Wired) -> Project:
    """A project and the caller's role in it."""
    return services.projects.get(caller)


@routes.operation("projects.update")
def update(project: str, body: ProjectUpdate, caller: Allowed, services: Wired) -> Project:
    """Change what is not null."""
    return services.projects.update(caller, body)


@routes.operation("projects.delete", status=204)
def delete(project: str, caller: Allowed, services: Wired) -> None:
    """Delete a project with nothing in it."""
    services.projects.delete(caller)
