"""The unmodified gRPC clients of Triton and TensorFlow Serving, on the port of HTTP."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import served
import tritonclient.grpc as triton
from real_server import MakeServer, Server

from nacre.plugins.environments.uv import UvEnvironments
from nacre.ports.environments import Source
from nacre.schema.endpoints import Endpoint

CLIENT = Path(__file__).with_name("clients") / "tf_client.py"
SRC = Path(__file__).parents[2] / "src"


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    return make_module_server()


@pytest.fixture(scope="module")
def endpoint(server: Server) -> Endpoint:
    return served.deploy(server)


def in_process(x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(served.multiplying(2.0), providers=["CPUExecutionProvider"])
    answer: np.ndarray = session.run(["y"], {"x": x})[0]
    return answer


def test_tritons_client(server: Server, endpoint: Endpoint) -> None:
    x = np.random.default_rng(5).normal(size=(7, 2)).astype("f4")
    tensor = triton.InferInput("x", [7, 2], "FP32")
    tensor.set_data_from_numpy(x)
    headers = {"authorization": f"Bearer {server.token}"}
    with triton.InferenceServerClient(endpoint.grpc) as client:
        assert client.is_server_ready()
        for name in (endpoint.name, f"{endpoint.project}/{endpoint.name}"):
            found = client.infer(name, [tensor], headers=headers).as_numpy("y")
            np.testing.assert_array_equal(found, in_process(x))
    assert served.ask(server, endpoint.url) == [2.0, 4.0]  # HTTP, on the same port


@pytest.mark.slow
@pytest.mark.framework
@pytest.mark.timeout(1200)
def test_tensorflow_servings_client(server: Server, endpoint: Endpoint, built_environments: Path) -> None:
    environments = UvEnvironments(built_environments)
    said: list[str] = []
    lock = environments.resolve(Source(requirements="tensorflow-serving-api"), said.append)
    python = Path(environments.build(lock, said.append).folder) / "bin" / "python"
    done = subprocess.run(
        [str(python), str(CLIENT), endpoint.grpc, f"{endpoint.project}/{endpoint.name}", server.token],
        env=os.environ | {"PYTHONPATH": str(SRC), "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    x = np.array([[1.5, -2.0], [0.25, 3e38]], "f4")
    assert told["differences"] == []
    np.testing.assert_array_equal(np.array(told["predict"], "f4"), in_process(x))
    assert told["version"] == 1
    assert told["repeated"] == [[14.0, 14.0]]
    assert told["classify"] == [[["0", 1.0], ["1", 8.0]]]
    assert told["multi"] == [1.0, 8.0]
    assert told["metadata"] == ["float32", [-1, 2]]
    assert told["status"] == [[1, "AVAILABLE", 0]]
    refused = told["refused"]
    assert {name: code for name, (code, _) in refused.items()} == {
        "regress": "INVALID_ARGUMENT",
        "datatype": "INVALID_ARGUMENT",
        "token": "UNAUTHENTICATED",
        "reload": "UNIMPLEMENTED",
    }
    assert "datatype INT32 where FP32 is expected" in refused["datatype"][1]
