"""ONNX models, serving folders and a raw HTTP client for the tests of the model server."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from blake3 import blake3
from onnx import TensorProto, helper, numpy_helper

from nacre.modelserver.signature import read_signature
from nacre.schema.serving import (
    Routes,
    ServedEndpoint,
    ServedRevision,
    ServedRevisionState,
    ServingStatus,
    TokenGrant,
    Tokens,
)

TOKEN = "nacre-test-token"
DEADLINE = 30.0

ONNX_TYPES = {
    "BOOL": TensorProto.BOOL,
    "UINT8": TensorProto.UINT8,
    "UINT16": TensorProto.UINT16,
    "UINT32": TensorProto.UINT32,
    "UINT64": TensorProto.UINT64,
    "INT8": TensorProto.INT8,
    "INT16": TensorProto.INT16,
    "INT32": TensorProto.INT32,
    "INT64": TensorProto.INT64,
    "FP16": TensorProto.FLOAT16,
    "FP32": TensorProto.FLOAT,
    "FP64": TensorProto.DOUBLE,
    "BYTES": TensorProto.STRING,
}


def save(path: Path, nodes: list, inputs: list, outputs: list, weights: tuple = ()) -> Path:
    """An ONNX file of these nodes."""
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(weights))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(model.SerializeToString())
    return path


def value(name: str, datatype: str, shape: list) -> Any:
    return helper.make_tensor_value_info(name, ONNX_TYPES[datatype], shape)


def mlp(path: Path, sizes: tuple[int, int, int] = (8, 16, 3), seed: int = 0) -> Path:
    """Dense, relu, dense, softmax: ``x`` FP32 [-1, a] to ``y`` FP32 [-1, c]."""
    rng = np.random.default_rng(seed)
    a, b, c = sizes
    weights = (
        numpy_helper.from_array(rng.normal(0, 0.3, (a, b)).astype("f4"), "w1"),
        numpy_helper.from_array(rng.normal(0, 0.3, b).astype("f4"), "b1"),
        numpy_helper.from_array(rng.normal(0, 0.3, (b, c)).astype("f4"), "w2"),
        numpy_helper.from_array(rng.normal(0, 0.3, c).astype("f4"), "b2"),
    )
    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("Gemm", ["r", "w2", "b2"], ["l"]),
        helper.make_node("Softmax", ["l"], ["y"], axis=1),
    ]
    return save(path, nodes, [value("x", "FP32", ["n", a])], [value("y", "FP32", ["n", c])], weights)


def identity(path: Path, datatype: str) -> Path:
    """``x`` to ``y``, [-1, 2]."""
    nodes = [helper.make_node("Identity", ["x"], ["y"])]
    return save(path, nodes, [value("x", datatype, ["n", 2])], [value("y", datatype, ["n", 2])])


def two_inputs(path: Path) -> Path:
    """``a`` and ``b``, FP32 [-1, 2], to ``sum`` and ``difference``."""
    nodes = [
        helper.make_node("Add", ["a", "b"], ["sum"]),
        helper.make_node("Sub", ["a", "b"], ["difference"]),
    ]
    shape = ["n", 2]
    return save(
        path,
        nodes,
        [value("a", "FP32", shape), value("b", "FP32", shape)],
        [value("sum", "FP32", shape), value("difference", "FP32", shape)],
    )


def constant(path: Path, number: float) -> Path:
    """``x`` FP32 [-1, 1] to ``y`` = x * 0 + number: tells which revision answered."""
    weights = (
        numpy_helper.from_array(np.array([0], "f4"), "zero"),
        numpy_helper.from_array(np.array([number], "f4"), "number"),
    )
    nodes = [
        helper.make_node("Mul", ["x", "zero"], ["z"]),
        helper.make_node("Add", ["z", "number"], ["y"]),
    ]
    return save(path, nodes, [value("x", "FP32", ["n", 1])], [value("y", "FP32", ["n", 1])], weights)


def slow(path: Path, steps: int) -> Path:
    """``x`` FP32 [-1, 1] to itself after ``steps`` rounds of a loop of tiny nodes."""
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Identity", ["state"], ["next"]),
        ],
        "body",
        [value("i", "INT64", []), value("go", "BOOL", []), value("state", "FP32", ["n", 1])],
        [value("go_on", "BOOL", []), value("next", "FP32", ["n", 1])],
    )
    weights = (
        numpy_helper.from_array(np.array(steps, "i8"), "steps"),
        numpy_helper.from_array(np.array(True), "yes"),
    )
    nodes = [helper.make_node("Loop", ["steps", "yes", "x"], ["y"], body=body)]
    return save(path, nodes, [value("x", "FP32", ["n", 1])], [value("y", "FP32", ["n", 1])], weights)


def revision(path: Path, number: int = 1, model: str = "m", version: int = 1) -> ServedRevision:
    """The revision that serves this file."""
    return ServedRevision(
        revision=number,
        model=model,
        model_version=version,
        path=str(path),
        digest=blake3(path.read_bytes()).hexdigest(),
        signature=read_signature(path),
    )


def key(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def write_tokens(folder: Path, tokens: dict[str, TokenGrant] | None = None) -> None:
    """``tokens.json``, replaced as a whole; by default the test's token may do all."""
    granted = {TOKEN: TokenGrant(projects=["*"])} if tokens is None else tokens
    _replace(folder / "tokens.json", Tokens(tokens={key(token): grant for token, grant in granted.items()}))


