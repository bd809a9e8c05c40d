"""Jobs: what the scheduler runs, their attempts and replicas."""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import AliasChoices, Field, field_validator, model_validator

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Digest, JsonObject, Micros, Name, Stamped, Wire
from nacre.schema.launch import DistributionType
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


MAX_REPLICAS = 1024
_RANGE = re.compile(r"(-?\d{1,9})(?:\.\.(-?\d{1,9}))?")

Priority = Literal["low", "normal", "high"]
PRIORITIES: tuple[Priority, ...] = ("low", "normal", "high")
"""From the last to the first in the queue."""


class Distribution(Wire):
    """How a job's processes find each other: which framework's variables they get.

    RANK, LOCAL_RANK, WORLD_SIZE, MASTER_ADDR and the like, with torchrun's meaning, are there for every type but
    ``none``, and for each job of several processes.
    """

    type: DistributionType = "none"
    launch: Literal["per-process", "per-node"] | None = Field(
        None,
        description="run the command once for each process, or once for each replica (torchrun, accelerate and "
        "mpirun start the processes themselves); null: as the command says",
    )
    parameter_server_count: int = Field(
        0, ge=0, le=64, description="TensorFlow's or MXNet's; MXNet has one at least"
    )


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
    replicas: int | str = Field(
        1,
        validation_alias=_either("replicas", "nodes", "num_nodes", "instance_count"),
        description="of the command, each with these resources, started together or not at all; LEAST..MOST "
        "takes as many as there is room for, and starts again from the checkpoint when that changes",
        examples=[2, "1..4"],
    )
    processes_per_replica: int = Field(
        1,
        ge=1,
        le=256,
        validation_alias=_either("processes_per_replica", "process_count_per_instance", "nproc_per_node"),
    )
    distribution: Distribution = Distribution()
    resume_from: str | None = Field(
        None, description="a job of this project that has ended: begin with a copy of its checkpoints"
    )
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

    @model_validator(mode="before")
    @classmethod
    def _azure_distribution(cls, value: Any) -> Any:
        """Azure ML counts processes and workers in ``distribution``; they are fields of the job here."""
        if not isinstance(value, dict) or not isinstance(value.get("distribution"), dict | str):
            return value
        value = dict(value)
        given = value["distribution"]
        given = {"type": given} if isinstance(given, str) else dict(given)
        for theirs, ours in (
            ("process_count_per_instance", "processes_per_replica"),
            ("worker_count", "replicas"),
        ):
            if theirs in given:
                value.setdefault(ours, given.pop(theirs))
        value["distribution"] = given | {"type": str(given.get("type", "none")).lower()}
        return value

    @field_validator("replicas")
    @classmethod
    def _replicas(cls, value: int | str) -> int | str:
        match = _RANGE.fullmatch(str(value))
        if match is None:
            raise ValueError(f"{value!r} is no number of replicas: write it like 2 or 1..4")
        least, most = int(match[1]), int(match[2] or match[1])
        if least < 1:
            raise ValueError("a job has at least 1 replica")
        if most > MAX_REPLICAS:
            raise ValueError(f"a job has at most {MAX_REPLICAS} replicas")
        if least > most:
            raise ValueError(f"{value}: write the smaller number first, {most}..{least}")
        return least if least == most else f"{least}..{most}"

    @property
    def least(self) -> int:
        """Replicas that the job starts with at least."""
        return int(str(self.replicas).partition("..")[0])

    @property
    def most(self) -> int:
        """Replicas that it takes when there is room."""
        return int(str(self.replicas).rpartition("..")[2])

    @field_validator("workdir")
    @classmethod
    def _inside(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/"):
            raise ValueError("workdir must be a folder inside the code")
        return value


class JobPlan(Answer):
    """What a submission would do: nothing is stored. ``price_per_hour`` is of the replicas at least."""

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


class Replica(Answer):
    """One member of an attempt's gang. ``gpus``: by index of the node's devices, the part it has of each."""

    rank: int
    node: str
    gpus: dict[int, float] = {}
    state: str
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    ready_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    peak_memory: int | None = None
    isolation: JsonObject | None = None


class Attempt(Stamped):
    """One try at a job. ``reason`` to ``exit_code`` are those of the replica that decided its end."""

    number: int
    state: str
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    peak_memory: int | None = Field(None, description="of the replica that had most")
    isolation: JsonObject | None = Field(
        None, description="which limits were really enforced, of replica 0"
    )
    replicas: list[Replica] = []


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
    resume_from: str | None = Field(None, description="id of the job whose checkpoints it began with")
    hardware: JsonObject = {}
    nacre: str


class Job(Stamped):
    """A job. ``name`` is unique in the project; ``run`` is its tracking record."""

    project: Name
    name: str
    kind: Literal["task", "convert", "evaluate", "predict", "drift"] = "task"
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
    retry_at: datetime | None = Field(None, description="it is not started again before")
    price_per_hour: Micros = Field(description="of the replicas that it has, or waits for, at least")
    cost: Micros = 0
    currency: str = "USD"


class JobStop(Wire):
    """``reason`` ends up in the job's record. ``grace``: how long the command has to save its state after
    SIGTERM, when not the job's stop_duration."""

    reason: str | None = None
    grace: Duration | None = None


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
