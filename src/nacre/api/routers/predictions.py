"""Routes of batch predictions and drift reports, which are jobs."""

from __future__ import annotations

from nacre.api.routes import Allowed, Limit, Routes, Wired
from nacre.api.waiting import Unless, WaitSeconds, changed
from nacre.schema.base import Page
from nacre.schema.predictions import Batch, BatchCreate, Drift, DriftCreate

routes = Routes()


@routes.operation("endpoints.batch", status=201)
def batch(caller: Allowed, services: Wired, body: BatchCreate) -> Batch:
    """Of an endpoint's version, or of any."""
    return services.batches.create(caller, body)


@routes.operation("endpoints.list_batches")
def list_batches(
    caller: Allowed, services: Wired, cursor: str | None = None, limit: Limit = 100
) -> Page[Batch]:
    """Of all endpoints and models."""
    return services.batches.list(caller, cursor=cursor, limit=limit)


@routes.operation("endpoints.get_batch")
async def get_batch(
    caller: Allowed, services: Wired, batch: str, wait_s: WaitSeconds = 0, unless: Unless = None
) -> Batch:
    """``unless`` is a state."""
    return await changed(
        services.signals,
        (f"batch:{batch}",),
        lambda: services.batches.get(caller, batch),
        lambda found: found.state,
        unless,
        wait_s,
    )


@routes.operation("endpoints.drift", status=201)
def drift(caller: Allowed, services: Wired, endpoint: str, body: DriftCreate | None = None) -> Drift:
    """The version that answers most requests."""
    return services.drifts.create(caller, endpoint, body or DriftCreate())


@routes.operation("endpoints.list_drift")
def list_drift(
    caller: Allowed, services: Wired, endpoint: str, cursor: str | None = None, limit: Limit = 100
) -> Page[Drift]:
    """With what was measured."""
    return services.drifts.list(caller, endpoint, cursor=cursor, limit=limit)


@routes.operation("endpoints.get_drift")
async def get_drift(
    caller: Allowed,
    services: Wired,
    endpoint: str,
    report: str,
    wait_s: WaitSeconds = 0,
    unless: Unless = None,
) -> Drift:
    """``unless`` is a state."""
    return await changed(
        services.signals,
        (f"drift:{report}",),
        lambda: services.drifts.get(caller, endpoint, report),
        lambda found: found.state,
        unless,
        wait_s,
    )
