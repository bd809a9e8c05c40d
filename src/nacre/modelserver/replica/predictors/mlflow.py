"""Folders that MLflow saved (``MLmodel``): whatever flavour, as its ``python_function``."""

from __future__ import annotations

import os
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas

from nacre.modelserver.frames import NUMPY, datatype_of
from nacre.modelserver.replica.predictors.base import Arrays, BadInput, LoadError, Predictor

_COLUMNS = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
    "datetime": "BYTES",
}


class Mlflow(Predictor):
    """A table's columns are inputs [-1] of their own; tensors are as they were logged."""

    framework = "mlflow"

    def __init__(self, folder: str) -> None:
        try:
            self._model = mlflow.pyfunc.load_model(folder)
        except Exception as error:
            raise LoadError(f"{os.path.basename(folder)} cannot be loaded by MLflow: {error}") from error
        signature = self._model.metadata.signature
        schema = signature.inputs if signature is not None else None
        self._table = schema is not None and not schema.is_tensor_spec()
        self._single = schema is not None and not self._table and not schema.has_input_names()
        self._dates: set[str] = set()
        if schema is not None:
            self.inputs = [self._spec(index, one) for index, one in enumerate(schema.inputs)]

    def _spec(self, index: int, one: Any) -> dict[str, Any]:
        name = one.name if isinstance(one.name, str) else ("x" if index == 0 else f"x{index}")
        if not self._table:
            shape = [int(n) for n in one.shape]
            return {"name": name, "datatype": datatype_of(np.empty(0, one.type)), "shape": shape}
        kind = getattr(one.type, "name", str(one.type)).lower()
        if kind not in _COLUMNS:
            raise LoadError(
                f"column {name!r} of the model is {one.type}, which no tensor holds: write a predict.py"
            )
        if kind == "datetime":
            self._dates.add(name)
        return {"name": name, "datatype": _COLUMNS[kind], "shape": [-1]}

    def run(self, feed: Arrays) -> Arrays:
        """Predict: the columns of a table by name, one array as ``y``."""
        try:
            return _named(self._model.predict(self._samples(feed)))
        except (ValueError, mlflow.exceptions.MlflowException) as error:
            raise BadInput(f"the model refuses this input: {str(error).splitlines()[0]}") from error

    def _samples(self, feed: Arrays) -> Any:
        if not self._table:
            return next(iter(feed.values())) if self._single or len(feed) == 1 else dict(feed)
        columns = {name: array.reshape(-1) for name, array in feed.items()}
        for name in self._dates & set(columns):
            columns[name] = pandas.to_datetime(columns[name])
        return pandas.DataFrame(columns)


def _named(answer: Any) -> Arrays:
    if isinstance(answer, pandas.DataFrame):
        return {str(name): _array(column) for name, column in answer.items()}
    if isinstance(answer, dict):
        return {str(name): _array(value) for name, value in answer.items()}
    if isinstance(answer, tuple):
        return {"y" if i == 0 else f"y{i}": _array(part) for i, part in enumerate(answer)}
    return {"y": _array(answer)}


def _array(value: Any) -> Any:
    array = value.to_numpy() if hasattr(value, "to_numpy") else np.asarray(value)
    try:
        datatype_of(array)
    except TypeError:
        return array.astype(str).astype(NUMPY["BYTES"])
    return array


def load(path: str) -> Mlflow:
    """The model of a folder with an ``MLmodel``.

    Raises:
        LoadError: it cannot be loaded.
    """
    return Mlflow(path)
