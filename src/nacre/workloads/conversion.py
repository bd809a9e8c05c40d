"""What every converter shares: arguments, a sample input, the check of the result, the report.

A converter writes ``model.onnx`` and ``conversion.json`` into ``$NACRE_OUTPUT_DIR``. The report holds the
signature in Open Inference Protocol terms and how far the ONNX outputs are from the framework's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from nacre.workloads import arrays

TOLERANCE = 1e-3
DATATYPES = {
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(float16)": "FP16",
    "tensor(int64)": "INT64",
    "tensor(int32)": "INT32",
    "tensor(int16)": "INT16",
    "tensor(int8)": "INT8",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(bool)": "BOOL",
    "tensor(string)": "BYTES",
}
NUMPY = {
    "FP32": np.float32,
    "FP64": np.float64,
    "FP16": np.float16,
    "INT64": np.int64,
    "INT32": np.int32,
    "UINT8": np.uint8,
    "BOOL": np.bool_,
}


class ConversionError(Exception):
    """The model cannot be converted; the text says why and what to do."""


@dataclass(frozen=True)
class Request:
    """``inputs``: tensor specifications that were given, in order, or null. ``data``: the training
    data of the model, for guessing them."""

    model: Path
    output: Path
    inputs: list[dict[str, Any]] | None
    data: list[Path]
    script: str | None


def read_request() -> Request:
    """The request from the command line.

    ``--inputs`` is JSON; without it a file ``<model>.signature.json`` beside the model is used.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--inputs")
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--script")
    given = parser.parse_args()
    inputs = json.loads(given.inputs) if given.inputs else None
    beside = given.model.with_name(given.model.name + ".signature.json")
    if inputs is None and beside.is_file():
        inputs = json.loads(beside.read_text())["inputs"]
    output = Path(os.environ["NACRE_OUTPUT_DIR"]) / "model.onnx"
    return Request(given.model, output, inputs, given.data, given.script)


def examples(request: Request, batch: int = 2) -> list[list[NDArray[Any]]]:
    """Candidate inputs to try, best first; each a list with one array per input of the model.

    Given specifications make one candidate (random values, open dimensions 1). Otherwise the training
    data's samples are offered as they are, and with a channel axis.

    Raises:
        ConversionError: nothing tells what the model takes.
    """
    if request.inputs:
        rng = np.random.default_rng(0)
        return [[_random(rng, spec, batch) for spec in request.inputs]]
    found: list[list[NDArray[Any]]] = []
    for folder in request.data:
        try:
            x = arrays.read(folder).x[:batch]
        except arrays.DataError:
            continue
        if len(x) < batch:
            continue
        x = x.astype(np.float32) if x.dtype.kind in "fu" or x.dtype == np.float64 else x
        found.append([x])
        if x.ndim == 3:
            found.append([x[:, None]])
        if x.ndim == 4:
            found.append([np.ascontiguousarray(x.transpose(0, 3, 1, 2))])
        if x.ndim > 2:
            found.append([x.reshape(len(x), -1)])
    if not found:
        raise ConversionError(
            "nothing tells the shape of the model's input: save it with nacre.log_model(model, example=x[:2]), "
            "or register it with --input 'x:FP32[-1,1,28,28]'"
        )
    return found


def _random(rng: np.random.Generator, spec: dict[str, Any], batch: int) -> NDArray[Any]:
    shape = [batch, *(1 if d == -1 else d for d in spec["shape"][1:])]
    kind = NUMPY.get(spec["datatype"], np.float32)
    if np.issubdtype(kind, np.floating):
        return rng.standard_normal(shape).astype(kind)
    return np.zeros(shape, dtype=kind)


def signature(path: Path) -> dict[str, Any]:
    """The signature of an ONNX file; an unnamed dimension is -1."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def spec(tensor: Any) -> dict[str, Any]:
        if tensor.type not in DATATYPES:
            raise ConversionError(
                f"the model's {tensor.name} is a {tensor.type}, which endpoints cannot carry"
            )
        shape = [d if isinstance(d, int) else -1 for d in tensor.shape]
        return {"name": tensor.name, "datatype": DATATYPES[tensor.type], "shape": shape}

    return {
        "inputs": [spec(t) for t in session.get_inputs()],
        "outputs": [spec(t) for t in session.get_outputs()],
    }


def difference(path: Path, inputs: list[NDArray[Any]], expected: list[NDArray[Any]]) -> float:
    """Largest distance between ONNX Runtime's outputs and the framework's, relative to 1 + |expected|.

    Raises:
        ConversionError: over the tolerance, so that a wrong model is never deployed.
    """
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feed = {t.name: x for t, x in zip(session.get_inputs(), inputs, strict=True)}
    worst = 0.0
    for got, want in zip(session.run(None, feed), expected, strict=False):
        if np.issubdtype(want.dtype, np.floating):
            worst = max(worst, float(np.max(np.abs(got - want) / (1 + np.abs(want)), initial=0.0)))
        elif not np.array_equal(got, want):
            worst = float("inf")
    if worst > TOLERANCE:
        raise ConversionError(
            f"the ONNX form answers differently from the model (relative difference {worst:.2g}, allowed {TOLERANCE})"
        )
    return worst


def run(convert: Callable[[Request], dict[str, Any]]) -> None:
    """Convert and write the report; a conversion error is printed as a sentence with exit code 2."""
    request = read_request()
    try:
        if not request.model.exists():
            raise ConversionError(f"{request.model.name} is not among the model's files")
        report = convert(request)
        report["signature"] = signature(request.output)
    except (ConversionError, arrays.DataError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    request.output.with_name("conversion.json").write_text(json.dumps(report))
    print(f"converted {request.model.name}: {json.dumps(report['signature'])}")
