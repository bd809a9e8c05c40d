"""Keeps the model server running, and what it serves equal to what is stored."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from nacre.control.loop import Loop
from nacre.errors import Unavailable
from nacre.schema.serving import Routes, ServingStatus
from nacre.services.endpoints import Endpoints
from nacre.services.tokens import Tokens

_START_SECONDS = 20.0


class ModelServer:
    """The process that answers on the inference listener. It outlives this server and is found again."""

    def __init__(self, folder: Path, host: str, port: int) -> None:
        self._folder = folder
        self._host = host
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(
            transport=httpx.HTTPTransport(uds=str(folder / "control.sock")), base_url="http://modelserver"
        )

    def state(self) -> str:
        """``running`` or ``stopped``."""
        return "running" if self._pid() else "stopped"

    def _pid(self) -> int | None:
        if self._process is not None:
            self._process.poll()
        try:
            found = json.loads((self._folder / "modelserver.json").read_text())
            stat = Path(f"/proc/{found['pid']}/stat").read_text()
        except (OSError, ValueError):
            return None
        fields = stat.rpartition(")")[2].split()
        alive = int(fields[19]) == found["start"] and fields[0] != "Z"
        return int(found["pid"]) if alive else None

    def ensure(self) -> None:
        """Start it when it does not run, and wait until it listens.

        Raises:
            Unavailable: it ended before that; the sentence has its own words.
        """
        if self._pid():
            return
        log = self._folder / "modelserver.log"
        command = [sys.executable, "-m", "nacre.modelserver", "--folder", str(self._folder)]
        with log.open("wb") as stream:
            self._process = subprocess.Popen(
                [*command, "--host", self._host, "--port", str(self._port)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._pid():
                return
            if self._process.poll() is not None:
                lines = log.read_text(errors="replace").strip().splitlines() or ["it wrote nothing"]
                raise Unavailable(f"the model server did not start: {lines[-1]}")
            time.sleep(0.02)
        raise Unavailable(f"the model server did not listen within {_START_SECONDS:.0f} s: see {log}")

    def apply(self, routes: Routes) -> ServingStatus:
        """Hand over the routes and wait until they are served, or refused.

        Raises:
            Unavailable: it does not answer.
        """
        target = self._folder / "routes.json"
        temporary = target.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(routes.model_dump_json())
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(target)
        return self._ask("POST", "/reload", 120.0)

    def status(self) -> ServingStatus | None:
        """What it serves and counts; null when it does not answer."""
        if self._pid() is None:
            return None
        try:
            return self._ask("GET", "/status", 2.0)
        except Unavailable:
            return None

    def _ask(self, method: str, path: str, timeout_s: float) -> ServingStatus:
        try:
            answer = self._http.request(method, path, timeout=timeout_s)
        except httpx.HTTPError as error:
            raise Unavailable(f"the model server does not answer: {error}") from error
        if answer.status_code != 200:
            raise Unavailable(f"the model server answered {answer.status_code}: {answer.text[:200]}")
        return ServingStatus.model_validate_json(answer.content)

    def stop(self) -> None:
        """Ask it to finish its requests and end."""
        if (pid := self._pid()) is not None:
            os.kill(pid, signal.SIGTERM)


class ServingLoop(Loop):
    """Applies endpoints and token grants whenever either changed, or the model server was started anew."""

    name = "serving"
    topics = ("endpoints", "access")
    interval_s = 5.0

    def __init__(self, server: ModelServer, endpoints: Endpoints, tokens: Tokens) -> None:
        self._server = server
        self._endpoints = endpoints
        self._tokens = tokens
        self._applied: Routes | None = None
        self._generation = time.time_ns()

    def run_once(self) -> None:
        """Start the model server when an endpoint wants it; stop it when none is left."""
        wanted = self._endpoints.routes(self._generation, self._tokens.grants())
        if not wanted.endpoints:
            self._server.stop()
            self._applied = None
            return
        fresh = self._server.state() != "running"
        if not fresh and self._applied == wanted:
            return
        self._server.ensure()
        self._generation += 1
        wanted = wanted.model_copy(update={"generation": self._generation})
        self._endpoints.settle(self._server.apply(wanted))
        self._applied = wanted
