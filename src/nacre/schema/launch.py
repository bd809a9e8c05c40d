"""What the engine tells a launcher (``spec.json``), and what the launcher reports.

The launcher is a standard-library program: it reads these fields from plain JSON, without pydantic.

The attempt folder, one per replica, is the launcher's spool and survives every crash::

    spec.json        LaunchSpec, mode 0600
    log              stdout and stderr of the command, appended by a pipe that outlives the launcher
    io/track.jsonl   tracking records, appended by the command (``/run/nacre`` inside the sandbox)
    events.jsonl     ReplicaEvent lines, appended by the launcher
    samples.jsonl    ReplicaSample lines, appended by the launcher
    acks.json        {"log": n, "track": n, "events": n, "samples": n}: how many bytes the server has taken
    exit             the command's exit code, written by the shell that wraps the sandbox
    launcher.json    {"pid": …, "start": …} of the launcher; workload.json the same of the command
    work/ output/    the code's copy and working folder; $NACRE_OUTPUT_DIR

Four byte channels go to the server, ``PUT /api/v1/attempts/{attempt}/replicas/{rank}/{channel}
?offset=N`` with raw bytes (``log``: any bytes; the others: whole lines). The server
applies what lies past what it has, in one transaction with the new offset, and answers
:class:`ChannelAck`; so a repeated or overlapping send never counts twice.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from nacre.schema.base import Answer, Digest, JsonObject, Wire

CHANNELS = ("log", "track", "events", "samples")
Channel = Literal["log", "track", "events", "samples"]
Network = Literal["none", "packages", "full"]
"""What work reaches: the server only; package indexes too, through a proxy; everything that the host does."""
DistributionType = Literal["none", "pytorch", "tensorflow", "jax", "keras", "mxnet", "mpi"]


class FileEntry(Wire):
    """One file of a manifest. ``path`` is relative, with forward slashes and no ``..``."""

    path: str
    size: int = Field(ge=0)
    digest: Digest
    executable: bool = False


class Manifest(Wire):
    """A folder by content. Its digest is that of its canonical JSON, which is itself a blob."""

    files: list[FileEntry]


class SandboxMode(StrEnum):
    """How much stands between the work and the host."""

    BWRAP_ROOT = "bwrap-root"  # bubblewrap started by root; the work gets a uid of its project
    BWRAP_USER = "bwrap-user"  # bubblewrap in a user namespace
    NONE = "none"  # a plain process with limits: "reduced isolation"


class LaunchInput(Wire):
    """A dataset version to place at ``<inputs>/<name>`` (``/data/<name>`` in a sandbox)."""

    name: str
    manifest: Digest
    mode: Literal["ro_mount", "download"] = "ro_mount"
    as_name: str | None = Field(None, description="what frameworks call it, such as keras:mnist")
    file: str | None = Field(None, description="variables point at this file of it, not at the folder")


class LaunchMount(Wire):
    """A folder or file of the host that the work sees. Without a sandbox ``target`` is ignored."""

    source: str
    target: str
    writable: bool = False


class LaunchLimits(Wire):
    """Limits; null means none. Every one of them that the host cannot enforce is said so."""

    cpu: float | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    shm_bytes: int | None = None
    processes: int | None = 4096
    max_duration_s: float | None = None
    log_bytes: int = 256 * 2**20
    grace_s: float = 10.0
    gpus: list[int] = []


class LaunchDistribution(Wire):
    """How the processes of a gang are told of each other.

    ``launch``: ``per-process`` runs the command once for each of the ``processes`` of a replica, ``per-node``
    once for the replica, with a program such as torchrun that starts the processes itself.
    ``parameter_servers`` run beside replica 0 (TensorFlow, MXNet).
    """

    type: DistributionType = "none"
    launch: Literal["per-process", "per-node"] = "per-process"
    parameter_servers: int = 0
    least: int = Field(1, description="replicas that the job is content with; less than it has: elastic")


class GangMember(Wire):
    """A replica of a gang, as the others reach it.

    ``ports``: free ones on that address: of rank 0's, the first three are the rendezvous of PyTorch (its TCP
    store), JAX (coordinator) and MXNet (scheduler); of any, from the fourth, one for each process of its own
    and then for each parameter server.
    """

    rank: int
    address: str
    ports: list[int]


class LaunchPackages(Wire):
    """How the work installs packages of its own on top of its environment, when it has a network."""

    uv: str | None = Field(None, description="path of the program")
    variables: dict[str, str] = Field({}, description="what pip and uv are told of package indexes")
    shown: list[str] = Field([], description="folders and files that those name, seen at their own paths")


class LaunchSpec(Wire):
    """One replica of one attempt of a job, an instance, or a replica of an endpoint."""

    version: Literal[1] = 1
    kind: Literal["job", "instance", "endpoint"] = "job"
    project: str
    subject_id: str = Field(description="id of the job or instance")
    subject_name: str
    attempt_id: str
    rank: int = Field(0, description="of the replica in its gang")
    replicas: int = Field(1, description="size of the gang; the command waits until all of it is ready")
    processes: int = Field(1, description="of this replica, and of each other one")
    distribution: LaunchDistribution = LaunchDistribution()
    restarts: int = Field(0, description="attempts of the job before this one")
    max_restarts: int = 0
    run_id: str | None = None
    experiment: str | None = Field(None, description="name of the run's experiment")
    capture: bool = Field(False, description="whether what the work tracks nowhere is captured")
    folder: str = Field(description="the attempt folder")
    server: str = Field(description="http://host:port or unix:/path of the API, for the launcher")
    api_url: str | None = Field(
        None, description="http URL of the API, for work that has the host's network"
    )
    token: str = Field(description="the launcher's own: it reports this attempt, and nobody else sees it")
    work_token: str = Field("", description="the work's, in NACRE_TOKEN: it cannot report")
    work_scopes: list[str] | None = Field(None, exclude=True, description="of work_token; null: the kind's")
    blobs_root: str | None = Field(description="folder of the blob store when it is on this host")
    trees_root: str = Field(description="where hard-linked trees of manifests are kept")
    code: Digest | None = None
    workdir: str = "."
    inputs: list[LaunchInput] = []
    environment: str | None = Field(None, description="folder of the built environment")
    interpreter: str | None = Field(None, description="base folder of its Python")
    nacre_site: str | None = Field(None, description="folder that holds the package nacre")
    command: list[str]
    variables: dict[str, str] = {}
    secrets: dict[str, str] = {}
    secret_files: dict[str, str] = Field({}, description="file name in /run/secrets → content")
    checkpoints: str | None = None
    checkpoints_from: str | None = Field(
        None, description="folder of checkpoints to begin with, when there are none yet"
    )
    home: str | None = Field(None, description="persistent home; a private folder when null")
    mounts: list[LaunchMount] = []
    api_socket_folder: str | None = Field(None, description="bound at /run/nacre-api")
    sandbox: SandboxMode
    uid: int | None = None
    network: Network = "none"
    package_socket_folder: str | None = Field(
        None, description="folder of the package proxy's unix socket proxy.sock, for network: packages"
    )
    packages: LaunchPackages | None = None
    limits: LaunchLimits = LaunchLimits()


class ExitReason(StrEnum):
    """How the work ended."""

    SUCCEEDED = "succeeded"
    EXIT_NONZERO = "exit_nonzero"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"
    DISK_FULL = "disk_full"
    DATA_MISSING = "data_missing"
    LAUNCH_FAILED = "launch_failed"
    CANCELLED_BY_USER = "cancelled_by_user"


class ReplicaEvent(Wire):
    """A line of ``events.jsonl``.

    ``type: state`` carries ``state`` (preparing, starting, running, stopping). ``type: ready``, of a gang's
    replica, carries ``address`` and ``ports``: it waits for the others. ``type: artifacts``
    carries ``manifest`` (what $NACRE_OUTPUT_DIR held). ``type: exit``, the last line, carries
    ``reason``, ``message`` and what is known of ``exit_code``, ``signal``, ``peak_memory_bytes``,
    ``disk_bytes``, ``isolation``.
    """

    time_ms: int
    type: Literal["state", "ready", "artifacts", "exit", "warning"]
    state: Literal["preparing", "starting", "running", "stopping"] | None = None
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    signal: int | None = None
    peak_memory_bytes: int | None = None
    disk_bytes: int | None = None
    manifest: Digest | None = None
    isolation: JsonObject | None = Field(None, description="which limits are really enforced")
    address: str | None = Field(None, max_length=64)
    ports: list[Annotated[int, Field(ge=1, le=65535)]] | None = Field(None, max_length=4096)


class GpuSample(Wire):
    """What one device did; null where NVML cannot tell."""

    percent: float | None = None
    memory_bytes: int | None = None
    memory_percent: float | None = None
    power_watts: float | None = None


class ReplicaSample(Wire):
    """What a replica used at one moment: a line of ``samples.jsonl``. Null: not known here.

    Rates are averages since the sample before. ``cpu_percent``: 100 is one core. ``network_*_bytes``: since the
    work's own network began. ``gpus``: of each device of the replica, in its own order, ``percent`` busy and
    ``memory_bytes``.
    """

    time_ms: int
    cpu_percent: float | None = Field(None, ge=0)
    memory_bytes: int | None = Field(None, ge=0)
    disk_bytes: int | None = Field(None, ge=0, description="of the working, output and home folders")
    disk_read_bytes_s: float | None = Field(None, ge=0)
    disk_write_bytes_s: float | None = Field(None, ge=0)
    network_receive_bytes: int | None = Field(None, ge=0)
    network_transmit_bytes: int | None = Field(None, ge=0)
    processes: int | None = Field(None, ge=0)
    gpus: list[GpuSample] = []


class ChannelAck(Answer):
    """How far the server has the channel, and what it wants the launcher to do.

    ``desired: stop`` asks the launcher to stop the work (SIGTERM, grace, SIGKILL) and to report
    ``reason``; ``fence`` says that this attempt is no longer the current one: stop at once.
    ``rendezvous`` has all members of the gang in the order of ranks, once each is ready.
    """

    offset: int
    desired: Literal["run", "stop", "fence"] = "run"
    reason: str | None = None
    grace_s: float | None = Field(None, description="of the stop, when not that of the spec")
    rendezvous: list[GangMember] | None = None
