"""The parts of serving.py: each starts its servers and notes what it measures, round by round."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import serving_models as models
import serving_nacre as nacre
from serving_requests import V2, Rpc, bodies, sample, tensorflow_rpc, v2_rpc
from serving_servers import PEERS, Server, cores, start_nacre, start_peer

from nacre.modelserver.signature import open_session

GRPC_KINDS = ("v2 gRPC", "TF Serving gRPC")


@dataclass
class Run:
    """One run of a part. ``found``: its figures, with those of runs before when they are added up."""

    folder: Path
    options: argparse.Namespace
    found: dict[str, Any]
    save: Callable[[], None]

    def rounds(self) -> Iterator[int]:
        """So many as asked for, but none that the time would not reach for; the figures are saved after
        each."""
        begin = time.monotonic()
        for number in range(self.options.rounds):
            if number and (time.monotonic() - begin) * (number + 1) / number > self.options.most:
                print(f"no time for round {number + 1}", file=sys.stderr)
                return
            print(f"round {number + 1} of {self.options.rounds}", file=sys.stderr)
            yield number
            self.save()

    def note(self, *path: str) -> list[Any]:
        """The list of figures there, to be added to."""
        at = self.found
        for name in path[:-1]:
            at = at.setdefault(name, {})
        noted: list[Any] = at.setdefault(path[-1], [])
        return noted


@contextmanager
def running(servers: list[Server]) -> Iterator[None]:
    try:
        yield
    finally:
        for server in servers:
            server.stop()


def in_process(session: ort.InferenceSession, x: np.ndarray, seconds: float) -> dict[str, float]:
    """Rows a second without any server, on the server's core, and milliseconds of CPU time for a row."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        session.run(["y"], {"x": x})
        count, begin, cpu = 0, time.perf_counter(), time.process_time()
        while time.perf_counter() - begin < seconds:
            for _ in range(max(1, 20 // len(x))):
                session.run(["y"], {"x": x})
                count += len(x)
        took, cpu = time.perf_counter() - begin, time.process_time() - cpu
        return {"rate": count / took, "cpu": cpu / count * 1e3}
    finally:
        os.sched_setaffinity(0, before)


def measure(run: Run, name: str, server: Server, cells: list[tuple[str, int]]) -> None:
    """One load of each cell, a kind and a number of connections, on a server that rested until now."""
    noted = run.found.setdefault("servers", {}).setdefault(name, {"title": server.title, "rounds": {}})
    server.send(signal.SIGCONT)
    for kind, connections in cells:
        try:
            found = server.load(kind, connections, run.options.seconds)
        except RuntimeError as error:
            run.note("errors").append(f"{server.title}, {kind}, {connections} connections: {error}")
            print(run.found["errors"][-1], file=sys.stderr)
            continue
        noted["rounds"].setdefault(f"{kind} {connections}", []).append(found)
    for what, size in server.memory().items():
        noted[what] = max(noted.get(what, 0.0), size)
    server.send(signal.SIGSTOP)


# ---- the parts


def everybody(run: Run) -> None:
    """Nacre and all peers, by their fastest dialects."""
    model = models.mlp(run.folder / "mlp.onnx")
    session = open_session(model)
    (wanted,) = session.run(["y"], {"x": sample()})
    forms: dict[str, Any] = {kind: (V2, *bodies(sample())[kind]) for kind in ("json", "binary")}
    run.found["model"] = model.stat().st_size / 1e6
    servers: dict[str, Server] = {}
    started: list[Server] = []
    with running(started):
        servers["nacre"] = start_nacre({"mlp": model}, run.folder / "nacre", wanted, forms)
        started.append(servers["nacre"])
        servers["nacre"].send(signal.SIGSTOP)
        for name in run.options.peers:
            print(f"starting {name}", file=sys.stderr)
            try:
                servers[name] = start_peer(name, model, wanted, run.folder, run.options.cache)
            except (RuntimeError, AssertionError) as error:
                run.found.setdefault("left out", {})[name] = f"{PEERS[name].title}: {error}"
                continue
            run.found.get("left out", {}).pop(name, None)
            started.append(servers[name])
            servers[name].send(signal.SIGSTOP)
        for _ in run.rounds():
            run.note("raw").append(in_process(session, sample(), run.options.seconds))
            for kind in forms:
                for connections in run.options.connections:
                    for name, server in servers.items():
                        if kind in server.requests:
                            measure(run, name, server, [(kind, connections)])


def resnet(run: Run) -> None:
    """Served, with 32 connections, against a loop of batches: the same session, the same core."""
    model = models.resnet(run.folder / "resnet.onnx")
    session = open_session(model)
    x = np.random.default_rng(2).normal(size=(32, 3, models.SIDE, models.SIDE)).astype("f4")
    (wanted,) = session.run(["y"], {"x": x[:1]})
    form = (V2, *bodies(x[:1])["binary"])
    server = start_nacre({"mlp": model}, run.folder / "r", wanted, {"binary": form})
    with running([server]):
        for _ in run.rounds():
            for size in (1, 8, 16, 32):
                run.note("raw", str(size)).append(in_process(session, x[:size], run.options.seconds))
            before = nacre.batches(run.folder / "r")
            found = server.load("binary", 32, run.options.seconds * 4)
            found["batch"] = found["count"] / (nacre.batches(run.folder / "r") - before)
            run.note("served").append(found)


def workers(run: Run) -> None:
    """One and two, on as many cores; where there is none to spare, both on one."""
    have = sorted(os.sched_getaffinity(0))
    run.found["cores"] = len(have)
    model = models.mlp(run.folder / "two.onnx")
    (wanted,) = open_session(model).run(["y"], {"x": sample()})
    form: dict[str, Any] = {"json": (V2, *bodies(sample())["json"])}
    servers: dict[int, Server] = {}
    started: list[Server] = []
    with running(started):
        for count in (1, 2):
            core = have[:count] if len(have) > count else have[:1]
            arguments = ["--workers", str(count)]
            folder = run.folder / f"w{count}"
            servers[count] = start_nacre({"mlp": model}, folder, wanted, form, arguments, core)
            started.append(servers[count])
            servers[count].send(signal.SIGSTOP)
        for _ in run.rounds():
            for count, server in servers.items():
                measure(run, str(count), server, [("json", 64)])


def dialects(run: Run) -> None:
    """All of one model's, and Triton's gRPC where that peer is."""
    model = models.mlp(run.folder / "d.onnx")
    (wanted,) = open_session(model).run(["y"], {"x": sample()})
    forms = bodies(sample())
    run.found["model"] = model.stat().st_size / 1e6
    chosen: dict[str, tuple[str, bytes, str] | Rpc] = {
        "v2 JSON": (V2, *forms["json"]),
        "v2 binary": (V2, *forms["binary"]),
        "TF Serving REST": ("v1/models/mlp:predict", *forms["instances"]),
        "MLflow": ("invocations", *forms["mlflow"]),
        "v2 gRPC": v2_rpc("bench/mlp", sample()),
        "TF Serving gRPC": tensorflow_rpc("bench/mlp", sample()),
    }
    servers = {"nacre": start_nacre({"mlp": model}, run.folder / "d", wanted, chosen)}
    started = list(servers.values())
    with running(started):
        if "triton" in run.options.peers:
            try:
                servers["triton"] = start_peer("triton", model, wanted, run.folder, run.options.cache)
                started.append(servers["triton"])
            except (RuntimeError, AssertionError) as error:
                run.note("errors").append(f"Triton is left out: {error}")
        for server in started:
            server.send(signal.SIGSTOP)
        for _ in run.rounds():
            for kind in chosen:
                for name, server in servers.items():
                    if kind in server.requests and (name == "nacre" or kind in GRPC_KINDS):
                        measure(run, name, server, [(kind, 16)])


def many(run: Run) -> None:
    """Memory, and the latency of a model that is loaded for its request."""
    count = run.options.models
    home = run.folder / "many"
    home.mkdir()
    served = {
        f"m{number}": models.mlp(home / f"{number}.onnx", (64, 32, 10), number) for number in range(count)
    }
    served["mlp"] = models.mlp(home / "mlp.onnx")
    (wanted,) = open_session(served["mlp"]).run(["y"], {"x": sample()})
    body = bodies(np.zeros((1, 64), "f4"))["json"][0]
    begin = time.perf_counter()
    server = start_nacre(served, home / "s", wanted, {"json": (V2, *bodies(sample())["json"])})
    with running([server]):
        nacre.until_ready(home / "s", count + 1)
        ready = time.perf_counter() - begin
        full = server.memory()["rss"]
        for _ in range(2):  # the first requests are slower, on any server
            warm = [nacre.ask(server.port, f"m{number}", body) for number in range(count)]
        nacre.write(home / "s", served, idle_s=0.5)
        nacre.reload(home / "s")
        nacre.until(home / "s", lambda states: list(states.values()).count("unloaded") >= count)
        empty = server.memory()["rss"]
        cold = [nacre.ask(server.port, f"m{number}", body) for number in range(min(50, count))]
    run.found.update(
        models=count, ready=ready, full=full, empty=empty, warm=[one * 1e3 for one in warm],
        cold=[one * 1e3 for one in cold],
    )  # fmt: skip
