"""Routes of jobs."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Query
from starlette.responses import StreamingResponse

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.api.waiting import Unless, WaitSeconds, changed, log_response, state_as
from nacre.schema.base import Page
from nacre.schema.jobs import Job, JobPlan, JobSpec, JobStop

routes = Routes()


@routes.operation("jobs.plan")
def plan(project: str, body: JobSpec, caller: Allowed, services: Wired) -> JobPlan:
    """What a submission would do and cost; nothing is stored."""
    return services.jobs.plan(caller, body)


@routes.operation("jobs.submit", status=201)
def submit(project: str, body: JobSpec, caller: Allowed, services: Wired) -> Job:
    """Freeze what the job needs and queue it."""
    return services.jobs.submit(caller, body)


@routes.operation("jobs.list")
def list_jobs(
    *,
    project: str,
    caller: Allowed,
    services: Wired,
    cursor: Cursor = None,
    limit: Limit = 100,
    active: Annotated[bool, Query(description="only those that have not ended")] = False,
) -> Page[Job]:
    """The project's jobs, newest first."""
    return services.jobs.list(caller, cursor=cursor, limit=limit, active=active)


@routes.operation("jobs.get")
async def get(
    *,
    project: str,
    job: str,
    caller: Allowed,
    services: Wired,
    wait_s: WaitSeconds = 0,
    unless: Unless = None,
) -> Job:
    """A job by name, id or run. ``unless``: a state, or ``state:reason`` as ``queued:no_capacity``."""
    first = await asyncio.to_thread(services.jobs.get, caller, job)
    state = state_as(unless)
    if wait_s <= 0 or unless is None or state(first) != unless:
        return first
    return await changed(
        services.signals,
        (f"job:{first.id}",),
        lambda: services.jobs.get(caller, first.id),
        state,
        unless,
        wait_s,
    )


@routes.operation("jobs.logs", response_class=StreamingResponse, response_model=None)
async def logs(
    *,
    project: str,
    job: str,
    caller: Allowed,
    services: Wired,
    offset: Annotated[int, Query(ge=0, description="bytes to leave out")] = 0,
    tail: Annotated[int | None, Query(ge=0, le=1_000_000, description="only the last lines")] = None,
    follow: Annotated[bool, Query(description="go on until the job has ended")] = False,
    replica: Annotated[int, Query(ge=0, description="whose log, by rank")] = 0,
) -> StreamingResponse:
    """The log's bytes, as the command wrote them; attempts are separated by a line."""
    found = await asyncio.to_thread(services.jobs.get, caller, job)
    if tail is not None:
        first = await asyncio.to_thread(services.jobs.logs.tail, found.id, tail, replica=replica)
        offset = max(offset, first)
    return log_response(
        services.signals,
        (f"log:{found.id}", f"job:{found.id}"),
        lambda at: services.jobs.logs.read(found.id, at, replica=replica),
        offset=offset,
        follow=follow,
    )


@routes.operation("jobs.stop")
def stop(project: str, job: str, caller: Allowed, services: Wired, body: JobStop | None = None) -> Job:
    """Ask a job to end."""
    return services.jobs.stop(caller, job, body)


@routes.operation("jobs.delete", status=204)
def delete(project: str, job: str, caller: Allowed, services: Wired) -> None:
    """Delete an ended job, its log and its run."""
    services.jobs.delete(caller, job)
