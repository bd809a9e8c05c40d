"""Keras and TensorFlow to ONNX: ``python -m nacre.workloads.convert_keras`` (.keras, .h5, SavedModel)."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import keras
import numpy as np

from nacre.workloads import conversion
from nacre.workloads.conversion import ConversionError, Request


def _from_saved_model(request: Request) -> dict[str, Any]:
    command = [sys.executable, "-m", "tf2onnx.convert", "--saved-model", str(request.model)]
    done = subprocess.run(
        [*command, "--output", str(request.output), "--opset", "18"],
        capture_output=True,
        check=False,
        text=True,
    )
    if done.returncode != 0:
        raise ConversionError(f"tf2onnx could not convert the SavedModel: {done.stderr.strip()[-400:]}")
    return {"framework": "tensorflow", "difference": None}


def convert(request: Request) -> dict[str, Any]:
    """Export and check the result against the model."""
    if request.model.is_dir():
        return _from_saved_model(request)
    try:
        model = keras.saving.load_model(request.model, compile=False)
    except (ValueError, OSError, TypeError) as error:
        raise ConversionError(f"{request.model.name} is not a Keras model: {error}") from error
    rng = np.random.default_rng(0)
    shapes = [[2, *(d or 1 for d in t.shape[1:])] for t in model.inputs]
    inputs = [rng.standard_normal(s).astype(np.float32) for s in shapes]
    answer = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    parts = answer if isinstance(answer, tuple | list) else [answer]
    expected = [keras.ops.convert_to_numpy(part) for part in parts]
    model.export(str(request.output), format="onnx", verbose=False)
    return {
        "framework": f"keras {keras.__version__} on {keras.backend.backend()}",
        "difference": conversion.difference(request.output, inputs, expected),
    }


if __name__ == "__main__":
    conversion.run(convert)
