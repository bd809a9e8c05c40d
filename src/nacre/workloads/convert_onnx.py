"""An ONNX file as it is: ``python -m nacre.workloads.convert_onnx`` checks it and reads its signature."""

from __future__ import annotations

import shutil
from typing import Any

import onnx
import onnxruntime

from nacre.workloads import conversion
from nacre.workloads.conversion import ConversionError, Request


def convert(request: Request) -> dict[str, Any]:
    """Load it with ONNX Runtime, then keep a copy; weights that lie beside it are taken in.

    Raises:
        ConversionError: ONNX Runtime cannot load it.
    """
    name = request.model.name
    if request.model.is_dir():
        raise ConversionError(f"{name} is a folder: name the .onnx file in it")
    try:
        onnxruntime.InferenceSession(str(request.model), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ConversionError(f"{name} is not an ONNX model that can be loaded: {said}") from error
    if request.model.with_name(name + ".data").is_file():
        try:
            onnx.save(onnx.load(str(request.model)), str(request.output))
        except ValueError as error:
            raise ConversionError(
                f"{name} and its weights do not fit into one ONNX file: {error}"
            ) from error
    else:
        shutil.copyfile(request.model, request.output)
    return {"framework": "onnx", "difference": 0.0}


if __name__ == "__main__":
    conversion.run(convert)
