"""``spec.json`` as plain attributes. The contract is ``nacre.schema.launch.LaunchSpec``."""

from __future__ import annotations

import json
import os
from typing import Any


class Limits:
    """``LaunchLimits``; None means no limit."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.cpu: float | None = raw.get("cpu")
        self.memory_bytes: int | None = raw.get("memory_bytes")
        self.disk_bytes: int | None = raw.get("disk_bytes")
        self.shm_bytes: int | None = raw.get("shm_bytes")
        self.processes: int | None = raw.get("processes", 4096)
        self.max_duration_s: float | None = raw.get("max_duration_s")
        self.log_bytes: int = raw.get("log_bytes", 256 * 2**20)
        self.grace_s: float = raw.get("grace_s", 10.0)
        self.gpus: list[int] = raw.get("gpus") or []


class Input:
    """``LaunchInput``."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.name: str = raw["name"]
        self.manifest: str = raw["manifest"]
        self.mode: str = raw.get("mode", "ro_mount")
        self.as_name: str | None = raw.get("as_name")
        self.file: str | None = raw.get("file")


class Mount:
    """``LaunchMount``."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.source: str = raw["source"]
        self.target: str = raw["target"]
        self.writable: bool = raw.get("writable", False)


class Packages:
    """``LaunchPackages``."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.uv: str | None = raw.get("uv")
        self.variables: dict[str, str] = raw.get("variables") or {}
        self.shown: list[str] = raw.get("shown") or []


class Distribution:
    """``LaunchDistribution``."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.type: str = raw.get("type", "none")
        self.launch: str = raw.get("launch", "per-process")
        self.parameter_servers: int = raw.get("parameter_servers", 0)


class Spec:
    """``LaunchSpec``, read without pydantic. Raises KeyError for a required field that is absent."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.kind: str = raw.get("kind", "job")
        self.project: str = raw["project"]
        self.subject_id: str = raw["subject_id"]
        self.subject_name: str = raw["subject_name"]
        self.attempt_id: str = raw["attempt_id"]
        self.rank: int = raw.get("rank", 0)
        self.replicas: int = raw.get("replicas", 1)
        self.processes: int = raw.get("processes", 1)
        self.distribution = Distribution(raw.get("distribution") or {})
        self.restarts: int = raw.get("restarts", 0)
        self.max_restarts: int = raw.get("max_restarts", 0)
        self.run_id: str | None = raw.get("run_id")
        self.experiment: str | None = raw.get("experiment")
        self.capture: bool = raw.get("capture", False)
        self.folder: str = raw["folder"]
        self.server: str = raw["server"]
        self.api_url: str | None = raw.get("api_url")
        self.token: str = raw["token"]
        self.work_token: str = raw.get("work_token", "")
        self.blobs_root: str | None = raw.get("blobs_root")
        self.trees_root: str = raw["trees_root"]
        self.code: str | None = raw.get("code")
        self.workdir: str = raw.get("workdir") or "."
        self.inputs = [Input(item) for item in raw.get("inputs") or []]
        self.environment: str | None = raw.get("environment")
        self.interpreter: str | None = raw.get("interpreter")
        self.nacre_site: str | None = raw.get("nacre_site")
        self.command: list[str] = raw["command"]
        self.variables: dict[str, str] = raw.get("variables") or {}
        self.secrets: dict[str, str] = raw.get("secrets") or {}
        self.secret_files: dict[str, str] = raw.get("secret_files") or {}
        self.checkpoints: str | None = raw.get("checkpoints")
        self.checkpoints_from: str | None = raw.get("checkpoints_from")
        self.home: str | None = raw.get("home")
        self.mounts = [Mount(item) for item in raw.get("mounts") or []]
        self.api_socket_folder: str | None = raw.get("api_socket_folder")
        self.sandbox: str = raw["sandbox"]
        self.uid: int | None = raw.get("uid")
        self.network: str = raw.get("network", "none")
        self.package_socket_folder: str | None = raw.get("package_socket_folder")
        self.packages = Packages(raw["packages"]) if raw.get("packages") else None
        self.limits = Limits(raw.get("limits") or {})

    @property
    def boxed(self) -> bool:
        """Whether bubblewrap stands around the command."""
        return self.sandbox != "none"

    @property
    def bridged(self) -> bool:
        """Whether the command has a network of its own, and a bridge in it leads to the API."""
        return self.boxed and self.network != "full" and self.api_socket_folder is not None

    @property
    def proxied(self) -> bool:
        """Whether that bridge leads to the package proxy too."""
        return self.bridged and self.network == "packages" and self.package_socket_folder is not None

    @property
    def distributed(self) -> bool:
        """Whether the processes are told of each other."""
        return self.replicas > 1 or self.processes > 1 or self.distribution.type != "none"

    @property
    def starts(self) -> int:
        """How often this replica starts the command; one that starts processes itself is started once."""
        return 1 if self.distribution.launch == "per-node" else self.processes

    @property
    def servers(self) -> int:
        """Parameter servers beside replica 0; MXNet does nothing without one."""
        if self.distribution.type == "mxnet":
            return max(1, self.distribution.parameter_servers)
        return self.distribution.parameter_servers if self.distribution.type == "tensorflow" else 0

    @property
    def spawns(self) -> bool:
        """Whether this replica has more to start than the command, once."""
        return self.starts > 1 or (self.rank == 0 and self.servers > 0)

    @property
    def secluded(self) -> bool:
        """Whether the command has a network of its own, or one with the other replicas of its attempt."""
        return self.boxed and self.network != "full"

    @property
    def shares_network(self) -> bool:
        """Whether all replicas of the attempt on this node have one network, and nobody else."""
        return self.secluded and self.replicas > 1

    @property
    def owner(self) -> int | None:
        """The uid that the command has, and its files must belong to, when it is not the launcher's own."""
        return self.uid if self.sandbox != "bwrap-user" and os.geteuid() == 0 else None


def load(path: str) -> Spec:
    """Read a spec file. Raises OSError, ValueError or KeyError."""
    with open(path, encoding="utf-8") as file:
        return Spec(json.load(file))
