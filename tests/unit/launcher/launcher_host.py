"""Attempt folders, and launchers as real processes in every mode of this host."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import blake3
from launcher_api import FakeApi

from nacre.ids import new_id
from nacre.launcher import processes, seccomp
from nacre.launcher.isolation import detect
from nacre.launcher.sandbox import filter_path
from nacre.ports.blobs import blob_path

UID = 61234
NOBODY = 65534
SRC = str(Path(seccomp.__file__).parents[2])
SITE = str(Path(blake3.__file__).parents[1])
SYSTEM_PYTHON = "/usr/bin/python3"


def host_modes() -> list[str]:
    """The sandbox modes that really work here; ``bwrap-user`` as another user when we are root."""
    found = detect().modes
    if os.geteuid() == 0 and "bwrap-user" in found and not _others_can_run():
        found.remove("bwrap-user")
    return found


def _others_can_run() -> bool:
    argv = [*as_nobody(), SYSTEM_PYTHON, "-c", "import nacre.launcher.run, nacre.launcher.upload"]
    env = {"PYTHONPATH": f"{SRC}:{SITE}", "PYTHONDONTWRITEBYTECODE": "1"}
    return (
        shutil.which("setpriv") is not None
        and subprocess.run(argv, env=env, capture_output=True, check=False).returncode == 0
    )


def as_nobody() -> list[str]:
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]


MODES = host_modes()
BOXED = [mode for mode in MODES if mode != "none"]


class Host:
    """A home of the server's, and launchers in it."""

    def __init__(self, root: Path, api: FakeApi, mode: str, attempt: str = "", rank: int = 0) -> None:
        """``attempt``: of a gang, in whose folder each replica has one by its rank."""
        self.root = root
        self.api = api
        self.mode = mode
        self.rank = rank
        self.attempt = attempt or new_id("att")
        self.blobs = root / "blobs"
        self.trees = root / "cache" / "trees"
        self.folder = root / "attempts" / self.attempt / (str(rank) if attempt else "")
        self.as_user = mode == "bwrap-user" and os.geteuid() == 0
        for path in (self.blobs, self.trees, self.folder):
            path.mkdir(parents=True, exist_ok=bool(attempt))
        seccomp.main(filter_path(str(self.trees)))
        self.started: list[subprocess.Popen[bytes]] = []

    def blob(self, data: bytes) -> str:
        digest = blake3.blake3(data).hexdigest()
        path = blob_path(self.blobs, digest)
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_bytes(data)
            path.chmod(0o444)
        return digest

    def manifest(self, files: dict[str, bytes]) -> str:
        entries = [
            {"path": path, "size": len(data), "digest": self.blob(data), "executable": False}
            for path, data in files.items()
        ]
        return self.blob(json.dumps({"files": entries}).encode())

    def spec(self, *command: str, **fields: Any) -> None:
        limits = {"grace_s": 2, **fields.pop("limits", {})}
        spec = {
            "version": 1,
            "project": "vision",
            "subject_id": "job_1",
            "subject_name": "train",
            "attempt_id": self.attempt,
            "rank": self.rank,
            "run_id": "f" * 32,
            "folder": str(self.folder),
            "server": self.api.url,
            "token": "secret-token",
            "work_token": "token-of-the-work",
            "blobs_root": str(self.blobs),
            "trees_root": str(self.trees),
            "command": list(command),
            "sandbox": self.mode,
            "uid": UID if self.mode == "bwrap-root" else None,
            "limits": limits,
            **fields,
        }
        path = self.folder / "spec.json"
        path.write_text(json.dumps(spec))
        path.chmod(0o600)

    def start(
        self, *options: str, program: Sequence[str] = ("-m", "nacre.launcher")
    ) -> subprocess.Popen[bytes]:
        env = {"PYTHONPATH": f"{SRC}:{SITE}", "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}
        argv = [sys.executable]
        if self.as_user:
            subprocess.run(
                ["chown", "-R", str(NOBODY), str(self.root / "attempts"), str(self.trees)], check=True
            )
            argv = [*as_nobody(), SYSTEM_PYTHON]
        with open(self.root / "launcher.err", "ab") as errors:
            process = subprocess.Popen(
                [*argv, *program, str(self.folder), *options],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        self.started.append(process)
        return process

    def run(self, *command: str, timeout: float = 60, **fields: Any) -> dict[str, Any]:
        """Launch, wait for the end, and return the exit event."""
        self.spec(*command, **fields)
        process = self.start()
        code = process.wait(timeout)
        said = (self.root / "launcher.err").read_text()
        assert code == 0, said
        return self.exit_event()

    def exit_event(self) -> dict[str, Any]:
        last = self.api.events(self.rank)[-1]
        assert last["type"] == "exit"
        return last

    def log(self) -> str:
        return self.api.channel("log", self.rank).decode("utf-8", "replace")

    def end(self) -> None:
        """End whatever still runs, the work included."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
            process.wait(10)
        for path in (self.root / "attempts").glob("**/workload.json"):
            with contextlib.suppress(ValueError):
                pid = json.loads(path.read_text())["pid"]
                start = json.loads(path.read_text())["start"]
                if processes.alive(pid, start):
                    marks = [f"NACRE_ATTEMPT_ID={self.attempt}".encode()]
                    processes.end_all(pid, marks)
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)


def wait_for(condition: Callable[[], object], timeout: float = 20) -> None:
    """Look until it holds; an assertion error after ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.01)
