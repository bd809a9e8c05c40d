"""A real HTTP server of the routes of blobs and data alone, for tests and benchmarks.

``python -m nacre.testing.data_server FOLDER`` prints its URL and serves until its standard input closes.
Whoever sends ``Authorization: Bearer NAME`` is the user NAME; each is editor of every project.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import uvicorn

from nacre.api.allocator import keep_freed_memory
from nacre.api.app import make_app
from nacre.clock import SystemClock
from nacre.db.connect import Database
from nacre.db.tables import ALL_TABLES
from nacre.db.tables.projects import ProjectRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.plugins.blobs.files import FileBlobs
from nacre.schema.access import Role
from nacre.services.blobs import BlobLedger
from nacre.services.datasets import Datasets
from nacre.services.events import Events
from nacre.services.registry import Services

PROJECTS = ("vision", "speech")


class _Tokens:
    def resolve(self, secret: str) -> Caller:
        return Caller(f"usr_{secret}", secret)


class _Projects:
    def enter(self, caller: Caller, name: str) -> Caller:
        role = Role.EDITOR if name in PROJECTS else None
        return replace(caller, project=ProjectRef(f"prj_{name}", name, role))


class _Wired:
    """The services that these routes use, and no others."""

    def __init__(self, folder: Path) -> None:
        clock = SystemClock()
        self.db = Database.in_folder(folder)
        ALL_TABLES.create_all(self.db.engine)
        with self.db.write() as session:
            for number, name in enumerate(PROJECTS, 1):
                row = ProjectRow(
                    id=f"prj_{name}", number=number, name=name, description="", created_at=clock.now()
                )
                if session.get(ProjectRow, row.id) is None:
                    session.add(row)
        self.tokens = _Tokens()
        self.projects = _Projects()
        self.store = FileBlobs(folder / "blobs")
        self.blobs = BlobLedger(self.db, clock, self.store)
        self.datasets = Datasets(self.db, clock, self.blobs, Events(self.db, clock))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"this server has no {name}")


class DataServer:
    """Serves from a thread of this process; a context manager."""

    def __init__(self, folder: Path) -> None:
        self.wired = _Wired(folder)
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        app = make_app(cast(Services, self.wired), "test")
        config = uvicorn.Config(app, log_level="warning", lifespan="off", access_log=False)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._socket.listen(128)  # connections wait in the kernel until the loop runs

    def run(self) -> None:
        """Serve in this thread until ``stop``."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ask it to end; from any thread."""
        self._server.should_exit = True

    def __enter__(self) -> DataServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self._thread.join(30)
        self.close()

    def close(self) -> None:
        """Give back the socket and the database."""
        self._socket.close()
        self.wired.db.close()


def main() -> None:
    """Serve until standard input closes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    keep_freed_memory()
    server = DataServer(parser.parse_args().folder)
    sys.stdout.write(f"{server.url} {os.getpid()}\n")
    sys.stdout.flush()

    def wait() -> None:
        sys.stdin.read()
        server.stop()

    threading.Thread(target=wait, daemon=True).start()
    server.run()
    server.close()


if __name__ == "__main__":
    main()
