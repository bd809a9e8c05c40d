"""The requests of serving.py, one for each dialect, and the numbers in their answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import serving_models as models
import serving_nacre as nacre
from tritonclient.grpc import service_pb2 as inference

from nacre.modelserver.grpc import prediction_messages as prediction

V2 = "v2/models/mlp/infer"
FLOAT = 1
"""Of TensorFlow's ``DataType``."""


@dataclass
class Rpc:
    """A gRPC call: its method's path, its message, and how to read the numbers of the answer's."""

    method: str
    message: bytes
    read: Callable[[bytes], np.ndarray]


def sample() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(1, models.SIZES[0])).astype("f4")


def bodies(x: np.ndarray, name: str = "x") -> dict[str, tuple[bytes, str]]:
    """The forms of a request over HTTP, each with its extra header lines."""
    values = [float(value) for value in x.ravel()]
    tensor = {"name": name, "datatype": "FP32", "shape": list(x.shape)}
    head = orjson.dumps(
        {
            "inputs": [{**tensor, "parameters": {"binary_data_size": x.nbytes}}],
            "parameters": {"binary_data_output": True},
        }
    )
    lines = "Content-Type: application/json\r\n"
    return {
        "json": (orjson.dumps({"inputs": [{**tensor, "data": values}]}), lines),
        "binary": (head + x.tobytes(), f"Inference-Header-Content-Length: {len(head)}\r\n"),
        "mlflow": (orjson.dumps({"inputs": {name: [values]}}), lines),
        "instances": (orjson.dumps({"instances": [values]}), lines),
    }


def asking(path: str, body: bytes, extra: str) -> bytes:
    """A request as it is sent."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {nacre.TOKEN}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n{extra}\r\n".encode() + body


def outputs(answer: bytes, count: int) -> np.ndarray:
    """The numbers in the body of an answer over HTTP, of whatever dialect."""
    try:
        found: Any = json.loads(answer)
    except ValueError:
        return np.frombuffer(answer[-4 * count :], "<f4")
    if "predictions" in found:
        rows = found["predictions"]
        return np.array(rows["y"] if isinstance(rows, dict) else rows, "f4").ravel()
    return np.array(found["outputs"][0]["data"], "f4").ravel()


def v2_rpc(model: str, x: np.ndarray) -> Rpc:
    """As Triton's own client asks: the tensor as raw bytes."""
    request = inference.ModelInferRequest(model_name=model, raw_input_contents=[x.tobytes()])
    request.inputs.add(name="x", datatype="FP32", shape=x.shape)

    def read(answer: bytes) -> np.ndarray:
        return np.frombuffer(inference.ModelInferResponse.FromString(answer).raw_output_contents[0], "<f4")

    return Rpc("/inference.GRPCInferenceService/ModelInfer", request.SerializeToString(), read)


def tensorflow_rpc(model: str, x: np.ndarray) -> Rpc:
    """As ``tf.make_tensor_proto`` writes arrays."""
    request = prediction.PredictRequest()
    request.model_spec.name = model
    tensor = request.inputs["x"]
    tensor.dtype, tensor.tensor_content = FLOAT, x.tobytes()
    for size in x.shape:
        tensor.tensor_shape.dim.add(size=size)

    def read(answer: bytes) -> np.ndarray:
        tensor = prediction.PredictResponse.FromString(answer).outputs["y"]
        if tensor.tensor_content:
            return np.frombuffer(tensor.tensor_content, "<f4")
        return np.array(tensor.float_val, "f4")

    return Rpc("/tensorflow.serving.PredictionService/Predict", request.SerializeToString(), read)
