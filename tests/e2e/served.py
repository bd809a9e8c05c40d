"""A tiny model on an endpoint, for tests that need one: it doubles two numbers."""

from __future__ import annotations

import base64
import json
import urllib.request
from typing import Any

import onnx
from onnx import TensorProto, helper
from real_server import Server

from nacre.schema.endpoints import Endpoint, EndpointDeploy, EndpointState
from nacre.schema.models import ModelRegister

_WRITE = """
import base64, os
with open(os.environ["NACRE_OUTPUT_DIR"] + "/model.onnx", "wb") as file:
    file.write(base64.b64decode("{model}"))
"""


def multiplying(factor: float) -> bytes:
    """An ONNX file: ``y = x * factor`` for ``x: FP32[-1, 2]``."""
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "factor"], ["y"])],
        "multiply",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor("factor", TensorProto.FLOAT, [], [factor])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def register(server: Server, factor: float, name: str = "multiply") -> int:
    """A version of the model, ready to serve; its number."""
    text = base64.b64encode(multiplying(factor)).decode()
    job = server.wait(server.submit({"main.py": _WRITE.format(model=text)}))
    nacre = server.client()
    made = nacre.models.register(name, ModelRegister(run=job.run, path="model.onnx"))
    found = nacre.models.wait(name, str(made.number), timeout_s=200)
    assert found.conversion == "ready", found
    return found.number


def deploy(server: Server, name: str = "double", factor: float = 2.0) -> Endpoint:
    """An endpoint that answers."""
    register(server, factor)
    nacre = server.client()
    nacre.endpoints.deploy(name, EndpointDeploy(model="multiply"))
    found = nacre.endpoints.wait(name, timeout_s=60)
    assert found.state is EndpointState.READY, found
    return found


def ask(server: Server, url: str, values: list[float] | None = None) -> list[float]:
    """The answer to one row, by plain HTTP."""
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": values or [1.0, 2.0]}
    request = urllib.request.Request(
        f"{url}/v2/models/multiply/infer",
        json.dumps({"inputs": [tensor]}).encode(),
        {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer: dict[str, Any] = json.load(response)
    found: list[float] = answer["outputs"][0]["data"]
    return found
