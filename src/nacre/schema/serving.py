"""What the server tells the model server, through ``serving/routes.json``, and what it answers.

The server replaces ``routes.json`` as a whole (write, fsync, rename) and then sends ``POST /reload``
to the model server's control socket ``serving/control.sock`` (HTTP). The model server loads what is
new, keeps serving a revision until the next one is ready, and answers :class:`ServingStatus`.
It needs nothing else from the server and goes on when the server is away.
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


class ServedRevision(Wire):
    """The ONNX file behind an endpoint."""

    revision: int
    model: str
    model_version: int
    path: str
    digest: Digest
    signature: Signature


class TokenGrant(Wire):
    """Which projects' endpoints a token may call; ``*`` means every project."""

    projects: list[str]
    expires_ms: int | None = None


class Routes(Wire):
    """The whole of ``routes.json``. Keys: ``project/endpoint``, and the token's SHA-256 in hex."""

    generation: int
    endpoints: dict[str, ServedRevision]
    tokens: dict[str, TokenGrant]


class ServedState(Answer):
    """One endpoint as the model server has it. ``revision`` is the one that answers now."""

    revision: int | None
    state: Literal["ready", "failed"]
    message: str | None = Field(None, description="why the wanted revision could not be loaded")
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
