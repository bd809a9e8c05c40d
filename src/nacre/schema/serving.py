"""What the server tells the model server, through ``serving/routes.json``, and what it answers.

The server replaces ``routes.json`` as a whole (write, fsync, rename) and then sends ``POST /reload``
to the model server's control socket ``serving/control.sock`` (HTTP). The model server begins to load
what is new and answers :class:`ServingStatus`. ``tokens.json`` is replaced likewise, and read when it has changed.
It needs nothing else from the server and goes on when the server is away.

``GET /status`` tells how it is; ``GET /demand?wait=SECONDS`` returns a :class:`Demand` as soon as a request
waits for a replica that is not there. Each worker appends what it answered to
``usage/<pid>-<start>.jsonl``, each few seconds a :class:`ServedUsage` a line.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from nacre.schema.base import Answer, Digest, Wire

Datatype = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]


class TensorSpec(Wire):
    """One input or output: Open Inference Protocol datatype; ``-1`` is a dimension left open."""

    name: str
    datatype: Datatype
    shape: list[int]


class Signature(Wire):
    """What a model takes and gives."""

    inputs: list[TensorSpec]
    outputs: list[TensorSpec]


Runtime = Literal["onnx", "replicas"]
"""``onnx``: in the shared model server's own process. ``replicas``: in processes of its own, in its environment."""


HUNG = "hung: "
"""How ``ServedRevisionState.replicas`` begins to tell of a replica that is to be ended: it answers nothing any
more, though it runs."""


class ServedReplica(Wire):
    """A replica process of a revision: the unix socket on which it answers (``nacre.modelserver.frames``)."""

    id: str
    socket: str


class ServedRevision(Wire):
    """A deployed model version. ``traffic`` is its share of the requests in percent; ``shadow`` the percent of
    the requests that are copied to it, without their answers being used.

    ``path`` and ``digest`` are the ONNX file's; a revision of replicas has none. ``sample``: file with the JSON
    body of an Open Inference Protocol request that warms it up before it counts as ready.
    """

    revision: int
    model: str
    model_version: int
    runtime: Runtime = "onnx"
    path: str = ""
    digest: Digest | None = None
    signature: Signature | None = None
    traffic: int = Field(100, ge=0, le=100)
    shadow: int = Field(0, ge=0, le=100)
    sample: str | None = None
    replicas: list[ServedReplica] = []


class ServedCapture(Wire):
    """Which share of the requests is kept, in which folder, until it holds so many bytes."""

    share: float = Field(ge=0, le=1)
    folder: str
    budget_bytes: int


class ServedEndpoint(Wire):
    """The revisions behind an endpoint and how they are called. Null is the model server's own default.

    The shares of ``revisions`` add up to 100, or to 0 while nothing may answer yet. ``concurrency``: batches under
    way at once, of a revision in a worker or of a replica; ``queue``: requests that wait; beyond it 503.
    ``timeout_s``: what has not been answered by then is 504, and is not run if it still waits.
    ``idle_s``: an ONNX model that nobody asked for so long is unloaded, and loaded again on demand; null: kept.
    ``cold``: a revision of replicas without any is started on demand: requests wait for it.
    """

    revisions: list[ServedRevision]
    max_batch: int | None = Field(None, ge=1)
    concurrency: int | None = Field(None, ge=1)
    queue: int | None = Field(None, ge=0)
    timeout_s: float | None = Field(None, gt=0)
    memory_bytes: int | None = Field(None, gt=0)
    max_request_bytes: int | None = Field(None, gt=0)
    max_response_bytes: int | None = Field(None, gt=0)
    cors_origins: list[str] = []
    access_log: float = Field(0.0, ge=0, le=1, description="share of the requests that are logged")
    capture: ServedCapture | None = None
    idle_s: float | None = None
    cold: bool = False


class TokenGrant(Wire):
    """Which projects' endpoints a token may call; ``*`` means every project. Requests a second beyond
    ``rate_per_s`` (in bursts of up to ``burst``) are answered 429."""

    projects: list[str]
    expires_ms: int | None = None
    rate_per_s: float | None = Field(None, gt=0)
    burst: int | None = Field(None, ge=1)


class Tokens(Wire):
    """The whole of ``tokens.json``. Keys: the token's SHA-256 in hex."""

    tokens: dict[str, TokenGrant]


class Routes(Wire):
    """The whole of ``routes.json``. Keys: ``project/endpoint``."""

    generation: int
    endpoints: dict[str, ServedEndpoint]


class ServedRevisionState(Answer):
    """One revision as the model server has it, all workers together. Counts are totals of the process's life.

    ``unloaded``: it answers, after it has been loaded again. ``seconds``: of all requests together, so that its
    growth over time is the mean number of requests under way. ``buckets``: the histogram of
    ``nacre.modelserver.stats``. ``waiting``: requests that wait now, for a place or for a replica's start.
    """

    revision: int
    state: Literal["loading", "ready", "unloaded", "failed"]
    message: str | None = Field(None, description="why it could not be loaded, or does not answer")
    requests: int = 0
    samples: int = 0
    errors: dict[str, int] = {}
    seconds: float = 0.0
    buckets: list[int] = []
    in_flight: int = 0
    waiting: int = 0
    batches: int = 0
    memory_bytes: int | None = None
    replicas: dict[str, str] = Field(
        {},
        description="replica → up, or why it does not answer; with 'hung: ' before that, it is to be ended",
    )


class ServedState(Answer):
    """One endpoint as the model server has it, all of its revisions together."""

    revisions: list[ServedRevisionState] = []
    requests: int = 0
    errors: int = 0
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None


HISTORY_SECONDS = 5
"""Length of an interval of :class:`ServedHistory`; the first one of all began in 1970."""
HISTORY_SLOTS = 360
"""How many intervals are kept: half an hour."""


class ServedSlice(Answer):
    """What an endpoint answered in interval number ``slot``, which began at ``slot * HISTORY_SECONDS``.

    ``samples`` counts the rows of the requests that were answered; ``errors`` is by HTTP status.
    """

    slot: int
    requests: int
    samples: int = 0
    errors: dict[str, int] = {}
    latency_p50_ms: float | None = None
    latency_p99_ms: float | None = None


class ServedHistory(Answer):
    """Answer of ``GET /history?endpoint=…`` on the control socket.

    Intervals from ``first`` to ``last`` were watched; those that are not among ``slices`` had no request.
    ``requests`` and ``errors`` are totals since ``since_ms``.
    """

    since_ms: int
    first: int
    last: int
    requests: int = 0
    errors: dict[str, int] = {}
    slices: list[ServedSlice] = []


class ServingStatus(Answer):
    """Answer of ``POST /reload`` and ``GET /status`` on the control socket."""

    generation: int
    pid: int
    endpoints: dict[str, ServedState]


class Demand(Answer):
    """Requests that wait for a first replica: endpoint → how many. Empty when the time was over."""

    waiting: dict[str, int] = {}


class ServedUsage(Wire):
    """What one revision answered in one worker since the line before. ``seconds``: of all requests together."""

    time_ms: int
    endpoint: str
    revision: int
    requests: int
    errors: int
    samples: int
    seconds: float
