"""What every launch on this server has in common, whatever is launched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nacre.db.tables.projects import ProjectRow
from nacre.ports.engines import NodeFacts
from nacre.schema.launch import LaunchPackages, SandboxMode

_FIRST_UID = 200_000


@dataclass(frozen=True)
class LaunchPlace:
    """Where things are for launchers.

    Attributes:
        server: address of the API for launchers, ``http://host:port`` or ``unix:/path``.
        attempts: folder of the attempt folders; its path should be short, for sockets lie in it.
        trees: folder of the hard-linked trees, on the file system of the blobs.
        checkpoints: folder of the jobs' checkpoint folders, which outlive their attempts.
        blobs_root: folder of the blob store when its blobs are files on this host.
        nacre_site: folder that holds the package ``nacre``.
        api_socket_folder: folder of the API's unix socket ``nacre.sock``.
        api_url: http URL of the API, for work that shares the host's network.
        package_socket_folder: folder of the package proxy's unix socket ``proxy.sock``.
        packages: how work with a network installs packages of its own.
        root: whether the server runs as root.
        reachable: whether other users can get to the attempts' folders and to the interpreter. Without a
            sandbox work gets a uid of its project only then, and else runs as the server's own user.
    """

    server: str
    attempts: Path
    trees: Path
    checkpoints: Path
    blobs_root: Path | None = None
    nacre_site: Path | None = None
    api_socket_folder: Path | None = None
    api_url: str | None = None
    package_socket_folder: Path | None = None
    packages: LaunchPackages | None = None
    root: bool = False
    reachable: bool = False

    def common(
        self, project: ProjectRow, attempt_id: str, facts: NodeFacts, rank: int = 0
    ) -> dict[str, Any]:
        """The fields of a ``LaunchSpec`` that do not depend on what is launched.

        When the server is root, work gets a uid of its project; else nobody can give it one.
        """
        plain = facts.sandbox is SandboxMode.NONE
        own_uid = self.root and (self.reachable if plain else facts.sandbox is SandboxMode.BWRAP_ROOT)
        return {
            "project": project.name,
            "attempt_id": attempt_id,
            "rank": rank,
            "folder": str(self.attempts / attempt_id / str(rank)),
            "server": self.server,
            "api_url": self.api_url,
            "token": "",
            "blobs_root": None if self.blobs_root is None else str(self.blobs_root),
            "trees_root": str(self.trees),
            "nacre_site": None if self.nacre_site is None else str(self.nacre_site),
            "api_socket_folder": None if self.api_socket_folder is None else str(self.api_socket_folder),
            "sandbox": facts.sandbox,
            "uid": _FIRST_UID + project.number if own_uid else None,
            "network": project.network,
            "package_socket_folder": self.package_socket_folder and str(self.package_socket_folder),
            "packages": self.packages if project.network != "none" else None,
        }
