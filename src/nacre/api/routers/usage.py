"""Usage and cost."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query

from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.usage import Cost, Forecast, RequestUsage, UsageRecord
from nacre.services.usage import UsageLedger

routes = Routes()


def _usage(wired: Wired) -> UsageLedger:
    return wired.usage


Found = Annotated[UsageLedger, Depends(_usage)]
When = Annotated[datetime | None, Query(description="RFC 3339; UTC when it names no zone")]
Only = Annotated[str | None, Query(description="only this project, by name or id")]


def _aware(when: datetime | None) -> datetime | None:
    return when.replace(tzinfo=UTC) if when is not None and when.tzinfo is None else when


@routes.operation("usage.list")
def list_usage(
    caller: Allowed,
    usage: Found,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    since: When = None,
) -> Page[UsageRecord]:
    return usage.list(caller, cursor=cursor, limit=limit, since=_aware(since))


@routes.operation("usage.cost")
def cost(
    caller: Allowed,
    usage: Found,
    by: Annotated[str, Query(description="any of project,user,kind,day,subject; commas between")] = "",
    since: When = None,
    until: When = None,
    project: Only = None,
    top: Annotated[int | None, Query(ge=1, le=1000, description="so many lines, the dearest first")] = None,
) -> Cost:
    keys = [key.strip() for key in by.split(",") if key.strip()]
    return usage.cost(caller, by=keys, since=_aware(since), until=_aware(until), project=project, top=top)


@routes.operation("usage.requests")
def requests(caller: Allowed, services: Wired, since: When = None, until: When = None) -> RequestUsage:
    return services.endpoint_usage.requests(caller, since=_aware(since), until=_aware(until))


@routes.operation("usage.forecast")
def forecast(caller: Allowed, usage: Found, project: Only = None) -> Forecast:
    return usage.forecast(caller, project=project)
