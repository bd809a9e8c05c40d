"""An ONNX file as it is: ``python -m nacre.workloads.convert_onnx`` checks it and reads its signature."""

from __future__ import annotations

import shutil
from typing import Any

import onnxruntime

from nacre.workloads import conversion
from nacre.workloads.conversion import ConversionError, Request


def convert(request: Request) -> dict[str, Any]:
    """Load it with ONNX Runtime, then keep a copy.

    Raises:
        ConversionError: ONNX Runtime cannot load it.
    """
    try:
        onnxruntime.InferenceSession(str(request.model), providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        said = str(error).strip().splitlines()[0]
        raise ConversionError(
            f"{request.model.name} is not an ONNX model that can be loaded: {said}"
        ) from error
    shutil.copyfile(request.model, request.output)
    return {"framework": "onnx", "difference": 0.0}


if __name__ == "__main__":
    conversion.run(convert)
