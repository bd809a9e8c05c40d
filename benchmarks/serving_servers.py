"""The servers that serving.py compares: their environments, starting them, and one load on one of them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import httpx
import numpy as np
import psutil
import serving_nacre as nacre
import uv
from serving_requests import Rpc, asking, bodies, outputs, sample, v2_rpc

HERE = Path(__file__).resolve().parent
LOAD = HERE / "serving_load.py"
LOAD_GRPC = HERE / "serving_load_grpc.py"
APPS = HERE / "serving_apps.py"
START = 90.0
GRPC_CALLS = 4
"""Under way at once on a connection."""
MARK = "NACRE_BENCHMARK_SERVER"


@dataclass
class Peer:
    """Another server. ``path``: of the requests; ``binary``: whether it reads v2's binary form; ``home``:
    whose environment it shares."""

    title: str
    packages: list[str]
    path: str = "/v2/models/mlp/infer"
    binary: bool = False
    needs: str | None = None
    python: str = "3.11"
    home: str | None = None


MLSERVER = ["mlserver", "uvloop<0.22"]
"""Its worker processes do not start with a later uvloop, which it would take."""
SYSTEM = "/usr/bin/python3"
"""Triton's wheel has interpreters of its own, which go with the libraries of a distribution's Python."""
PEERS = {
    "triton": Peer("Triton, python backend", ["nvidia-pytriton", "numpy<2"], binary=True, python=SYSTEM),
    "fastapi": Peer(
        "FastAPI, by hand", ["fastapi", "uvicorn", "uvloop", "httptools", "orjson"], binary=True
    ),
    "mlserver": Peer("MLServer, without workers", MLSERVER),
    "mlserver-workers": Peer("MLServer, as it comes", MLSERVER, home="mlserver"),
    "kserve": Peer("KServe", ["kserve"], binary=True),
    "litserve": Peer("LitServe", ["litserve"], "/predict"),
    "bentoml": Peer("BentoML", ["bentoml"], "/infer"),
    "mlflow": Peer("MLflow", ["mlflow", "onnx"], "/invocations"),
    "torchserve": Peer(
        "TorchServe",
        ["torchserve", "torch-model-archiver", "torch", "pyyaml"],
        "/predictions/mlp",
        needs="java",
    ),
    "ray": Peer("Ray Serve", ["ray[serve]"], "/"),
}


def cores() -> tuple[int, int]:
    """The server's core and the load generator's."""
    have = sorted(os.sched_getaffinity(0))
    return have[0], have[-1]


def free_port() -> int:
    """The first of three free ones in a row."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        with suppress(OSError):
            for number in range(port + 1, port + 3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
            return port


@dataclass
class Server:
    """A running server, and the requests that it is asked, by kind."""

    title: str
    process: subprocess.Popen[bytes]
    port: int
    requests: dict[str, bytes | Rpc]
    grpc_port: int
    log: Path

    def family(self) -> list[psutil.Process]:
        """Its processes, also those that lost their parent, and made sessions of their own."""
        every = list(psutil.process_iter())
        sessions = set()
        for one in every:
            with suppress(ProcessLookupError, psutil.Error):
                if one.environ().get(MARK) == str(self.log):
                    sessions.add(os.getsid(one.pid))
        found = []
        for one in every:  # some write their title over their environment
            with suppress(ProcessLookupError):
                if os.getsid(one.pid) in sessions:
                    found.append(one)
        return found

    def cpu(self) -> float:
        """Seconds of CPU time so far."""
        total = 0.0
        for one in self.family():
            with suppress(psutil.Error):
                times = one.cpu_times()
                total += times.user + times.system
        return total

    def memory(self) -> dict[str, float]:
        """Megabytes: resident, and as ``pss`` with what processes share counted once."""
        total = {"rss": 0.0, "pss": 0.0}
        for one in self.family():
            with suppress(psutil.Error):
                info = one.memory_full_info()
                total["rss"] += info.rss / 1e6
                total["pss"] += info.pss / 1e6
        return total

    def pin(self, core: list[int]) -> None:
        """Keep all threads of all processes to these cores; starting took as many as there are."""
        for one in self.family():
            command = ["taskset", "-a", "-p", "-c", ",".join(map(str, core)), str(one.pid)]
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)

    def send(self, number: signal.Signals) -> None:
        """A signal to all of its processes: the others rest while one is measured."""
        for one in self.family():
            with suppress(psutil.Error):
                one.send_signal(number)

    def load(self, kind: str, connections: int, seconds: float) -> dict[str, Any]:
        """One load: what the generator prints but an answer, and ``cpu``, the milliseconds of CPU time that
        the server took for a request. Raises ``RuntimeError`` when one was not answered."""
        request = self.requests[kind]
        if isinstance(request, Rpc):
            command = [str(LOAD_GRPC), str(self.grpc_port), request.method, nacre.TOKEN]
            given = request.message
            calls = min(connections, GRPC_CALLS)
            command += ["--connections", str(connections // calls), "--calls", str(calls)]
        else:
            command, given = [str(LOAD), str(self.port), "--connections", str(connections)], request
        command += ["--seconds", str(seconds), "--core", str(cores()[1])]
        before = self.cpu()
        try:
            done = subprocess.run(
                [sys.executable, *command],
                input=given,
                capture_output=True,
                check=False,
                timeout=seconds + 30,
            )
        except subprocess.TimeoutExpired as error:
            raise RuntimeError("it stopped answering") from error
        if done.returncode:
            raise RuntimeError(done.stderr.decode().strip().splitlines()[-1])
        found: dict[str, Any] = json.loads(done.stdout)
        found["cpu"] = (self.cpu() - before) / found["count"] * 1e3
        del found["answer"]
        return found

    def stop(self) -> None:
        """End all of its processes."""
        self.send(signal.SIGCONT)
        family = self.family()
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        for one in family:
            with suppress(psutil.Error):
                one.kill()
        self.process.wait(10)

    def wait_right(self, wanted: np.ndarray) -> None:
        """Until it answers every kind of request as ONNX Runtime does.

        Raises ``RuntimeError`` with the end of its log when it does not.
        """
        for kind in self.requests:
            self._wait(kind, wanted)

    def _wait(self, kind: str, wanted: np.ndarray) -> None:
        end = time.monotonic() + START
        said = "it never answered"
        while time.monotonic() < end and self.process.poll() is None:
            try:
                got = self._ask(kind, wanted.size)
            except (httpx.HTTPError, grpc.RpcError, RuntimeError) as error:
                said = str(error) if isinstance(error, RuntimeError) or said[0] == "i" else said
                time.sleep(0.2)
                continue
            np.testing.assert_allclose(got, wanted.ravel(), rtol=1e-4, atol=1e-6)
            return
        tail = " / ".join(self.log.read_text(errors="replace").strip().splitlines()[-3:])
        raise RuntimeError(f"{kind}: {said[:300]}; its log ends: {tail[-300:]}")

    def _ask(self, kind: str, count: int) -> np.ndarray:
        """The numbers of one answer, by an ordinary client."""
        request = self.requests[kind]
        if isinstance(request, Rpc):
            with grpc.insecure_channel(f"127.0.0.1:{self.grpc_port}") as channel:
                metadata = [("authorization", f"Bearer {nacre.TOKEN}")]
                answer = channel.unary_unary(request.method)(request.message, metadata=metadata, timeout=20)
            return request.read(answer)
        head, _, body = request.partition(b"\r\n\r\n")
        target = head.split()[1].decode()
        lines = [line.decode().partition(": ") for line in head.split(b"\r\n")[1:]]
        headers = {name: text for name, _, text in lines if name not in ("Host", "Content-Length")}
        url = f"http://127.0.0.1:{self.port}{target}"
        found = httpx.post(url, content=body, headers=headers, timeout=20, trust_env=False)
        if found.status_code != 200:
            raise RuntimeError(f"{found.status_code} {found.text[:200]}")
        return outputs(found.content, count)


def launch(command: list[str], log: Path) -> subprocess.Popen[bytes]:
    """A program with a mark in its environment, by which all of its processes are found again."""
    env = {**os.environ, MARK: str(log)}
    with log.open("ab") as file:
        return subprocess.Popen(
            command, stdout=file, stderr=file, stdin=subprocess.DEVNULL, env=env, start_new_session=True
        )


def environment(name: str, cache: Path) -> Path:
    """The Python of a peer's environment, made at the first use. Raises ``RuntimeError``."""
    peer = PEERS[name]
    if peer.needs and shutil.which(peer.needs) is None:
        raise RuntimeError(f"there is no {peer.needs}")
    home = cache / (peer.home or name)
    python = home / "bin" / "python"
    if (home / "installed").exists():
        return python
    program = uv.find_uv_bin()
    for command in (
        [program, "venv", "-q", "--clear", "--python", peer.python, str(home)],
        [program, "pip", "install", "-q", "--python", str(python), "onnxruntime", "numpy", *peer.packages],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"not installed: {done.stderr.strip()[-300:]}")
    (home / "installed").touch()
    return python


def settle(server: Server, wanted: np.ndarray, core: list[int] | None = None) -> Server:
    """The server, once it answers rightly and keeps to its core; stopped when it does not."""
    try:
        server.wait_right(wanted)
        server.pin(core or [cores()[0]])
    except BaseException:
        server.stop()
        raise
    return server


def start_peer(name: str, model: Path, wanted: np.ndarray, folder: Path, cache: Path) -> Server:
    """Raises ``RuntimeError`` where that cannot be. Triton is asked by gRPC, too."""
    peer = PEERS[name]
    python = environment(name, cache)
    home = folder / name
    home.mkdir()
    port, log = free_port(), home / "log"
    command = [str(python), str(APPS), name, str(model), str(port), str(home)]
    forms = bodies(sample())
    requests: dict[str, bytes | Rpc] = {
        "json": asking(peer.path, *forms["mlflow" if name == "mlflow" else "json"])
    }
    if peer.binary:
        requests["binary"] = asking(peer.path, *forms["binary"])
    if name == "triton":
        requests["v2 gRPC"] = v2_rpc("mlp", sample())
    server = Server(peer.title, launch(command, log), port, requests, port + 1, log)
    return settle(server, wanted)


def start_nacre(
    served: dict[str, Path],
    folder: Path,
    wanted: np.ndarray,
    forms: dict[str, tuple[str, bytes, str] | Rpc],
    arguments: list[str] | None = None,
    core: list[int] | None = None,
) -> Server:
    """``forms``: by kind the path below the endpoint ``mlp``, body and header lines, or a gRPC call."""
    folder.mkdir(exist_ok=True)
    nacre.write(folder, served)
    log = folder / "log"
    command = [sys.executable, "-m", "nacre.modelserver", "--folder", str(folder), "--port", "0"]
    process = launch([*command, *(arguments or [])], log)
    requests = {
        kind: form if isinstance(form, Rpc) else asking(f"{nacre.PATH}/{form[0]}", *form[1:])
        for kind, form in forms.items()
    }
    try:
        port = nacre.port(folder, process, START)
    except BaseException:
        process.kill()
        raise
    return settle(Server("**Nacre**", process, port, requests, port, log), wanted, core)
