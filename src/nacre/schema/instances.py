"""Instances: interactive machines with JupyterLab."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Micros, Name, Stamped, Wire
from nacre.schema.jobs import JobInput
from nacre.schema.resources import Duration


class InstanceState(StrEnum):
    """``stopped`` keeps the home; ``failed`` too, and can be started again."""

    STOPPED = "stopped"
    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    FAILED = "failed"


class InstanceCreate(Wire):
    """A new instance; it starts at once unless ``start`` is false."""

    name: Name
    type: Name = "cpu.small"
    environment: str = "base"
    data: dict[Name, JobInput] = Field({}, description="dataset versions mounted at /data/<name>")
    idle_timeout: Duration = 3600.0
    secrets: list[str] = []
    start: bool = True


class Instance(Stamped):
    """An instance. ``idle_s``: how long no kernel was busy, no terminal and no browser was active."""

    project: Name
    name: Name
    user: str
    type: Name
    environment: str
    data: dict[str, str] = Field({}, description="name → dataset@number")
    state: InstanceState
    reason: str | None = None
    message: str | None = None
    idle_timeout: float
    idle_s: float | None = None
    started_at: datetime | None = None
    price_per_hour: Micros
    cost: Micros = 0
    currency: str = "USD"


class InstanceUrl(Answer):
    """A URL that signs this browser in to this instance; the ticket in it works once, for a minute."""

    url: str
    expires_at: datetime


_I = f"{PROJECT}/instances"
OPERATIONS = (
    Operation(
        "instances.create",
        "POST",
        _I,
        "Create an instance",
        Access.EDITOR,
        "instances:write",
        "instance create",
    ),
    Operation(
        "instances.list",
        "GET",
        _I,
        "List instances",
        Access.VIEWER,
        "instances:read",
        "instance ls",
    ),
    Operation(
        "instances.get",
        "GET",
        f"{_I}/{{instance}}",
        "Read an instance; can wait for its state to change",
        Access.VIEWER,
        "instances:read",
        "instance show",
    ),
    Operation(
        "instances.start",
        "POST",
        f"{_I}/{{instance}}/start",
        "Start it",
        Access.EDITOR,
        "instances:write",
        "instance start",
    ),
    Operation(
        "instances.stop",
        "POST",
        f"{_I}/{{instance}}/stop",
        "Stop it; the home stays",
        Access.EDITOR,
        "instances:write",
        "instance stop",
    ),
    Operation(
        "instances.open",
        "POST",
        f"{_I}/{{instance}}/open",
        "Get a URL that opens JupyterLab",
        Access.EDITOR,
        "instances:write",
        "instance open",
    ),
    Operation(
        "instances.logs",
        "GET",
        f"{_I}/{{instance}}/log",
        "Stream its log",
        Access.VIEWER,
        "instances:read",
        "instance logs",
    ),
    Operation(
        "instances.delete",
        "DELETE",
        f"{_I}/{{instance}}",
        "Delete it and its home",
        Access.EDITOR,
        "instances:write",
        "instance delete",
    ),
)
