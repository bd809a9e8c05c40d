"""Keras and TensorFlow to ONNX: ``python -m nacre.workloads.convert_keras`` (.keras, .h5, SavedModel)."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnx
from numpy.typing import NDArray

from nacre.workloads import conversion, definitions
from nacre.workloads.conversion import ConversionError, Request

Arrays = list[NDArray[Any]]
OPSET = 18


def _sample(shape: list[int | None], kind: str, batch: int = 2) -> NDArray[Any]:
    """Values for one input; open dimensions are 1."""
    sizes = [batch, *(d or 1 for d in shape[1:])]
    if kind.startswith(("float", "bfloat")):
        return (
            np.random.default_rng(0).standard_normal(sizes).astype(np.float32 if kind[0] == "b" else kind)
        )
    return np.full(sizes, "", dtype=object) if kind == "string" else np.zeros(sizes, dtype=kind)


def _from_saved_model(request: Request) -> dict[str, Any]:
    import tensorflow as tf

    if not (request.model / "saved_model.pb").is_file():
        raise ConversionError(f"{request.model.name} is not a SavedModel: it has no saved_model.pb")
    try:
        loaded = tf.saved_model.load(str(request.model))
    except Exception as error:
        raise ConversionError(f"{request.model.name} is not a SavedModel: {error}") from error
    signatures = loaded.signatures
    chosen = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
    if chosen is None:
        raise ConversionError(
            f"{request.model.name} has no signature: save it with model.export(path), or with "
            "tf.saved_model.save(model, path, signatures=…)"
        )
    function = signatures[chosen]
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(request.model)]
    done = subprocess.run(
        [*command, "--output", str(request.output), "--opset", str(OPSET), "--signature_def", chosen],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ConversionError(f"tf2onnx could not convert the SavedModel: {said[:400]}")
    feed = {}
    for name, spec in function.structured_input_signature[1].items():
        feed[name] = _sample(spec.shape.as_list(), spec.dtype.name)
    answer = function(**{name: tf.constant(x) for name, x in feed.items()})
    return {
        "framework": f"tensorflow {tf.__version__}",
        "difference": _by_name(request, feed, {name: np.asarray(part) for name, part in answer.items()}),
    }


def _by_name(request: Request, feed: Mapping[str, Any], answer: Mapping[str, Any]) -> float:
    """As :func:`conversion.difference`, in the ONNX form's own order of inputs and outputs."""
    found = conversion.signature(request.output)
    inputs = _ordered([t["name"] for t in found["inputs"]], feed)
    return conversion.difference(
        request.output, inputs, _ordered([t["name"] for t in found["outputs"]], answer)
    )


def _ordered(names: list[str], values: Mapping[str, Any]) -> Arrays:
    if set(names) == set(values):
        return [values[name] for name in names]
    return list(values.values())


def _rename_outputs(path: Path) -> None:
    """``Identity:0``, ``Identity_1:0`` … become ``y``, ``y1`` …, as from PyTorch."""
    model = onnx.load(str(path))
    graph = model.graph
    names = {tensor.name: "y" if i == 0 else f"y{i}" for i, tensor in enumerate(graph.output)}
    taken = {name for node in graph.node for name in [*node.input, *node.output]} | {
        t.name for t in graph.input
    }
    if (
        len(names) != len(graph.output)
        or taken & set(names.values())
        or set(names) & {t.name for t in graph.input}
    ):
        return
    for tensor in graph.output:
        tensor.name = names[tensor.name]
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def convert(request: Request) -> dict[str, Any]:
    """Export and check the result against the model."""
    if request.model.is_dir():
        return _from_saved_model(request)
    definitions.define(request.script, request.module)
    try:
        with conversion.loading(request):
            model = keras.saving.load_model(request.model, compile=False)
    except ConversionError:
        raise
    except Exception as error:
        raise ConversionError(f"{request.model.name} is not a Keras model: {error}") from error
    inputs = [_sample(list(t.shape), str(t.dtype)) for t in model.inputs]
    answer = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    parts = answer if isinstance(answer, tuple | list) else [answer]
    expected = [np.asarray(keras.ops.convert_to_numpy(part)) for part in parts]
    try:
        model.export(str(request.output), format="onnx", verbose=False)
    except Exception as error:
        raise ConversionError(
            f"Keras could not export the model: {' '.join(str(error).split())[:400]}"
        ) from error
    _rename_outputs(request.output)
    return {
        "framework": f"keras {keras.__version__} on {keras.backend.backend()}",
        "difference": conversion.difference(request.output, inputs, expected),
    }


if __name__ == "__main__":
    conversion.run(convert)
