"""ONNX files, by the environment's own ONNX Runtime; on a GPU where it was built for that."""

from __future__ import annotations

import os
from typing import Any

import onnxruntime

from nacre.modelserver.replica.predictors.base import Arrays, BadInput, LoadError, Predictor, Specs

_DATATYPES = {
    "bool": "BOOL",
    "float": "FP32",
    "double": "FP64",
    "float16": "FP16",
    "string": "BYTES",
    **{f"{sign}int{bits}": f"{sign.upper()}INT{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}


class Onnx(Predictor):
    """A session on all cores that the process may use."""

    framework = "onnx"

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        wanted = ("CUDAExecutionProvider", "CPUExecutionProvider")
        providers = [name for name in wanted if name in onnxruntime.get_available_providers()]
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=providers)
        except Exception as error:  # ONNX Runtime's exceptions share no base class
            raise LoadError(f"{os.path.basename(path)} cannot be loaded: {error}") from error
        self.inputs = _specs(self._session.get_inputs())
        self.outputs = _specs(self._session.get_outputs())
        self._names = [spec["name"] for spec in self.outputs]

    def run(self, feed: Arrays) -> Arrays:
        """All outputs."""
        try:
            return dict(zip(self._names, self._session.run(self._names, feed)))  # noqa: B905 - Python 3.8
        except Exception as error:
            if type(error).__name__ == "InvalidArgument":
                raise BadInput(f"the model refuses this input: {error}") from error
            raise


def _specs(nodes: Any) -> Specs:
    found = []
    for node in nodes:
        kind = node.type[len("tensor(") : -1] if node.type.startswith("tensor(") else node.type
        if kind not in _DATATYPES:
            raise LoadError(
                f"{node.name!r} of the model is a {node.type}, which no endpoint takes or gives"
            )
        shape = [n if isinstance(n, int) else -1 for n in node.shape]
        found.append({"name": node.name, "datatype": _DATATYPES[kind], "shape": shape})
    return found


def load(path: str) -> Onnx:
    """The model of an ``.onnx`` file.

    Raises:
        LoadError: it cannot be loaded.
    """
    return Onnx(path)
