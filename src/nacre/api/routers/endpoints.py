"""Routes of endpoints. Inference itself is answered by the model server, on its own listener."""

from __future__ import annotations

from nacre.api.routes import Allowed, Routes, Wired
from nacre.api.waiting import Unless, WaitSeconds, changed
from nacre.errors import PluginError, RateLimited
from nacre.schema.base import Page
from nacre.schema.endpoints import Endpoint, EndpointDeploy, EndpointStats, Prediction, Question

routes = Routes()


@routes.operation("endpoints.deploy")
def deploy(caller: Allowed, services: Wired, endpoint: str, body: EndpointDeploy) -> Endpoint:
    """A new endpoint, or a new revision of one."""
    return services.endpoints.deploy(caller, endpoint, body)


@routes.operation("endpoints.list")
def list_endpoints(
    caller: Allowed, services: Wired, cursor: str | None = None, limit: int = 100
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
def stats(caller: Allowed, services: Wired, endpoint: str) -> EndpointStats:
    """As the model server counts."""
    return services.endpoint_calls.stats(caller, endpoint)


@routes.operation("endpoints.delete", status=204)
def delete(caller: Allowed, services: Wired, endpoint: str) -> None:
    """Requests in flight finish."""
    services.endpoints.delete(caller, endpoint)
