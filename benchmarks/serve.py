"""Requests a second of Nacre's model server, against ONNX Runtime in process and a FastAPI server.

    python benchmarks/serve.py [--seconds 4] [--connections 16] [--rounds 2]

One sample of a 784-128-10 MLP a request. Each server is one process; the load comes from another.
With two cores or more each has its own core. All answers are compared with ONNX Runtime's. Rounds
go through all contestants in turn and the best of each counts, so read the ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httptools
import numpy as np
import onnxruntime as ort
import orjson
import psutil
import uvicorn
import uvloop
from blake3 import blake3
from fastapi import FastAPI, Request, Response
from onnx import TensorProto, helper, numpy_helper

from nacre.modelserver.signature import open_session, read_signature
from nacre.schema.serving import Routes, ServedRevision, TokenGrant

TOKEN = "benchmark"
SIZES = (784, 128, 10)
PATH = "/endpoints/bench/mlp/v2/models/mlp/infer"


def save_mlp(path: Path) -> None:
    """The model: dense, relu, dense, softmax, with random weights."""
    rng = np.random.default_rng(0)
    a, b, c = SIZES
    weights = [
        numpy_helper.from_array(rng.normal(0, 0.05, shape).astype("f4"), name)
        for name, shape in (("w1", (a, b)), ("b1", b), ("w2", (b, c)), ("b2", c))
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", a])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", c])
    graph = helper.make_graph(nodes, "mlp", [x], [y], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())


def bodies(x: np.ndarray) -> dict[str, tuple[bytes, str]]:
    """The two requests, each with its extra header lines."""
    values = orjson.loads(orjson.dumps(x.ravel(), option=orjson.OPT_SERIALIZE_NUMPY))
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, SIZES[0]]}
    as_json = orjson.dumps({"inputs": [{**tensor, "data": values}]})
    head = orjson.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": x.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    )
    return {
        "json": (as_json, "Content-Type: application/json\r\n"),
        "binary": (head + x.tobytes(), f"Inference-Header-Content-Length: {len(head)}\r\n"),
    }


# ---- the load generator, a process of its own


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, asking: bytes, latencies: list[float], end: float) -> None:
        self.asking, self.latencies, self.end = asking, latencies, end
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.parser = httptools.HttpResponseParser(self)
        self.body: list[bytes] = []

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def ask(self) -> None:
        self.body = []
        self.start = time.perf_counter()
        self.transport.write(self.asking)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.latencies.append(now - self.start)
        if self.parser.get_status_code() != 200:
            self.done.set_exception(RuntimeError(b"".join(self.body).decode()))
        elif now < self.end:
            self.ask()
        else:
            self.done.set_result(b"".join(self.body))
            self.transport.close()


async def load(port: int, asking: bytes, connections: int, seconds: float) -> dict[str, Any]:
    """Drive a server; the last answer's body comes back to be compared."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    begin = time.perf_counter()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(asking, latencies, begin + seconds), "127.0.0.1", port
        )
        clients.append(client)
    answers = await asyncio.gather(*(client.done for client in clients))
    took = time.perf_counter() - begin
    ordered = np.sort(latencies) * 1e3
    return {
        "rate": len(latencies) / took,
        "count": len(latencies),
        "p50": float(ordered[len(ordered) // 2]),
        "p99": float(ordered[int(len(ordered) * 0.99)]),
        "answer": answers[0].hex(),
    }


def pin(core: int, pid: int = 0) -> None:
    """Keep a process (by default this one) to one core where there are two."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) > 1:
        os.sched_setaffinity(pid, {cores[core % len(cores)]})


# ---- the peer


def peer(model: str, port: int) -> None:
    """FastAPI on uvicorn with uvloop and httptools: raw body, orjson, one session; no checks."""
    session = open_session(Path(model))
    app = FastAPI()

    @app.post(PATH)
    async def infer(request: Request) -> Response:
        body = await request.body()
        length = request.headers.get("inference-header-content-length")
        if length is None:
            tensor = orjson.loads(body)["inputs"][0]
            x = np.array(tensor["data"], dtype=np.float32).reshape(tensor["shape"])
        else:
            tensor = orjson.loads(body[: int(length)])["inputs"][0]
            x = np.frombuffer(body, np.float32, offset=int(length)).reshape(tensor["shape"])
        (y,) = session.run(["y"], {"x": x})
        out: dict[str, Any] = {"name": "y", "datatype": "FP32", "shape": y.shape}
        if length is None:
            out["data"] = y.ravel()
        else:
            out["parameters"] = {"binary_data_size": y.nbytes}
        head = orjson.dumps({"model_name": "mlp", "outputs": [out]}, option=orjson.OPT_SERIALIZE_NUMPY)
        if length is None:
            return Response(head, media_type="application/json")
        extra = {"Inference-Header-Content-Length": str(len(head))}
        return Response(head + y.tobytes(), headers=extra)

    uvicorn.run(app, port=port, log_level="error", loop="uvloop", http="httptools", access_log=False)


# ---- the run


def in_process(session: ort.InferenceSession, x: np.ndarray, seconds: float) -> float:
    """Runs a second without any server, on the server's core."""
    before = os.sched_getaffinity(0)
    pin(0)
    session.run(["y"], {"x": x})
    count, begin = 0, time.perf_counter()
    while time.perf_counter() - begin < seconds:
        for _ in range(100):
            session.run(["y"], {"x": x})
        count += 100
    took = time.perf_counter() - begin
    os.sched_setaffinity(0, before)
    return count / took


def measure(process: subprocess.Popen[bytes], port: int, kind: str, x: np.ndarray,
            options: argparse.Namespace) -> dict[str, Any]:  # fmt: skip
    """One load on one server, with the server's CPU time and memory."""
    body, extra = bodies(x)[kind]
    asking = (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(body)}\r\n{extra}\r\n"
    ).encode() + body
    server = psutil.Process(process.pid)
    before = server.cpu_times()
    command = [sys.executable, __file__, "--load", str(port), "--seconds", str(options.seconds)]
    command += ["--connections", str(options.connections)]
    done = subprocess.run(command, input=asking, capture_output=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr.decode())
    found: dict[str, Any] = json.loads(done.stdout)
    after = server.cpu_times()
    used = after.user + after.system - before.user - before.system
    found["cpu"] = used / found["count"] * 1e3
    found["rss"] = server.memory_info().rss / 1e6
    return found


def outputs(answer: bytes, kind: str) -> np.ndarray:
    """The numbers in an answer's body."""
    if kind == "json":
        return np.array(orjson.loads(answer)["outputs"][0]["data"], "f4")
    return np.frombuffer(answer[-4 * SIZES[2] :], "<f4")


def start(command: list[str], port: int) -> subprocess.Popen[bytes]:
    """A server on the first core, once it accepts connections."""
    process = subprocess.Popen([sys.executable, *command])
    pin(0, process.pid)
    end = time.monotonic() + 30
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return process
        time.sleep(0.05)
    process.kill()
    raise SystemExit(f"{command} does not listen")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_routes(folder: Path, model: Path) -> None:
    revision = ServedRevision(
        revision=1,
        model="mlp",
        model_version=1,
        path=str(model),
        digest=blake3(model.read_bytes()).hexdigest(),
        signature=read_signature(model),
    )
    token = hashlib.sha256(TOKEN.encode()).hexdigest()
    grant = TokenGrant(projects=["bench"])
    routes = Routes(generation=1, endpoints={"bench/mlp": revision}, tokens={token: grant})
    (folder / "routes.json").write_text(routes.model_dump_json())


def run(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = folder / "mlp.onnx"
        save_mlp(model)
        write_routes(folder, model)
        x = np.random.default_rng(1).normal(size=(1, SIZES[0])).astype("f4")
        session = open_session(model)
        (wanted,) = session.run(["y"], {"x": x})
        ports = {"nacre": free_port(), "fastapi": free_port()}
        ours = ["-m", "nacre.modelserver", "--folder", name, "--port", str(ports["nacre"])]
        theirs = [__file__, "--peer", str(model), str(ports["fastapi"])]
        servers = {}
        raw = 0.0
        best: dict[tuple[str, str], dict[str, Any]] = {}
        try:
            servers["nacre"] = start(ours, ports["nacre"])
            servers["fastapi"] = start(theirs, ports["fastapi"])
            for _ in range(options.rounds):
                raw = max(raw, in_process(session, x, options.seconds / 2))
                for kind in ("json", "binary"):
                    for who, process in servers.items():
                        found = measure(process, ports[who], kind, x, options)
                        got = outputs(bytes.fromhex(found["answer"]), kind)
                        np.testing.assert_allclose(got, wanted.ravel(), rtol=1e-6)
                        if found["rate"] > best.get((who, kind), {"rate": 0})["rate"]:
                            best[who, kind] = found
        finally:
            for process in servers.values():
                process.send_signal(signal.SIGTERM)
                process.wait(30)
        show(raw, best, options)


def show(raw: float, best: dict[tuple[str, str], dict[str, Any]], options: argparse.Namespace) -> None:
    """The table."""
    sizes = "-".join(map(str, SIZES))
    print(f"\nMLP {sizes}, one sample a request, {options.connections} connections,", end=" ")
    print(f"best of {options.rounds} rounds of {options.seconds:g} s\n")
    titles = ("req/s", "p50 ms", "p99 ms", "CPU ms", "RSS MB", "of raw", "of peer")
    print(f"{'':26}" + "".join(f"{title:>9}" for title in titles))
    print(f"{'ONNX Runtime in process':26}{raw:9.0f}{'':36}{1:9.2f}")
    for kind in ("json", "binary"):
        for who, title in (("nacre", "Nacre"), ("fastapi", "FastAPI + orjson")):
            one = best[who, kind]
            peers = one["rate"] / best["fastapi", kind]["rate"]
            line = f"{title + ', ' + kind:26}{one['rate']:9.0f}{one['p50']:9.2f}{one['p99']:9.2f}"
            line += f"{one['cpu']:9.3f}{one['rss']:9.0f}{one['rate'] / raw:9.2f}{peers:9.2f}"
            print(line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--load", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--peer", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        peer(options.peer[0], int(options.peer[1]))
    elif options.load:
        pin(1)
        asking = sys.stdin.buffer.read()
        print(json.dumps(uvloop.run(load(options.load, asking, options.connections, options.seconds))))
    else:
        run(options)


if __name__ == "__main__":
    main()
