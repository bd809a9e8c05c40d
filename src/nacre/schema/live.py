"""The live connection: one WebSocket per client, many subscriptions, a cursor for each.

Client → server, JSON text messages: :class:`LiveAuth`, :class:`LiveSubscribe`, :class:`LiveUnsubscribe`,
:class:`LivePing`. Server → client::

    {"op": "ready", "user": "ada", "heartbeat_s": 15}
    {"op": "update", "id": "a", "cursor": {…}, "data": {…}}
    {"op": "error", "id": "a", "error": {problem document}}     the subscription has ended
    {"op": "error", "error": {problem document}}                the message was not understood
    {"op": "heartbeat"}, {"op": "pong"}

A client that connects to ``/api/v1/live?bundle=true`` gets several such messages in one frame too: a JSON
array of them, in order.

A cursor is an object. Merge what an update brings into the one you hold: a member replaces the one of the
same name, null removes it. A subscription with the cursor that you hold goes on where it ended.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from nacre.schema.access import Access, Operation
from nacre.schema.base import Answer, Wire
from nacre.schema.charts import View

HEARTBEAT_S = 15.0
MAX_SUBSCRIPTIONS = 256
MAX_MESSAGE_BYTES = 2**20

Topic = Literal[
    "run",
    "runs",
    "job",
    "jobs",
    "log",
    "events",
    "instances",
    "environments",
    "models",
    "data",
    "endpoints",
    "instance",
    "environment",
    "model",
    "endpoint",
    "dataset",
    "environment_log",
    "instance_log",
    "replica_log",
]
Cursor = dict[str, str | int | None]


class LiveAuth(Wire):
    """The first message, when the handshake had no ``Authorization`` header; later ones change the token."""

    op: Literal["auth"]
    token: str = Field(max_length=4096)


class LivePing(Wire):
    """Answered with ``{"op": "pong"}``."""

    op: Literal["ping"]


class LiveUnsubscribe(Wire):
    """Ends a subscription; one that is not there is none."""

    op: Literal["unsubscribe"]
    id: str = Field(max_length=64)


class LiveSubscribe(Wire):
    """Starts a subscription, or replaces the one of the same id.

    ``name`` is the run of ``run``, the job of ``job`` and ``log``, the id of an endpoint's replica of
    ``replica_log``, and so on for every topic of one thing.
    ``cursor``: null starts now (of a log: at its beginning, or, of ``log`` and ``replica_log``, ``tail`` lines
    before its end); ``{}`` starts at the beginning.

    ``keys`` (of ``run``) are names of metrics or patterns; null: all. ``experiments``, ``filter``,
    ``order_by``, ``columns``, ``view``, ``limit`` (of ``runs``) are those of ``runs.search``; the other
    lists take ``limit``, and ``jobs`` takes ``active``. ``encoding`` (of logs): bytes as text, or in base64.
    ``replica`` (of ``log``): whose, by rank.
    """

    op: Literal["subscribe"]
    id: str = Field(min_length=1, max_length=64)
    topic: Topic
    project: str = Field(max_length=64)
    name: str | None = Field(None, max_length=250)
    cursor: Annotated[Cursor | None, Field(max_length=20_000)] = None
    keys: list[str] | None = Field(None, max_length=500)
    experiments: list[str] | None = Field(None, max_length=200)
    filter: str = Field("", max_length=16_384)
    order_by: list[str] = Field([], max_length=16)
    columns: list[str] | None = Field(None, max_length=500)
    view: View = "active"
    limit: int = Field(100, ge=1, le=200)
    active: bool = False
    tail: int | None = Field(None, ge=0, le=100_000)
    replica: int = Field(0, ge=0, le=100_000)
    encoding: Literal["text", "base64"] = "text"


LiveMessage = Annotated[LiveAuth | LivePing | LiveSubscribe | LiveUnsubscribe, Field(discriminator="op")]


class LiveUpdate(Answer):
    """What one update says. ``data`` depends on the topic; see ``docs/howto/live.md``."""

    id: str
    cursor: Cursor = {}
    data: dict[str, Any] = {}


OPERATIONS = (
    Operation(
        "live.connect",
        "GET",
        "/api/v1/live",
        "Open a WebSocket for live updates; each topic needs its own scope too",
        Access.USER,
        "live:read",
        "runs watch",
    ),
)
