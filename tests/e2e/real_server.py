"""A real server process for tests: its own home, its own ports, the real command line beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import psutil

from nacre.schema.jobs import FINAL_STATES, Job, JobSpec
from nacre.sdk.client import Client
from nacre.sdk.snapshot import push_snapshot

NACRE = str(Path(sys.executable).with_name("nacre"))
DEADLINE_S = 60.0


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    held = [socket.socket() for _ in range(count)]
    try:
        for one in held:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()


def wait_until(
    what: str, true: Callable[[], Any], timeout_s: float = DEADLINE_S, every_s: float = 0.05
) -> Any:
    """The first truthy answer; fails the test with ``what`` at the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        if found := true():
            return found
        assert time.monotonic() < deadline, f"after {timeout_s:.0f} s still not: {what}"
        time.sleep(every_s)


class Server:
    """``python -m nacre.server`` with a home of its own. ``port`` and the home outlive a restart."""

    def __init__(self, home: Path, variables: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.move()
        self.program: list[str] = [sys.executable]
        """What starts the server: this Python, or another as somebody else."""
        self._variables = dict(variables or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._clients: list[Client | httpx.Client] = []
        self._commands: list[subprocess.Popen[bytes]] = []

    def move(self) -> None:
        """Take other ports, for the next start."""
        self.port, self.content_port, self.inference_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self.content_url = f"http://127.0.0.1:{self.content_port}"
        self.inference_url = f"http://127.0.0.1:{self.inference_port}"

    def environ(self, **more: str) -> dict[str, str]:
        """Variables of a program that uses this server on this machine."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("NACRE_")}
        return kept | {"NACRE_HOME": str(self.home), "NO_COLOR": "1", "COLUMNS": "500"} | more

    # Life

    def start(self) -> None:
        """Start it and wait until it is ready."""
        assert self._process is None, "it runs already"
        ports = ["--port", self.port, "--content-port", self.content_port]
        ports += ["--inference-port", self.inference_port]
        # stderr goes to a file: a pipe that nobody reads would stop the server one day
        with (self.home.parent / f"{self.home.name}.err").open("ab") as errors:
            self._process = subprocess.Popen(
                [*self.program, "-m", "nacre.server", "--quiet", *map(str, ports)],
                env=self.environ(**self._variables),
                cwd=self.home.parent,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
            )
        wait_until(f"the server is ready ({self.errors()})", self._ready)

    def _ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the server ended: {self.errors()}"
        try:
            described = json.loads((self.home / "server.json").read_text())
            if described["pid"] != self._process.pid:
                return False
            return httpx.get(f"{self.url}/api/v1/status", timeout=2).status_code < 500
        except (OSError, ValueError, httpx.HTTPError):
            return False

    def errors(self) -> str:
        """What it printed."""
        path = self.home.parent / f"{self.home.name}.err"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    @property
    def pid(self) -> int:
        assert self._process is not None, "it does not run"
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill9(self) -> None:
        """``kill -9`` of the server process only."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self._process = None

    def stop(self) -> None:
        """An orderly end, as ``nacre down`` does it. Work goes on."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(30)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def rss(self) -> int:
        """Bytes of memory that the server process holds."""
        return int(psutil.Process(self.pid).memory_info().rss)

    # Talking to it

    @property
    def token(self) -> str:
        """The owner's."""
        return str(json.loads((self.home / "owner.json").read_text())["token"])

    def client(self, token: str | None = None, project: str = "default") -> Client:
        """The SDK, as the owner unless another token is given. Closed with the server."""
        client = Client(self.url, token or self.token, project=project)
        self._clients.append(client)
        return client

    def http(self, token: str | None = None) -> httpx.Client:
        """Plain HTTP with the owner's token, or another; an empty one sends none."""
        secret = self.token if token is None else token
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        client = httpx.Client(base_url=self.url, headers=headers, timeout=30)
        self._clients.append(client)
        return client

    def run(
        self,
        *words: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        input: bytes | None = None,  # noqa: A002 - as subprocess names it
        check: bool = True,
        timeout_s: float = DEADLINE_S,
    ) -> subprocess.CompletedProcess[bytes]:
        """The real ``nacre`` command. ``check`` fails the test when it does not exit with 0."""
        done = subprocess.run(
            [NACRE, *map(str, words)],
            cwd=cwd or self.home.parent,
            env=self.environ(**(env or {})),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
        if check:
            said = (done.stdout + done.stderr).decode(errors="replace")[-3000:]
            assert done.returncode == 0, (
                f"nacre {' '.join(map(str, words))}: exit {done.returncode}\n{said}"
            )
        return done

    def popen(self, *words: str | Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """The real ``nacre`` command, while it runs, its output in pipes. It is ended with the server."""
        command = subprocess.Popen(
            [NACRE, *map(str, words)],
            cwd=cwd or self.home.parent,
            env=self.environ(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._commands.append(command)
        return command

    # Jobs

    def submit(
        self, code: Mapping[str, str] | None = None, *, client: Client | None = None, **spec: Any
    ) -> Job:
        """Submit a job with these files as its code; ``commands`` runs ``main.py`` unless given."""
        client = client or self.client()
        if code is not None:
            with tempfile.TemporaryDirectory(dir=self.home.parent) as name:
                for path, text in code.items():
                    file = Path(name) / path
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.write_text(text)
                spec["code"] = push_snapshot(client.transport, client.project, Path(name)).manifest
        spec.setdefault("commands", ["python -u main.py"])
        spec.setdefault("resources", {"cpu": 0.25, "memory": "256MB", "shm_size": "16MB"})
        return client.jobs.submit(JobSpec.model_validate(spec))

    def wait(self, job: Job | str, *, client: Client | None = None, timeout_s: float = DEADLINE_S) -> Job:
        """The job when it has ended."""
        client = client or self.client()
        name = job if isinstance(job, str) else job.id
        deadline = time.monotonic() + timeout_s
        while True:
            found = client.jobs.get(name)
            if found.state in FINAL_STATES:
                return found
            left = deadline - time.monotonic()
            assert left > 0, f"{found.name} is still {found.state}: {found.reason}, {found.message}"
            client.jobs.get(name, wait_s=min(left, 5.0), unless=found.state)

    def log(self, job: Job | str, *, client: Client | None = None) -> bytes:
        """The whole log as it is now."""
        client = client or self.client()
        return b"".join(client.jobs.logs(job if isinstance(job, str) else job.id))

    # What it leaves

    def processes(self) -> list[psutil.Process]:
        """Everything on this machine that works for this home, the server itself included."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                home = str(self.home)
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if (
                    any(home in word for word in process.cmdline())
                    or process.environ().get("NACRE_HOME") == home
                ):
                    found.append(process)
        return found

    def work(self, attempt: str = "") -> list[int]:
        """Numbers of the processes inside this server's sandboxes, whatever they call themselves."""
        mark = f"{self.home.name}/attempts/{attempt}"
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if not folder.name.isdigit() or folder.stat().st_uid < 200_000:
                    continue
                if mark in (folder / "mountinfo").read_text():
                    found.append(int(folder.name))
        return found

    def launchers(self) -> list[str]:
        """Command lines of this server's launchers and sandboxes."""
        found = []
        for process in self.processes():
            with contextlib.suppress(psutil.Error):  # it may end while we look
                line = " ".join(process.cmdline())
                if process.pid != self.pid and "modelserver" not in line:
                    found.append(line)
        return found

    def remains(self, job: Job) -> list[str]:
        """What of a job is still on this machine that should be gone: processes, groups, folders."""
        found: list[str] = []
        for attempt in job.attempts:
            found += [f"process {pid}" for pid in self.work(attempt.id)]
            found += [line for line in self.launchers() if attempt.id in line]
            found += map(str, (self.home / "attempts").glob(f"{attempt.id}*"))
            for base, names, _ in os.walk("/sys/fs/cgroup"):
                found += [f"{base}/{name}" for name in names if name.startswith(f"{attempt.id}-")]
        return found

    def assert_gone(self, job: Job) -> None:
        """Nothing of the job is left, soon; and the server answers, fast."""
        try:
            wait_until(f"nothing is left of {job.name}", lambda: not self.remains(job), 15)
        except AssertionError as error:
            error.add_note(f"left: {self.remains(job)}")
            raise
        began = time.monotonic()
        assert self.http().get("/api/v1/status").status_code == 200
        assert time.monotonic() - began < 5

    def end(self) -> None:
        """Stop what runs, then the server, then whatever is left, and close the clients."""
        with contextlib.suppress(Exception):
            if self.running:
                client = self.client()
                stopped = [job for job in client.jobs.list() if job.state not in FINAL_STATES]
                for job in stopped:
                    client.jobs.stop(job.id)
                wait_until("the jobs are gone", lambda: not any(map(self.remains, stopped)), 10)
        for client in self._clients:
            client.close()
        for command in self._commands:
            if command.returncode is None:
                command.kill()
                command.communicate(timeout=10)
        self.stop()
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._remove_groups()
        shutil.rmtree(self.home, ignore_errors=True)

    def _remove_groups(self) -> None:
        """The empty control groups of launchers that were killed: the test's, so nobody else tidies up."""
        attempts = {path.name for name in ("logs", "attempts") for path in (self.home / name).glob("att_*")}
        for base, names, _ in os.walk("/sys/fs/cgroup"):
            for name in names:
                if name.rpartition("-")[0] in attempts:
                    with contextlib.suppress(OSError):
                        os.rmdir(f"{base}/{name}")


MakeServer = Callable[..., Server]
"""The fixture ``make_server``."""
