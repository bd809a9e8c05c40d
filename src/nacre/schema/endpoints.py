"""Endpoints: a URL that serves a model version."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Micros, Name, Stamped, Wire
from nacre.schema.models import ModelName
from nacre.schema.serving import Signature


class EndpointState(StrEnum):
    """``updating``: the last revision answers while the next one loads."""

    STARTING = "starting"
    READY = "ready"
    UPDATING = "updating"
    FAILED = "failed"


class EndpointDeploy(Wire):
    """Serve ``model`` at ``version``: a number, an alias, or ``latest``."""

    model: ModelName
    version: str = "latest"
    type: Name = "cpu.small"


class Revision(Answer):
    """One deployed model version."""

    number: int
    model: ModelName
    version: int
    state: str
    message: str | None = None
    created_at: datetime


class Endpoint(Stamped):
    """An endpoint. ``url`` is the base for Open Inference Protocol clients."""

    project: Name
    name: Name
    user: str
    state: EndpointState
    reason: str | None = None
    message: str | None = None
    url: str
    model: ModelName
    version: int
    signature: Signature | None = None
    revisions: list[Revision] = []
    type: Name
    price_per_hour: Micros
    cost: Micros = 0
    currency: str = "USD"
    requests: int | None = None
    errors: int | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = Field(None, description="of this process's life")


_E = f"{PROJECT}/endpoints"
OPERATIONS = (
    Operation(
        "endpoints.deploy",
        "PUT",
        f"{_E}/{{endpoint}}",
        "Serve a model version; swaps without a failed request",
        Access.EDITOR,
        "endpoints:write",
        "deploy",
    ),
    Operation(
        "endpoints.list",
        "GET",
        _E,
        "List endpoints",
        Access.VIEWER,
        "endpoints:read",
        "endpoint ls",
    ),
    Operation(
        "endpoints.get",
        "GET",
        f"{_E}/{{endpoint}}",
        "Read an endpoint; can wait for its state to change",
        Access.VIEWER,
        "endpoints:read",
        "endpoint show",
    ),
    Operation(
        "endpoints.delete",
        "DELETE",
        f"{_E}/{{endpoint}}",
        "Stop serving",
        Access.EDITOR,
        "endpoints:write",
        "undeploy",
    ),
)
