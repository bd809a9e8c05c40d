"""Routes of instances."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Query
from starlette.responses import StreamingResponse

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.api.waiting import Unless, WaitSeconds, changed, log_response, state_as
from nacre.schema.base import Page
from nacre.schema.instances import Instance, InstanceCreate, InstanceUrl

routes = Routes()


@routes.operation("instances.create", status=201)
def create(project: str, body: InstanceCreate, caller: Allowed, services: Wired) -> Instance:
    """A new instance; it starts at once unless ``start`` is false."""
    return services.instances.create(caller, body)


@routes.operation("instances.list")
def list_instances(
    *, project: str, caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100
) -> Page[Instance]:
    """The project's instances, newest first."""
    return services.instances.list(caller, cursor=cursor, limit=limit)


@routes.operation("instances.get")
async def get(
    *,
    project: str,
    instance: str,
    caller: Allowed,
    services: Wired,
    wait_s: WaitSeconds = 0,
    unless: Unless = None,
) -> Instance:
    """An instance by name or id. ``unless``: a state, or ``state:reason`` as ``queued:no_capacity``."""
    first = await asyncio.to_thread(services.instances.get, caller, instance)
    state = state_as(unless)
    if wait_s <= 0 or unless is None or state(first) != unless:
        return first
    return await changed(
        services.signals,
        (f"instance:{first.id}",),
        lambda: services.instances.get(caller, first.id),
        state,
        unless,
        wait_s,
    )


@routes.operation("instances.start")
def start(project: str, instance: str, caller: Allowed, services: Wired) -> Instance:
    """Start it, at today's price; nothing when it is starting or running."""
    return services.instances.start(caller, instance)


@routes.operation("instances.stop")
def stop(project: str, instance: str, caller: Allowed, services: Wired) -> Instance:
    """Stop it; its home stays."""
    return services.instances.stop(caller, instance)


@routes.operation("instances.open")
def open_instance(project: str, instance: str, caller: Allowed, services: Wired) -> InstanceUrl:
    """A URL whose ticket signs one browser in, once, within a minute."""
    return services.instances.open(caller, instance)


@routes.operation("instances.logs", response_class=StreamingResponse, response_model=None)
async def logs(
    *,
    project: str,
    instance: str,
    caller: Allowed,
    services: Wired,
    offset: Annotated[int, Query(ge=0, description="bytes to leave out")] = 0,
    follow: Annotated[bool, Query(description="go on until the instance has ended")] = False,
) -> StreamingResponse:
    """The log's bytes of its latest start."""
    found = await asyncio.to_thread(services.instances.get, caller, instance)
    return log_response(
        services.signals,
        (f"log:{found.id}", f"instance:{found.id}"),
        lambda at: services.instances.read_log(found.id, at),
        offset=offset,
        follow=follow,
    )


@routes.operation("instances.delete", status=204)
def delete(project: str, instance: str, caller: Allowed, services: Wired) -> None:
    """Delete it and its home, for good."""
    services.instances.delete(caller, instance)
