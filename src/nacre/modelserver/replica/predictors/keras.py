"""Keras 3 (``.keras``, ``.h5``), on whichever backend the environment has."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from nacre.modelserver.frames import datatype_of
from nacre.modelserver.replica.predictors.base import Arrays, LoadError, Predictor


def _backend() -> str | None:
    """What ``KERAS_BACKEND`` has to be before Keras is imported."""
    for name in ("tensorflow", "torch", "jax"):
        if importlib.util.find_spec(name) is not None:
            return name
    return None


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
if "KERAS_BACKEND" not in os.environ:
    chosen = _backend()
    if chosen is not None:
        os.environ["KERAS_BACKEND"] = chosen

import keras  # noqa: E402
import numpy as np  # noqa: E402


class Keras(Predictor):
    """A model without its optimizer. Outputs are ``y``, ``y1``, … unless the model names them."""

    framework = "keras"

    def __init__(self, path: str) -> None:
        try:
            self._model = keras.saving.load_model(path, compile=False, safe_mode=False)
        except Exception as error:
            raise LoadError(f"{os.path.basename(path)} is not a Keras model: {error}") from error
        tensors = list(getattr(self._model, "inputs", None) or [])
        self.inputs = [_spec(tensor) for tensor in tensors] or None
        self._call = self._compiled(tensors)

    def run(self, feed: Arrays) -> Arrays:
        """One call in inference mode."""
        answer = self._call(*feed.values())
        if isinstance(answer, Mapping):
            named = {str(name): value for name, value in answer.items()}
        else:
            parts = list(answer) if isinstance(answer, (list, tuple)) else [answer]
            named = {"y" if i == 0 else f"y{i}": part for i, part in enumerate(parts)}
        return {name: np.asarray(keras.ops.convert_to_numpy(value)) for name, value in named.items()}

    def _compiled(self, tensors: list[Any]) -> Any:
        """The call: one graph for all batches with TensorFlow, without gradients with PyTorch."""
        model = self._model
        # A model that names its inputs takes them by name.
        named = isinstance(getattr(model, "_inputs_struct", None), dict)
        names = [spec["name"] for spec in self.inputs or []]

        def call(*arrays: Any) -> Any:
            if named:
                return model(dict(zip(names, arrays)), training=False)  # noqa: B905 - Python 3.8
            return model(list(arrays) if len(arrays) > 1 else arrays[0], training=False)

        backend = keras.backend.backend()
        if backend == "tensorflow":
            tf = import_module("tensorflow")
            shapes = [tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in tensors]
            return tf.function(call, input_signature=shapes) if shapes else tf.function(call)
        if backend == "torch":
            torch = import_module("torch")

            def without_gradients(*arrays: Any) -> Any:
                with torch.no_grad():
                    return call(*arrays)

            return without_gradients
        return call


def _spec(tensor: Any) -> dict[str, Any]:
    kind = str(tensor.dtype)
    if kind == "string":
        datatype = "BYTES"
    else:
        datatype = datatype_of(np.empty(0, "float32" if kind == "bfloat16" else kind))
    shape = [-1 if size is None else int(size) for size in tensor.shape]
    return {"name": str(tensor.name).split(":")[0], "datatype": datatype, "shape": shape}


def load(path: str) -> Keras:
    """The model of a ``.keras`` or ``.h5`` file.

    Raises:
        LoadError: it cannot be loaded.
    """
    return Keras(path)
