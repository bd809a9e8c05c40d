"""Runs: tracking records. A job has one; notebooks and laptops make their own."""

from __future__ import annotations

import math
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Digest, Name, Wire
from nacre.schema.experiments import DEFAULT_EXPERIMENT, ExperimentName
from nacre.schema.launch import FileEntry


class RunState(StrEnum):
    """MLflow's words in lower case, with ``killed`` for what was stopped."""

    RUNNING = "running"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, str) else value


def _text_if_odd(value: float) -> float | str:
    if math.isnan(value):
        return "NaN"
    return value if math.isfinite(value) else ("Infinity" if value > 0 else "-Infinity")


Number = Annotated[
    float,
    BeforeValidator(_number),
    PlainSerializer(_text_if_odd, return_type=Any, when_used="json"),
]
"""A float; NaN and infinities travel as the strings ``NaN``, ``Infinity``, ``-Infinity`` (as MLflow's)."""


class TrackRecord(Wire):
    """A line of the track channel, and an item of ``runs.log``.

    ``m`` metric (key, value, step, time_ms), ``p`` param, ``t`` tag (key, text).
    """

    type: Literal["m", "p", "t"]
    key: str = Field(min_length=1, max_length=250)
    value: Number | None = None
    step: int = Field(0, ge=-(2**63), lt=2**63)
    time_ms: int = Field(ge=0, lt=2**53)
    text: str | None = Field(None, max_length=8192)

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if (self.value if self.type == "m" else self.text) is None:
            raise ValueError("a metric needs 'value', a param or tag needs 'text'")
        return self


class RunLog(Wire):
    """Up to 10,000 records, applied together. ``batch`` makes a repeated send count once."""

    records: list[TrackRecord] = Field(max_length=10_000)
    batch: str | None = Field(None, max_length=64)


class RunCreate(Wire):
    """A run outside a job."""

    name: str | None = Field(None, max_length=250)
    experiment: ExperimentName = DEFAULT_EXPERIMENT
    tags: dict[str, str] = {}


class RunUpdate(Wire):
    """Ends a run, renames it, or moves it to another experiment, which is made when there is none."""

    state: RunState | None = None
    name: str | None = None
    experiment: str | None = Field(None, min_length=1, max_length=250)


class MetricSummary(Answer):
    """The last value of a series and its extremes."""

    key: str
    last: Number
    step: int
    min: Number
    max: Number
    count: int


class MetricPoint(Answer):
    """One point."""

    step: int
    time_ms: int
    value: Number


class MetricSeries(Answer):
    """Points in order of (step, time)."""

    key: str
    points: list[MetricPoint]


class Run(Answer):
    """A run. ``id`` is 32 hexadecimal digits, as MLflow's."""

    id: str
    project: Name
    experiment: str
    name: str
    user: str | None = None
    job: str | None = Field(None, description="name of the job, when a job made it")
    state: RunState
    created_at: datetime
    started_at: datetime | None = Field(None, description="what the program said, else as created_at")
    ended_at: datetime | None = None
    deleted_at: datetime | None = Field(None, description="when it went into the trash")
    params: dict[str, str] = {}
    tags: dict[str, str] = {}
    metrics: list[MetricSummary] = []
    artifacts: Digest | None = Field(None, description="manifest of its artifacts")


class RunArtifacts(Answer):
    """The files that a run left."""

    manifest: Digest | None
    files: list[FileEntry]


class ArtifactsSet(Wire):
    """Files to add to a run's artifacts; their blobs have been sent before."""

    files: list[FileEntry] = Field(max_length=10_000)


_R = f"{PROJECT}/runs"
OPERATIONS = (
    Operation("runs.create", "POST", _R, "Start a run", Access.EDITOR, "runs:write"),
    Operation("runs.list", "GET", _R, "List runs, newest first", Access.VIEWER, "runs:read", "runs ls"),
    Operation(
        "runs.get",
        "GET",
        f"{_R}/{{run}}",
        "Read a run (by id, name or job name)",
        Access.VIEWER,
        "runs:read",
        "show",
    ),
    Operation("runs.update", "PATCH", f"{_R}/{{run}}", "End or rename a run", Access.EDITOR, "runs:write"),
    Operation(
        "runs.log",
        "POST",
        f"{_R}/{{run}}/log",
        "Log metrics, params and tags",
        Access.EDITOR,
        "runs:write",
    ),
    Operation(
        "runs.metric",
        "GET",
        f"{_R}/{{run}}/metrics/{{key:path}}",
        "Read a metric's points",
        Access.VIEWER,
        "runs:read",
        "show",
    ),
    Operation(
        "runs.artifacts",
        "GET",
        f"{_R}/{{run}}/artifacts",
        "List a run's artifacts",
        Access.VIEWER,
        "runs:read",
        "runs artifacts",
    ),
    Operation(
        "runs.add_artifacts",
        "POST",
        f"{_R}/{{run}}/artifacts",
        "Add files to a run's artifacts",
        Access.EDITOR,
        "runs:write",
    ),
    Operation(
        "runs.artifact",
        "GET",
        f"{_R}/{{run}}/artifacts/{{path:path}}",
        "Read an artifact's bytes",
        Access.VIEWER,
        "runs:read",
        "runs pull",
    ),
    Operation(
        "runs.delete",
        "DELETE",
        f"{_R}/{{run}}",
        "Put a run into the trash",
        Access.EDITOR,
        "runs:write",
        "runs delete",
    ),
    Operation(
        "runs.restore",
        "POST",
        f"{_R}/{{run}}/restore",
        "Bring a run back from the trash",
        Access.EDITOR,
        "runs:write",
        "runs restore",
    ),
    Operation(
        "runs.purge",
        "POST",
        f"{_R}/{{run}}/purge",
        "Remove a run that is in the trash for good",
        Access.EDITOR,
        "runs:write",
        "runs purge",
    ),
)
