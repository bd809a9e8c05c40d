"""Routes of endpoints. Inference itself is answered by the model server, on its own listener."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Query
from starlette.responses import StreamingResponse

from nacre.api.routes import Allowed, Limit, Routes, Wired
from nacre.api.waiting import Unless, WaitSeconds, changed, log_response
from nacre.errors import PluginError, RateLimited
from nacre.schema.base import Page
from nacre.schema.endpoints import (
    Endpoint,
    EndpointDeploy,
    EndpointReplica,
    EndpointStats,
    EndpointUpdate,
    Prediction,
    Question,
    RevisionChoice,
    TrafficSet,
)

routes = Routes()


@routes.operation("endpoints.deploy")
def deploy(caller: Allowed, services: Wired, endpoint: str, body: EndpointDeploy) -> Endpoint:
    """A new endpoint, or a new revision of one."""
    return services.endpoints.deploy(caller, endpoint, body)


@routes.operation("endpoints.update")
def update(caller: Allowed, services: Wired, endpoint: str, body: EndpointUpdate) -> Endpoint:
    """Only the fields that the request names change."""
    return services.endpoints.update(caller, endpoint, body)


@routes.operation("endpoints.set_traffic")
def set_traffic(caller: Allowed, services: Wired, endpoint: str, body: TrafficSet) -> Endpoint:
    """Revisions that do not run are started first; what answers goes on until they are ready."""
    return services.endpoints.set_traffic(caller, endpoint, body)


@routes.operation("endpoints.promote")
def promote(
    caller: Allowed, services: Wired, endpoint: str, body: RevisionChoice | None = None
) -> Endpoint:
    """The newest, unless the request names one."""
    return services.endpoints.promote(caller, endpoint, body or RevisionChoice())


@routes.operation("endpoints.rollback")
def rollback(
    caller: Allowed, services: Wired, endpoint: str, body: RevisionChoice | None = None
) -> Endpoint:
    """One step back, unless the request names a revision."""
    return services.endpoints.rollback(caller, endpoint, body or RevisionChoice())


@routes.operation("endpoints.list")
def list_endpoints(
    caller: Allowed, services: Wired, cursor: str | None = None, limit: Limit = 100
) -> Page[Endpoint]:
    """Newest first."""
    return services.endpoints.list(caller, cursor=cursor, limit=limit)


@routes.operation("endpoints.get")
async def get(
    caller: Allowed, services: Wired, endpoint: str, wait_s: WaitSeconds = 0, unless: Unless = None
) -> Endpoint:
    """One endpoint."""
    return await changed(
        services.signals,
        ("endpoints", "serving"),
        lambda: services.endpoints.get(caller, endpoint),
        lambda found: found.state,
        unless,
        wait_s,
    )


@routes.operation("endpoints.predict", also=(PluginError, RateLimited))
def predict(caller: Allowed, services: Wired, endpoint: str, body: Question) -> Prediction:
    """For consoles and tries: one hop more than the endpoint's own URL, and 8 questions at once."""
    return services.endpoint_calls.predict(caller, endpoint, body)


@routes.operation("endpoints.stats")
def stats(caller: Allowed, services: Wired, endpoint: str, revision: int | None = None) -> EndpointStats:
    """As the model server counts; of all revisions together, or of one."""
    return services.endpoint_calls.stats(caller, endpoint, revision)


@routes.operation("endpoints.replicas")
def replicas(
    caller: Allowed, services: Wired, endpoint: str, cursor: str | None = None, limit: Limit = 100
) -> Page[EndpointReplica]:
    """Newest first."""
    return services.endpoint_logs.replicas(caller, endpoint, cursor=cursor, limit=limit)


@routes.operation("endpoints.logs", response_class=StreamingResponse, response_model=None)
async def logs(
    *,
    project: str,
    endpoint: str,
    caller: Allowed,
    services: Wired,
    replica: Annotated[str | None, Query(description="whose log, by id; the newest's without")] = None,
    revision: Annotated[int | None, Query(description="that of one of its replicas")] = None,
    offset: Annotated[int, Query(ge=0, description="bytes to leave out")] = 0,
    tail: Annotated[int | None, Query(ge=0, le=1_000_000, description="only the last lines")] = None,
    follow: Annotated[bool, Query(description="go on until the replica has ended")] = False,
) -> StreamingResponse:
    """The log's bytes, as the model's code wrote them; the header Nacre-Replica says whose they are."""
    found = await asyncio.to_thread(
        services.endpoint_logs.find, caller, endpoint, replica=replica, revision=revision
    )
    log = services.endpoint_logs.logs
    if tail is not None:
        offset = max(offset, await asyncio.to_thread(log.tail, found, tail))
    answer = log_response(
        services.signals,
        (f"log:{found}", "endpoints"),
        lambda at: log.read(found, at),
        offset=offset,
        follow=follow,
    )
    answer.headers["Nacre-Replica"] = found
    return answer


@routes.operation("endpoints.delete", status=204)
def delete(caller: Allowed, services: Wired, endpoint: str) -> None:
    """Requests in flight finish."""
    services.endpoints.delete(caller, endpoint)
