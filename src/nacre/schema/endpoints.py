"""Endpoints: a URL that serves a model version."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, JsonObject, Micros, Name, Stamped, Wire
from nacre.schema.models import ModelName
from nacre.schema.serving import Datatype, Signature


class EndpointState(StrEnum):
    """``ready``: a revision answers, also where another one has failed, which the message names. ``updating``:
    what answered before goes on, while the next revision loads or the model server is told of new shares.
    ``failed``: nothing answers."""

    STARTING = "starting"
    READY = "ready"
    UPDATING = "updating"
    FAILED = "failed"


class Schedule(Wire):
    """From ``from_time`` to ``to_time`` (``HH:MM``, UTC) on these days (0 is Monday), other bounds."""

    days: list[int] = Field([0, 1, 2, 3, 4, 5, 6], min_length=1)
    from_time: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    to_time: str = Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")
    min_replicas: int = Field(ge=0, le=64)
    max_replicas: int = Field(ge=1, le=64)


class Scaling(Wire):
    """How many replicas a revision has: so many that each has ``target`` requests under way, within bounds.

    With ``min_replicas`` 0 none is left after ``idle_s`` seconds without a request, and the next one waits for
    the start. An ONNX model in the shared model server has no replicas: 0 means that it is unloaded so.
    """

    min_replicas: int = Field(1, ge=0, le=64)
    max_replicas: int = Field(1, ge=1, le=64)
    target: float = Field(4.0, gt=0, description="requests under way in a replica")
    idle_s: float = Field(300.0, ge=1)
    schedules: list[Schedule] = []


class CaptureSettings(Wire):
    """Keep inputs and outputs of a share of the requests in a dataset, up to a budget in bytes."""

    dataset: Name
    share: float = Field(0.01, gt=0, le=1)
    budget_bytes: int = Field(100 * 2**20, ge=2**20, le=2**40)


class RollbackRule(Wire):
    """When a new revision is taken back by itself: compared with the others over ``window_s`` seconds."""

    enabled: bool = True
    window_s: float = Field(60.0, ge=5)
    min_requests: int = Field(50, ge=1)
    error_rate: float = Field(0.05, ge=0, le=1, description="this much more of its requests fail")
    latency_factor: float = Field(2.0, ge=1, description="its 99th percentile is so many times as long")


class EndpointSettings(Wire):
    """How an endpoint is called. Null is the server's own default."""

    max_batch: int | None = Field(None, ge=1, le=4096)
    concurrency: int | None = Field(None, ge=1, le=1024)
    queue: int | None = Field(None, ge=0, le=65536)
    timeout_s: float | None = Field(None, gt=0, le=3600)
    memory_bytes: int | None = Field(None, gt=0)
    max_request_bytes: int | None = Field(None, gt=0)
    max_response_bytes: int | None = Field(None, gt=0)
    cors_origins: list[str] = []
    access_log: float = Field(0.0, ge=0, le=1)
    capture: CaptureSettings | None = None
    rollback: RollbackRule = RollbackRule()


class EndpointDeploy(Wire):
    """Serve ``model`` at ``version``: a number, an alias, or ``latest``.

    ``traffic``: the new revision's share in percent; the others share the rest in their proportions. Without it
    the new revision replaces them all, once it is ready. ``shadow``: percent of the requests that are copied to
    it. ``runtime``: ``auto`` is ``onnx`` where the version has an ONNX form and no more than one replica is wanted.
    ``type``: the instance type of each replica. ``scaling`` and ``settings`` are the endpoint's; what is left out
    of them stays.
    """

    model: ModelName
    version: str = "latest"
    type: Name | None = Field(None, description="cpu.small for a new endpoint")
    traffic: int | None = Field(None, ge=0, le=100, description="100; 0 when it gets copies only")
    shadow: int = Field(0, ge=0, le=100)
    runtime: Literal["auto", "onnx", "replicas"] = "auto"
    scaling: Scaling | None = None
    settings: EndpointSettings | None = None


class EndpointUpdate(Wire):
    """What changes of an endpoint; null leaves it, and so do fields of ``scaling`` and ``settings`` that are
    left out."""

    scaling: Scaling | None = None
    settings: EndpointSettings | None = None


