"""Routes of instances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Query
from starlette.responses import StreamingResponse

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.api.waiting import Unless, WaitSeconds, changed
from nacre.schema.base import Page
from nacre.schema.instances import Instance, InstanceCreate, InstanceUrl
from nacre.services.registry import Services

routes = Routes()
_LOOK_AGAIN_S = 2.0


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

    def state(found: Instance) -> str:
        with_reason = unless is not None and ":" in unless
        return f"{found.state}:{found.reason or ''}" if with_reason else str(found.state)

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
    return StreamingResponse(
        _bytes(services, found.id, offset, follow=follow),
        media_type="text/plain; charset=utf-8",
        headers={"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"},
    )


async def _bytes(
    services: Services, instance_id: str, offset: int, *, follow: bool
) -> AsyncIterator[bytes]:
    with services.signals.listen_async(f"log:{instance_id}", f"instance:{instance_id}") as flag:
        while True:
            flag.clear()
            data, ended = await asyncio.to_thread(services.instances.read_log, instance_id, offset)
            if data:
                offset += len(data)
                yield data
                continue
            if ended or not follow:
                return
            try:
                await asyncio.wait_for(flag.wait(), _LOOK_AGAIN_S)
            except TimeoutError:
                continue


@routes.operation("instances.delete", status=204)
def delete(project: str, instance: str, caller: Allowed, services: Wired) -> None:
    """Delete it and its home, for good."""
    services.instances.delete(caller, instance)
