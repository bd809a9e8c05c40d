"""Instances: interactive machines with JupyterLab, and TensorBoards."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

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


class InstanceApp(StrEnum):
    """The program that an instance serves to browsers."""

    JUPYTERLAB = "jupyterlab"
    TENSORBOARD = "tensorboard"


class InstanceCreate(Wire):
    """A new instance; it starts at once unless ``start`` is false.

    TensorBoard shows ``runs`` and has an environment of its own; it takes no data and no secrets.
    """

    name: Name | None = Field(None, description="null: the environment's or the app's, with a number")
    app: InstanceApp = InstanceApp.JUPYTERLAB
    type: Name = "cpu.small"
    environment: str = "base"
    data: dict[Name, JobInput] = Field({}, description="dataset versions mounted at /data/<name>")
    runs: list[str] = Field([], max_length=100, description="what TensorBoard shows: names or ids")
    idle_timeout: Duration | None = Field(
        None, description="null: an hour for JupyterLab, ten minutes for TensorBoard"
    )
    secrets: list[str] = []
    start: bool = True
    temporary: bool = Field(False, description="deleted with its home once it has stopped")

    @model_validator(mode="after")
    def _fits_the_app(self) -> Self:
        if self.app is InstanceApp.TENSORBOARD:
            if not self.runs:
                raise ValueError("TensorBoard needs 'runs': the names or ids of the runs to show")
            if self.data or self.secrets:
                raise ValueError("TensorBoard takes no 'data' and no 'secrets'")
        elif self.runs:
            raise ValueError("'runs' are for the app tensorboard")
        if self.temporary and not self.start:
            raise ValueError("a temporary instance must start: it is deleted once it has stopped")
        return self


class Instance(Stamped):
    """An instance. ``idle_s``: how long no kernel was busy, no terminal and no browser was active."""

    project: Name
    name: Name
    app: InstanceApp = InstanceApp.JUPYTERLAB
    user: str
    type: Name
    environment: str
    data: dict[str, str] = Field({}, description="name → dataset@number")
    runs: list[str] = Field([], description="ids of the runs that TensorBoard shows")
    temporary: bool = Field(False, description="deleted with its home once it has stopped")
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
        "Get a URL that opens it in a browser",
        Access.EDITOR,
        "instances:write",
        "instance open",
    ),
    Operation(
        "instances.terminal",
        "GET",
        f"{_I}/{{instance}}/terminal",
        "Open a WebSocket to a terminal of it",
        Access.EDITOR,
        "instances:write",
        "instance terminal",
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
