"""TensorFlow SavedModels: the signature that is called ``serving_default``, or the only one."""

from __future__ import annotations

import os
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from nacre.modelserver.frames import datatype_of
from nacre.modelserver.replica.predictors.base import Arrays, BadInput, LoadError, Predictor


class TensorFlow(Predictor):
    """A function of the SavedModel; TensorFlow itself takes a GPU that it sees."""

    framework = "tensorflow"

    def __init__(self, folder: str) -> None:
        for device in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(device, True)
        try:
            self._loaded = tf.saved_model.load(folder)
        except Exception as error:
            raise LoadError(f"{os.path.basename(folder)} is not a SavedModel: {error}") from error
        signatures = self._loaded.signatures
        chosen = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
        if chosen is None:
            raise LoadError(
                f"{os.path.basename(folder)} has no signature: save it with model.export(path), or with "
                "tf.saved_model.save(model, path, signatures=…)"
            )
        self._function = signatures[chosen]
        taken = self._function.structured_input_signature[1]
        self._dtypes = {name: spec.dtype for name, spec in taken.items()}
        self.inputs = [_spec(name, spec) for name, spec in sorted(taken.items())]
        given = self._function.structured_outputs
        self.outputs = [_spec(name, spec) for name, spec in sorted(given.items())]

    def run(self, feed: Arrays) -> Arrays:
        """All outputs of the signature."""
        try:
            tensors = {name: tf.constant(array, self._dtypes[name]) for name, array in feed.items()}
            answer = self._function(**tensors)
        except tf.errors.InvalidArgumentError as error:
            raise BadInput(f"the model refuses this input: {error.message.splitlines()[0]}") from error
        return {spec["name"]: _array(answer[spec["name"]]) for spec in self.outputs or []}


def _array(tensor: Any) -> Any:
    array = tensor.numpy()
    if tensor.dtype == tf.bfloat16:
        return array.astype(np.float32)
    return np.asarray(array)


def _spec(name: str, spec: Any) -> dict[str, Any]:
    if spec.dtype == tf.string:
        datatype = "BYTES"
    elif spec.dtype == tf.bfloat16:
        datatype = "FP32"
    else:
        datatype = datatype_of(np.empty(0, spec.dtype.as_numpy_dtype))
    shape = [] if spec.shape.rank is None else [-1 if n is None else int(n) for n in spec.shape.as_list()]
    return {"name": name, "datatype": datatype, "shape": shape}


def load(path: str) -> TensorFlow:
    """The model of a SavedModel folder.

    Raises:
        LoadError: it cannot be loaded, or has no signature.
    """
    return TensorFlow(path)
