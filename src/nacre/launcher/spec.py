"""``spec.json`` as plain attributes. The contract is ``nacre.schema.launch.LaunchSpec``."""

from __future__ import annotations

import json
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


class Spec:
    """``LaunchSpec``, read without pydantic. Raises KeyError for a required field that is absent."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self.kind: str = raw.get("kind", "job")
        self.project: str = raw["project"]
        self.subject_id: str = raw["subject_id"]
        self.subject_name: str = raw["subject_name"]
        self.attempt_id: str = raw["attempt_id"]
        self.rank: int = raw.get("rank", 0)
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
        self.home: str | None = raw.get("home")
        self.mounts = [Mount(item) for item in raw.get("mounts") or []]
        self.api_socket_folder: str | None = raw.get("api_socket_folder")
        self.sandbox: str = raw["sandbox"]
        self.uid: int | None = raw.get("uid")
        self.network: str = raw.get("network", "none")
        self.limits = Limits(raw.get("limits") or {})

    @property
    def boxed(self) -> bool:
        """Whether bubblewrap stands around the command."""
        return self.sandbox != "none"

    @property
    def bridged(self) -> bool:
        """Whether the command has a network of its own, and a bridge in it leads to the API."""
        return self.boxed and self.network == "none" and self.api_socket_folder is not None

    @property
    def owner(self) -> int | None:
        """The uid that the command's files must belong to, when it is not the launcher's own."""
        return self.uid if self.sandbox == "bwrap-root" else None


def load(path: str) -> Spec:
    """Read a spec file. Raises OSError, ValueError or KeyError."""
    with open(path, encoding="utf-8") as file:
        return Spec(json.load(file))
