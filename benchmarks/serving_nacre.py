"""What serving.py needs of Nacre: routes, states and single requests."""

from __future__ import annotations

import hashlib
import http.client
import json
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from blake3 import blake3

from nacre.modelserver.signature import read_signature
from nacre.schema.serving import Routes, ServedEndpoint, ServedRevision, ServingStatus, TokenGrant, Tokens

TOKEN = "benchmark"
PATH = "/endpoints/bench/mlp"


def write(folder: Path, served: dict[str, Path], idle_s: float | None = None) -> None:
    """Routes with an endpoint of project ``bench`` for each model, and the token."""
    endpoints = {}
    for name, path in served.items():
        revision = ServedRevision(
            revision=1,
            model="mlp",
            model_version=1,
            path=str(path),
            digest=blake3(path.read_bytes()).hexdigest(),
            signature=read_signature(path),
            traffic=100,
        )
        endpoints[f"bench/{name}"] = ServedEndpoint(revisions=[revision], idle_s=idle_s)
    key = hashlib.sha256(TOKEN.encode()).hexdigest()
    grants = Tokens(tokens={key: TokenGrant(projects=["bench"])})
    (folder / "tokens.json").write_text(grants.model_dump_json())
    (folder / "routes.json").write_text(Routes(generation=1, endpoints=endpoints).model_dump_json())


def port(folder: Path, process: subprocess.Popen[bytes], patience: float) -> int:
    """Where it listens."""
    end = time.monotonic() + patience
    while time.monotonic() < end and process.poll() is None:
        try:
            return int(json.loads((folder / "modelserver.json").read_text())["port"])
        except FileNotFoundError:
            time.sleep(0.05)
    raise RuntimeError(f"Nacre does not listen: {(folder / 'log').read_text()[-500:]}")


def _control(folder: Path, method: str, path: str) -> ServingStatus:
    transport = httpx.HTTPTransport(uds=str(folder / "control.sock"))
    with httpx.Client(transport=transport, timeout=300) as client:
        return ServingStatus.model_validate_json(client.request(method, f"http://control{path}").content)


def reload(folder: Path) -> None:
    """Apply the routes."""
    _control(folder, "POST", "/reload")


def until(folder: Path, holds: Callable[[Mapping[str, str]], bool], patience: float = 300) -> None:
    """Wait until the states of all endpoints are as wanted."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        status = _control(folder, "GET", "/status")
        states = {
            key: one.revisions[0].state if one.revisions else "loading"
            for key, one in status.endpoints.items()
        }
        if holds(states):
            return
        time.sleep(0.2)
    raise RuntimeError(f"not within {patience} s; states: {sorted(set(states.values()))}")


def until_ready(folder: Path, count: int) -> None:
    """Wait until so many endpoints are loaded."""
    until(folder, lambda states: list(states.values()).count("ready") == count)


def ask(port: int, endpoint: str, body: bytes) -> float:
    """Seconds that one request takes, on a connection of its own."""
    begin = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connection.request("POST", f"/endpoints/bench/{endpoint}/v2/models/mlp/infer", body, headers)
    answer = connection.getresponse()
    text = answer.read()
    took = time.perf_counter() - begin
    connection.close()
    if answer.status != 200:
        raise RuntimeError(text.decode())
    return took


def batches(folder: Path) -> int:
    """Runs of the models so far."""
    status = _control(folder, "GET", "/status")
    return sum(revision.batches for one in status.endpoints.values() for revision in one.revisions)