def write_routes(
    folder: Path,
    endpoints: Mapping[str, ServedRevision | ServedEndpoint],
    tokens: dict[str, TokenGrant] | None = None,
    generation: int = 1,
) -> None:
    """``routes.json`` and ``tokens.json``; a revision alone is an endpoint that has no other."""
    write_tokens(folder, tokens)
    served = {
        name: ServedEndpoint(revisions=[one]) if isinstance(one, ServedRevision) else one
        for name, one in endpoints.items()
    }
    _replace(folder / "routes.json", Routes(generation=generation, endpoints=served))


def _replace(path: Path, content: Routes | Tokens) -> None:
    temporary = path.with_suffix(".tmp")
    temporary.write_text(content.model_dump_json())
    temporary.replace(path)


def states(status: ServingStatus, endpoint: str) -> dict[int, ServedRevisionState]:
    """The revisions of an endpoint by number."""
    return {one.revision: one for one in status.endpoints[endpoint].revisions}


def until(condition: Any, what: str, deadline: float = DEADLINE) -> Any:
    """Poll until the condition gives something true, and return that."""
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        found = condition()
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {deadline} s: {what}")


class Server:
    """A model server as a process."""

    def __init__(self, folder: Path, *arguments: str, port: int = 0) -> None:
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "nacre.modelserver", "--folder", str(folder)),
                    *("--port", str(port), *arguments),
                ],
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self.port = 0

    def wait(self) -> Server:
        """Until it listens."""

        def listens() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            about = self.about()
            return about is not None and about["pid"] == self.process.pid

        until(listens, "the model server listens")
        self.port = self.about()["port"]
        return self

    def about(self) -> dict[str, Any] | None:
        try:
            return json.loads((self.folder / "modelserver.json").read_text())
        except FileNotFoundError:
            return None

    def control(self, method: str, path: str, **more: Any) -> httpx.Response:
        transport = httpx.HTTPTransport(uds=str(self.folder / "control.sock"))
        with httpx.Client(transport=transport, timeout=DEADLINE) as client:
            return client.request(method, f"http://control{path}", **more)

    def reload(self) -> ServingStatus:
        """Apply the routes, and wait until what is to be loaded here is, or has failed."""
        answer = self.control("POST", "/reload")
        assert answer.status_code == 200, answer.text
        routes = Routes.model_validate_json((self.folder / "routes.json").read_text())
        here = {
            (key, one.revision)
            for key, endpoint in routes.endpoints.items()
            for one in endpoint.revisions
            if one.runtime == "onnx"
        }

        def loaded() -> ServingStatus | None:
            status = self.status()
            found = {
                (key, one.revision): one.state
                for key, told in status.endpoints.items()
                for one in told.revisions
            }
            return None if any(found.get(one, "loading") == "loading" for one in here) else status

        status: ServingStatus = until(loaded, "everything is loaded, or has failed")
        return status

    def status(self) -> ServingStatus:
        return ServingStatus.model_validate_json(self.control("GET", "/status").content)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, token: str | None = TOKEN) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.get(self.url(path), headers=headers, timeout=DEADLINE, trust_env=False)

    def post(self, path: str, body: Any, token: str | None = TOKEN, **headers: str) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        if token:
            named["Authorization"] = f"Bearer {token}"
        return httpx.post(self.url(path), content=content, headers=named, timeout=DEADLINE, trust_env=False)

    def infer(self, endpoint: str, body: Any, **more: Any) -> httpx.Response:
        return self.post(f"/endpoints/{endpoint}/v2/models/m/infer", body, **more)

    def connect(self) -> Raw:
        return Raw(self.port)

    def stop(self) -> int:
        """End it by SIGTERM; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE)
        finally:
            self.kill()

    def kill(self) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(DEADLINE)


class Raw:
    """A TCP connection on which a test writes what it wants."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), DEADLINE)
        self.socket.settimeout(DEADLINE)
        self.buffer = b""

    def send(self, data: bytes) -> Raw:
        self.socket.sendall(data)
        return self

    def answer(self, body: bool = True) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the next answer."""
        while b"\r\n\r\n" not in self.buffer:
            self._more()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): text for name, _, text in (line.partition(": ") for line in lines)}
        length = int(headers.get("content-length", 0)) if body else 0
        while len(self.buffer) < length:
            self._more()
        content, self.buffer = self.buffer[:length], self.buffer[length:]
        return int(first.split()[1]), headers, content

    def closed(self) -> bool:
        """Wait for the end of the stream; false when more bytes come instead."""
        try:
            return self.buffer == b"" and self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _more(self) -> None:
        data = self.socket.recv(65536)
        assert data, f"the server closed after {self.buffer!r}"
        self.buffer += data

    def close(self) -> None:
        self.socket.close()


def request(
    body: bytes, path: str = "/endpoints/p/mlp/v2/models/m/infer", extra: str = "", method: str = "POST"
) -> bytes:
    """The bytes of one request with the test's token."""
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
        f"Content-Length: {len(body)}\r\n{extra}\r\n"
    ).encode() + body


def tensor(name: str, datatype: str, shape: list[int], data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "data": data}
