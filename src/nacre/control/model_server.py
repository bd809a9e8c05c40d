"""The model server, seen from the server that starts it, tells it what to serve, and asks it."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pydantic import ValidationError

from nacre.errors import Unavailable
from nacre.schema.serving import Demand, Routes, ServedHistory, ServingStatus, TokenGrant, Tokens
from nacre.services.endpoint_calls import Inferred

_START_SECONDS = 20.0
_LOOK_S = 0.02
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where one calls what listens everywhere


class _UnixConnection(HTTPConnection):
    """HTTP to a unix socket, whose path may be longer than the 107 bytes that the kernel takes."""

    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("modelserver", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)


class ModelServer:
    """The processes that answer on the inference listener. They outlive this server and are found again."""

    def __init__(self, folder: Path, host: str, port: int, workers: int = 1) -> None:
        self._folder = folder
        self._host = host
        self._port = port
        self._workers = workers
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping: int | None = None
        self._secret = secrets.token_urlsafe(32)

    def state(self) -> str:
        """``running`` or ``stopped``. One that an earlier server started for another address is as good
        as none."""
        pid = self._pid()
        return "running" if pid not in (None, self._stopping) and not self._elsewhere() else "stopped"

    def _pid(self) -> int | None:
        return (self._living() or {}).get("pid")

    def _elsewhere(self) -> bool:
        found = self._living()
        return found is not None and (found.get("host"), found.get("port")) != (self._host, self._port)

    def _living(self) -> dict[str, Any] | None:
        """What the model server wrote of itself, while it runs."""
        if self._process is not None:
            self._process.poll()
        try:
            found: dict[str, Any] = json.loads((self._folder / "modelserver.json").read_text())
            stat = Path(f"/proc/{int(found['pid'])}/stat").read_text()
            fields = stat.rpartition(")")[2].split()
            alive = int(fields[19]) == found["start"] and fields[0] not in "ZX"
            return found if alive else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def ensure(self) -> None:
        """Start it when it does not run, and wait until it listens. It begins with the routes as written.

        Raises:
            Unavailable: it ended before that, and the sentence has its own words; or it takes longer,
                and goes on starting.
        """
        deadline = time.monotonic() + _START_SECONDS
        if self._elsewhere():
            self.stop()
        log = self._folder / "modelserver.log"
        started = False
        while time.monotonic() < deadline:
            if self._pid() not in (None, self._stopping):
                return
            if self._process is None or self._process.poll() is not None:  # else it starts, or still ends
                if started:
                    lines = log.read_text(errors="replace").strip().splitlines() or ["it wrote nothing"]
                    raise Unavailable(f"the model server did not start: {lines[-1]}")
                if self._pid() is None:
                    self._process, self._stopping, started = self._start(log), None, True
            time.sleep(_LOOK_S)
        what = "still finishes its last requests" if self._stopping else "does not listen"
        raise Unavailable(f"the model server {what} after {_START_SECONDS:.0f} s: see {log}")

    def _start(self, log: Path) -> subprocess.Popen[bytes]:
        """Its own session, so that it outlives this server. The log of the one before is kept beside."""
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        command = [sys.executable, "-m", "nacre.modelserver", "--folder", str(self._folder)]
        with log.open("wb") as stream:
            return subprocess.Popen(
                [
                    *command,
                    "--host",
                    self._host,
                    "--port",
                    str(self._port),
                    "--workers",
                    str(self._workers),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )

    def write(self, routes: Routes) -> None:
        """Leave the routes where the model server reads them when it starts, and when it is told to."""
        self._replace("routes.json", routes.model_dump_json())

    def grant(self, tokens: dict[str, TokenGrant]) -> None:
        """Leave the tokens where the model server sees within a second that they are others; with this
        server's own among them."""
        own = {hashlib.sha256(self._secret.encode()).hexdigest(): TokenGrant(projects=["*"])}
        self._replace("tokens.json", Tokens(tokens=tokens | own).model_dump_json())

    def _replace(self, name: str, text: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        target = self._folder / name
        temporary = target.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(target)

    def reload(self) -> ServingStatus:
        """Wait until the routes that were written are applied, or refused. What is new may still load then.

        Raises:
            Unavailable: it does not answer.
        """
        return self._status("POST", "/reload", 30.0)

    def history(self, project: str, name: str, revision: int | None = None) -> ServedHistory | None:
        """What an endpoint, or one revision of it, answered lately; null when nobody can tell."""
        if self._pid() is None:
            return None
        path = f"/history?endpoint={quote(f'{project}/{name}', safe='')}"
        path += f"&revision={revision}" if revision is not None else ""
        try:
            return ServedHistory.model_validate_json(self._ask("GET", path, 2.0))
        except (Unavailable, ValidationError):
            return None

    def demand(self, wait_s: float) -> Demand:
        """The endpoints of which requests wait for a first replica, as soon as there is one.

        Raises:
            Unavailable: it does not answer.
        """
        return Demand.model_validate_json(self._ask("GET", f"/demand?wait={wait_s:g}", wait_s + 5))

    def infer(self, project: str, name: str, body: bytes, timeout_s: float) -> Inferred:
        """Its answer to a request of the Open Inference Protocol, by this server's own token.

        Raises:
            Unavailable: it does not answer, or not in time.
        """
        path = f"/endpoints/{quote(project)}/{quote(name)}/v2/models/{quote(name)}/infer"
        headers = {"Authorization": f"Bearer {self._secret}", "Content-Type": "application/json"}
        connection = HTTPConnection(_LOOPBACK.get(self._host, self._host), self._port, timeout=timeout_s)
        begin = time.perf_counter()
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        except TimeoutError as error:
            raise Unavailable(f"the model did not answer within {timeout_s:.0f} s") from error
        except (OSError, HTTPException) as error:
            raise Unavailable(f"the model server does not answer: {error}") from error
        finally:
            connection.close()
        return Inferred(answer.status, content, (time.perf_counter() - begin) * 1000)

    def status(self) -> ServingStatus | None:
        """What it serves and counts; null when it does not answer."""
        if self._pid() is None:
            return None
        try:
            return self._status("GET", "/status", 2.0)
        except Unavailable:
            return None

    def _status(self, method: str, path: str, timeout_s: float) -> ServingStatus:
        try:
            return ServingStatus.model_validate_json(self._ask(method, path, timeout_s))
        except ValidationError as error:
            raise Unavailable(f"the model server's answer makes no sense: {error}") from error

    def _ask(self, method: str, path: str, timeout_s: float) -> bytes:
        connection = _UnixConnection(self._folder / "control.sock", timeout_s)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, HTTPException) as error:
            raise Unavailable(f"the model server does not answer: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            said = content[:200].decode(errors="replace")
            raise Unavailable(f"the model server answered {answer.status}: {said}")
        return content

    def stop(self) -> None:
        """Ask it to finish its requests and end; once. Does not wait."""
        pid = self._pid()
        if pid is not None and pid != self._stopping:
            self._stopping = pid
            os.kill(pid, signal.SIGTERM)