class TrafficSet(Wire):
    """Revision → percent of the requests; they add up to 100, and revisions not named get none.
    ``shadow``: revision → percent of the requests that are copied to it."""

    traffic: dict[int, Annotated[int, Field(ge=0, le=100)]]
    shadow: dict[int, Annotated[int, Field(ge=0, le=100)]] = {}


class RevisionChoice(Wire):
    """A revision by its number; null: the newest (to promote), or the one that answered before (to roll back)."""

    revision: int | None = None


class ReplicaState(StrEnum):
    """``draining``: gets no more requests and ends when those it has are answered."""

    QUEUED = "queued"
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    STOPPED = "stopped"
    FAILED = "failed"


class EndpointReplica(Answer):
    """A process that answers for a revision; ``id`` is unique in the whole server."""

    id: str
    revision: int | None = None
    state: ReplicaState
    reason: str | None = None
    message: str | None = None
    node: str | None = None
    created_at: datetime
    ready_at: datetime | None = None
    ended_at: datetime | None = None
    cold_start_s: float | None = Field(None, description="from the wish for it until it answered")


class Revision(Answer):
    """One deployed model version. ``state``: starting, ready, failed, retired. Null: the server cannot tell.

    ``traffic`` is the share of the requests that is wanted for it, in percent; ``answering`` the one that it has,
    while revisions still start. ``before``: the shares of all revisions before it got its own, which a roll-back
    restores. ``replicas`` has those that live, and the one that failed last.
    """

    number: int
    model: ModelName
    version: int
    runtime: Literal["onnx", "replicas"] = "onnx"
    traffic: int = 0
    answering: int = 0
    shadow: int = 0
    before: dict[int, int] | None = None
    state: str
    reason: str | None = None
    message: str | None = None
    created_at: datetime
    requests: int | None = None
    errors: int | None = None
    in_flight: int | None = None
    waiting: int | None = None
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None
    memory_bytes: int | None = None
    replicas: list[EndpointReplica] = []
    wanted_replicas: int = 0


class Endpoint(Stamped):
    """An endpoint. ``url`` is the base for the clients of all protocols; ``grpc`` the address of its gRPC
    services, where the model is called ``project/name``.

    ``model``, ``version`` and ``signature`` are those of the revision with the most traffic.
    """

    project: Name
    name: Name
    user: str
    state: EndpointState
    reason: str | None = None
    message: str | None = None
    url: str
    grpc: str = ""
    model: ModelName
    version: int
    signature: Signature | None = None
    revisions: list[Revision] = []
    scaling: Scaling = Scaling()
    settings: EndpointSettings = EndpointSettings()
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
    did not fit), ``too_large``, ``limited`` (the token's rate), ``overloaded``, ``too_late``, ``failed`` (the
    model), ``other``. ``batch`` is the mean number of samples in a request. ``requests`` and ``errors`` are
    totals since ``since``; null while the model server is away.
    """

    endpoint: Name
    revision: int | None = Field(None, description="null: of all together")
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
        "endpoints.update",
        "PATCH",
        f"{_E}/{{endpoint}}",
        "Change how an endpoint scales and is called",
        Access.EDITOR,
        "endpoints:write",
        "endpoint set",
    ),
    Operation(
        "endpoints.set_traffic",
        "PUT",
        f"{_E}/{{endpoint}}/traffic",
        "Share the requests between revisions",
        Access.EDITOR,
        "endpoints:write",
        "endpoint traffic",
    ),
    Operation(
        "endpoints.promote",
        "POST",
        f"{_E}/{{endpoint}}/promote",
        "Give a revision all of the requests",
        Access.EDITOR,
        "endpoints:write",
        "endpoint promote",
    ),
    Operation(
        "endpoints.rollback",
        "POST",
        f"{_E}/{{endpoint}}/rollback",
        "Go back to the revision that answered before",
        Access.EDITOR,
        "endpoints:write",
        "rollback",
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
        "endpoints:invoke",
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
        "endpoints.replicas",
        "GET",
        f"{_E}/{{endpoint}}/replicas",
        "List the replicas of an endpoint, and for an hour those that ended",
        Access.VIEWER,
        "endpoints:read",
        "endpoint replicas",
    ),
    Operation(
        "endpoints.logs",
        "GET",
        f"{_E}/{{endpoint}}/log",
        "Stream the log of a replica",
        Access.VIEWER,
        "endpoints:read",
        "endpoint logs",
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
