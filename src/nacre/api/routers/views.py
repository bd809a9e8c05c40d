"""Routes of saved views."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.views import View, ViewSet

routes = Routes()


@routes.operation("views.set")
def set_view(project: str, view: str, body: ViewSet, caller: Allowed, services: Wired) -> View:
    """Keep a view of a page, or replace one's own of that name."""
    return services.views.set(caller, view, body)


@routes.operation("views.list")
def list_views(
    project: str,
    caller: Allowed,
    services: Wired,
    page: Annotated[str | None, Query(description="such as runs; all without")] = None,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[View]:
    """One's own views and the shared ones, the newest first."""
    return services.views.list(caller, page=page, cursor=cursor, limit=limit)


@routes.operation("views.delete", status=204)
def delete(
    project: str,
    view: str,
    caller: Allowed,
    services: Wired,
    user: Annotated[str | None, Query(description="whose; one's own without")] = None,
) -> None:
    """Delete a view; owners may delete others' shared ones."""
    services.views.delete(caller, view, user=user)
