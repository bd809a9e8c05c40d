"""Routes of events: a project's, and the whole server's for administrators."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.projects import Event
from nacre.services.events import EventFilter

routes = Routes()

_VERB = "jobs.submit, or jobs for all of them"
_SUBJECT = "id of the thing, or the name that the event tells"


def _wanted(
    verb: Annotated[str | None, Query(max_length=64, description=_VERB)] = None,
    user: Annotated[str | None, Query(max_length=64, description="who did it")] = None,
    subject: Annotated[str | None, Query(max_length=128, description=_SUBJECT)] = None,
    before: Annotated[datetime | None, Query(description="RFC 3339; UTC when it names no zone")] = None,
) -> EventFilter:
    if before is not None and before.tzinfo is None:
        before = before.replace(tzinfo=UTC)
    return EventFilter(verb, user, subject, before)


Wanted = Annotated[EventFilter, Depends(_wanted)]


@routes.operation("events.list")
def list_events(
    project: str,
    caller: Allowed,
    services: Wired,
    wanted: Wanted,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> Page[Event]:
    """What happened in a project, newest first."""
    return services.events.list(caller, wanted, cursor=cursor, limit=limit)


@routes.operation("events.list_all")
def list_all_events(
    caller: Allowed,
    services: Wired,
    wanted: Wanted,
    cursor: Cursor = None,
    limit: Limit = 100,
    project: Annotated[str | None, Query(max_length=64, description="only this project's")] = None,
) -> Page[Event]:
    """What happened in every project and to the server itself, newest first."""
    return services.events.list_all(caller, wanted, project=project, cursor=cursor, limit=limit)
