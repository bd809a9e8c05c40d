"""Jobs: what the scheduler runs, their attempts and replicas."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Digest, JsonObject, Micros, Name, Stamped, Wire
from nacre.schema.resources import Duration, Resources


class JobState(StrEnum):
    """A job goes down this list; the last three are final."""

    QUEUED = "queued"
    PREPARING = "preparing"
    STARTING = "starting"
    RUNNING = "running"
    STOPPING = "stopping"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL_STATES = frozenset({JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED})


_CALLED = re.compile(
    r"(keras|torchvision|mxnet|paddle|tfds|hf):[A-Za-z0-9](?!.*\.\.)[A-Za-z0-9._/-]{0,120}"
)
BARE_NAMES = (
    "mnist",
    "fashion-mnist",
    "cifar10",
    "cifar100",
    "imdb",
    "reuters",
    "boston-housing",
    "california-housing",
)
"""Names that mean: wherever frameworks look that know it."""


Priority = Literal["low", "normal", "high"]
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high")
"""From the last to the first in the queue."""


class JobInput(Wire):
    """A dataset version (``digits``, ``digits@3``) under a name of the job's choosing.

    ``uri_file``: the version has one file, and ``${{inputs.NAME}}`` and ``NACRE_INPUT_NAME`` point at it
    instead of at the folder.
    """

    path: str = Field(examples=["digits@1"])
    as_: str | None = Field(
        None,
        validation_alias=AliasChoices("as", "as_"),
        serialization_alias="as",
        description="what frameworks call it, so that they find it without the internet: mnist, keras:mnist, "
        "torchvision:MNIST, mxnet:mnist, paddle:mnist, tfds:mnist, hf:owner/name",
        examples=["keras:mnist"],
    )
    type: Literal["uri_folder", "uri_file"] = "uri_folder"
    mode: Literal["ro_mount", "download"] = "ro_mount"

    @field_validator("as_")
    @classmethod
    def _called(cls, value: str | None) -> str | None:
        if value is None or _CALLED.fullmatch(value):
            return value
        plain = value.lower().replace("_", "-")
        if plain not in BARE_NAMES:
            raise ValueError(
                f"{value!r} is no name that frameworks know: use FRAMEWORK:NAME, such as keras:mnist (keras, "
                f"torchvision, mxnet, paddle, tfds, hf), or one of {', '.join(BARE_NAMES)}"
            )
        return plain


def _either(*names: str) -> AliasChoices:
    return AliasChoices(*names)


class JobSpec(Wire):
    """What to run. Field names are the field's own (dstack, Azure ML); the usual aliases are accepted."""

    type: Literal["task"] = "task"
    name: Name | None = Field(None, validation_alias=_either("name", "display_name"))
    experiment_name: Name | None = None
    description: str = ""
    code: Digest | None = Field(None, description="manifest of the code folder; the CLI fills it")
    workdir: str = "."
    commands: list[str] = Field(
        min_length=1, validation_alias=_either("commands", "run", "command", "entrypoint")
    )
    environment: str = "base"
    environment_lock: Digest | None = Field(
        None,
        description="lock_digest of the record of a job of this project: run with exactly those packages, "
        "whatever the environment has now",
    )
    env: dict[str, str] = Field({}, validation_alias=_either("env", "envs", "environment_variables"))
    secrets: list[str] = []
    inputs: dict[Name, JobInput] = {}
    resources: Resources = Resources()
    instance_type: Name | None = Field(None, description="a named shape, instead of resources")
    max_duration: Duration | None = None
    max_restarts: int = Field(
        0, ge=0, le=1000, description="after failures; coming back after pre-emption or a lost node is free"
    )
    priority: Priority = Field(
        "normal",
        description="classes: a higher one comes first; high needs the project's quota to allow it",
    )
    spot: bool = Field(
        False,
        description="cheaper; it makes room for work that is not spot, and comes back from its checkpoint",
    )
    stop_duration: Duration = 10.0
    capture: Literal["on", "off"] = Field(
        "on",
        description="whether metrics are taken from frameworks, TensorBoard's event files and lines of the "
        "log that say name=value, where the program does not track by itself",
    )
    tags: dict[str, str] = Field({}, validation_alias=_either("tags", "labels"))

    model_config = Wire.model_config | {"populate_by_name": True}

    @field_validator("type", mode="before")
    @classmethod
    def _kinds(cls, value: Any) -> Any:
        return "task" if value == "command" else value  # Azure ML's word

    @field_validator("commands", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("capture", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        return ("on" if value else "off") if isinstance(value, bool) else value  # YAML's on and off

    @field_validator("inputs", mode="before")
    @classmethod
    def _short_inputs(cls, value: Any) -> Any:
        if isinstance(value, dict):
            return {k: {"path": v} if isinstance(v, str) else v for k, v in value.items()}
        return value

    @model_validator(mode="before")
    @classmethod
    def _azure(cls, value: Any) -> Any:
        """Azure ML's ``limits: {timeout}`` is our ``max_duration``; its ``queue_settings`` are fields here."""
        if isinstance(value, dict) and isinstance(value.get("queue_settings"), dict):
            value = dict(value)
            queue = {str(k): str(v).lower() for k, v in value.pop("queue_settings").items()}
            if "priority" in queue:
                value.setdefault("priority", {"medium": "normal"}.get(queue["priority"], queue["priority"]))
                del queue["priority"]
            if "job_tier" in queue:
                value.setdefault("spot", queue.pop("job_tier") == "spot")
            if queue:
                raise ValueError(f"queue_settings: unknown field {sorted(queue)[0]!r}")
        if isinstance(value, dict) and isinstance(value.get("limits"), dict):
            value = dict(value)
            limits = dict(value.pop("limits"))
            if "timeout" in limits:
                value.setdefault("max_duration", limits.pop("timeout"))
            if limits:
                raise ValueError(f"limits: unknown field {sorted(limits)[0]!r}")
        return value

    @field_validator("workdir")
    @classmethod
    def _inside(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/"):
            raise ValueError("workdir must be a folder inside the code")
        return value


class JobPlan(Answer):
    """What a submission would do: nothing is stored."""

    spec: JobSpec
    inputs: dict[str, str] = Field({}, description="each input's dataset version, resolved")
    environment_state: str
    environment_digest: Digest | None = None
    price_per_hour: Micros
    max_cost: Micros | None = Field(None, description="price × max_duration × attempts")
    currency: str
    starts: Literal["now", "waits", "never"]
    reason: str | None = None
    message: str | None = None


class Attempt(Stamped):
    """One try at a job."""

    number: int
    state: str
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    peak_memory: int | None = None
    isolation: JsonObject | None = None


class JobRecord(Answer):
    """Enough to do the run again.

    ``lock_digest``, known once the job was placed, is the BLAKE3 of the canonical manifest of two files
    that are kept with the job: ``environment.lock`` (the resolved packages, with versions and hashes) and
    ``environment.json`` (digest of the environment, minor version of its Python).
    ``environment_digest`` names the environment built from it: it covers lock, Python, platform, builder.
    """

    code: Digest | None = None
    environment: str
    environment_digest: Digest | None = None
    lock_digest: Digest | None = None
    inputs: dict[str, str] = Field({}, description="name → dataset@number")
    manifests: dict[str, Digest] = {}
    files: dict[str, str] = Field({}, description="the one file of each input of type uri_file")
    commands: list[str]
    env: dict[str, str] = {}
    secrets: list[str] = []
    capture: Literal["on", "off"] = "on"
    hardware: JsonObject = {}
    nacre: str


class Job(Stamped):
    """A job. ``name`` is unique in the project; ``run`` is its tracking record."""

    project: Name
    name: str
    kind: Literal["task", "convert", "evaluate"] = "task"
    description: str = ""
    user: str
    state: JobState
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    run: str
    spec: JobSpec
    record: JobRecord | None = None
    attempts: list[Attempt] = []
    started_at: datetime | None = None
    ended_at: datetime | None = None
    price_per_hour: Micros
    cost: Micros = 0
    currency: str = "USD"


class JobStop(Wire):
    """``reason`` ends up in the job's record."""

    reason: str | None = None


_J = f"{PROJECT}/jobs"
_T = "/api/v1/attempts/{attempt}"
OPERATIONS = (
    Operation(
        "jobs.plan",
        "POST",
        f"{_J}/plan",
        "Show what a submission would do and cost",
        Access.EDITOR,
        "jobs:read",
        "run",
    ),
    Operation("jobs.submit", "POST", _J, "Submit a job", Access.EDITOR, "jobs:write", "run"),
    Operation("jobs.list", "GET", _J, "List jobs, newest first", Access.VIEWER, "jobs:read", "ps"),
    Operation(
        "jobs.get",
        "GET",
        f"{_J}/{{job}}",
        "Read a job; can wait for its state to change",
        Access.VIEWER,
        "jobs:read",
        "show",
    ),
    Operation(
        "jobs.logs",
        "GET",
        f"{_J}/{{job}}/log",
        "Stream a job's log",
        Access.VIEWER,
        "jobs:read",
        "logs",
    ),
    Operation(
        "jobs.stop",
        "POST",
        f"{_J}/{{job}}/stop",
        "Stop a job",
        Access.EDITOR,
        "jobs:write",
        "stop",
    ),
    Operation(
        "jobs.delete",
        "DELETE",
        f"{_J}/{{job}}",
        "Delete an ended job, its log and its run",
        Access.EDITOR,
        "jobs:write",
        "delete",
    ),
    Operation(
        "attempts.report",
        "PUT",
        f"{_T}/replicas/{{rank}}/{{channel}}",
        "A launcher reports bytes of a channel",
        Access.ATTEMPT,
        "attempts:report",
    ),
    Operation(
        "attempts.missing",
        "POST",
        f"{_T}/blobs/missing",
        "A launcher asks which blobs to send",
        Access.ATTEMPT,
        "attempts:report",
    ),
    Operation(
        "attempts.put_blob",
        "PUT",
        f"{_T}/blobs/{{digest}}",
        "A launcher sends an artifact's bytes",
        Access.ATTEMPT,
        "attempts:report",
    ),
    Operation(
        "attempts.get_blob",
        "GET",
        f"{_T}/blobs/{{digest}}",
        "A launcher fetches code or data",
        Access.ATTEMPT,
        "attempts:report",
    ),
)
