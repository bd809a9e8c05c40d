"""What other model servers want beside a model file: Triton's ``config.pbtxt``, MLflow's ``MLmodel``. Pure.

Triton's is the text form of ``inference.ModelConfig`` (github.com/triton-inference-server/common,
``protobuf/model_config.proto``); its rules on dimensions are in that project's ``model_configuration.md``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import yaml

from nacre.schema.serving import Signature, TensorSpec

MAX_BATCH = 64
"""What Triton may join into a batch; whoever runs the model changes it in the file."""

_DTYPES = {
    "BOOL": "bool",
    "FP16": "float16",
    "FP32": "float32",
    "FP64": "float64",
    "BYTES": "object",
}


def triton_config(name: str, signature: Signature) -> str:
    """``config.pbtxt`` of an ONNX model.

    Where the first dimension of each tensor is open, Triton batches along it, and the file tells the rest.
    A tensor without a dimension left is declared with one of 1 and reshaped to none.
    """
    tensors = [*signature.inputs, *signature.outputs]
    batched = all(t.shape[:1] == [-1] for t in tensors)
    lines = [
        f"name: {_text(name)}",
        'backend: "onnxruntime"',
        'platform: "onnxruntime_onnx"',
        f"max_batch_size: {MAX_BATCH if batched else 0}",
        *_tensors("input", signature.inputs, batched),
        *_tensors("output", signature.outputs, batched),
    ]
    return "\n".join([*lines, "dynamic_batching { }"] if batched else lines) + "\n"


def _tensors(kind: str, tensors: Sequence[TensorSpec], batched: bool) -> list[str]:
    lines = []
    for tensor in tensors:
        dims = tensor.shape[1:] if batched else tensor.shape
        lines += [
            f"{kind} [",
            "  {",
            f"    name: {_text(tensor.name)}",
            f"    data_type: TYPE_{'STRING' if tensor.datatype == 'BYTES' else tensor.datatype}",
            f"    dims: [ {', '.join(map(str, dims)) or '1'} ]",
            *([] if dims else ["    reshape { shape: [ ] }"]),
            "  }",
            "]",
        ]
    return lines


def _text(value: str) -> str:
    """A string in the text form of protocol buffers."""
    plain = value.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\{ord(c):03o}" for c in plain) + '"'


def mlmodel(signature: Signature, file: str) -> str:
    """``MLmodel`` of an ONNX file beside it, for ``mlflow.pyfunc`` and ``mlflow.onnx``."""
    described: dict[str, Any] = {
        "flavors": {
            "onnx": {"data": file, "providers": ["CPUExecutionProvider"]},
            "python_function": {"loader_module": "mlflow.onnx", "data": file},
        },
        "signature": {"inputs": _specs(signature.inputs), "outputs": _specs(signature.outputs)},
    }
    return str(yaml.safe_dump(described, sort_keys=False, allow_unicode=True))


def _specs(tensors: Sequence[TensorSpec]) -> str:
    return json.dumps(
        [
            {
                "name": tensor.name,
                "type": "tensor",
                "tensor-spec": {
                    "dtype": _DTYPES.get(tensor.datatype, tensor.datatype.lower()),
                    "shape": tensor.shape,
                },
            }
            for tensor in tensors
        ]
    )
