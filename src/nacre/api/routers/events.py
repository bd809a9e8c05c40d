"""Routes of a project's events."""

from __future__ import annotations

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.projects import Event

routes = Routes()


@routes.operation("events.list")
def list_events(
    project: str, caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100
) -> Page[Event]:
    """What happened in a project, newest first."""
    return services.events.list(caller, cursor=cursor, limit=limit)
