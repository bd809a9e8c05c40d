"""Endpoints: a URL that serves a model version."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, JsonObject, Micros, Name, Stamped, Wire
from nacre.schema.models import ModelName
from nacre.schema.serving import Datatype, Signature


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


class InputTensor(Wire):
    """One input of a :class:`Question`; ``data`` is flat in row-major order, or nested as ``shape`` says."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[Any]
    parameters: JsonObject | None = None


class WantedOutput(Wire):
    """An output by name."""

    name: str
    parameters: JsonObject | None = None


class Question(Wire):
    """A request of the Open Inference Protocol v2, in JSON. Without ``outputs`` all of them are given."""

    inputs: list[InputTensor] = Field(min_length=1)
    outputs: list[WantedOutput] | None = None
    id: str | None = None
    parameters: JsonObject | None = None


class OutputTensor(Answer):
    """One output; ``data`` is flat in row-major order, and null where a number is not finite."""

    name: str
    shape: list[int]
    datatype: Datatype
    data: list[Any]


class Prediction(Answer):
    """An answer of the Open Inference Protocol v2. ``parameters.took_ms``: how long the model server took."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    parameters: JsonObject = {}
    outputs: list[OutputTensor]


class EndpointStats(Answer):
    """What an endpoint answered in the last half hour, in intervals of ``interval_s`` seconds.

    The lists are as long as ``time`` (when each interval began). Null is an interval that nobody watched: the
    model server did not run. Rates are per second; ``errors_per_s`` is by kind: ``invalid`` (the request
    did not fit), ``too_large``, ``overloaded``, ``failed`` (the model), ``other``. ``batch`` is the mean number
    of samples in a request. ``requests`` and ``errors`` are totals since ``since``; null while the model
    server is away.
    """

    endpoint: Name
    interval_s: int
    since: datetime | None = None
    requests: int | None = None
    errors: int | None = None
    errors_by_kind: dict[str, int] = {}
    time: list[datetime]
    requests_per_s: list[float | None]
    errors_per_s: dict[str, list[float | None]] = {}
    latency_p50_ms: list[float | None]
    latency_p99_ms: list[float | None]
    batch: list[float | None]


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
        "endpoints.predict",
        "POST",
        f"{_E}/{{endpoint}}/predict",
        "Ask an endpoint through this server, for a try; traffic belongs to its own URL",
        Access.VIEWER,
        "endpoints:predict",
        "predict",
    ),
    Operation(
        "endpoints.stats",
        "GET",
        f"{_E}/{{endpoint}}/stats",
        "Read what an endpoint answered in the last half hour",
        Access.VIEWER,
        "endpoints:read",
        "endpoint stats",
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
