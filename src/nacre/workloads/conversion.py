"""What every converter shares: arguments, a sample input, the check of the result, the report.

A converter writes ``model.onnx`` and ``conversion.json`` into ``$NACRE_OUTPUT_DIR``. The report holds the
signature in Open Inference Protocol terms and how far the ONNX outputs are from the framework's.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from nacre.workloads import arrays, pickles

TOLERANCE = 1e-3


class ConversionError(Exception):
    """The model cannot be converted; the text says why and what to do."""


@dataclass(frozen=True)
class Request:
    """``inputs``: tensor specifications that were given, in order, or null. ``data``: the training
    data of the model, for guessing them. ``script``, ``module``: the program that made it, one or none.
    ``untrusted``: no program of the project made it, so nothing in it is unpickled."""

    model: Path
    output: Path
    inputs: list[dict[str, Any]] | None
    data: list[Path] = field(default_factory=list)
    script: str | None = None
    module: str | None = None
    untrusted: bool = False


def read_request() -> Request:
    """The request from the command line.

    ``--inputs`` is JSON; without it a file ``<model>.signature.json`` beside the model is used.

    Raises:
        ConversionError: that file is not a signature.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--inputs")
    parser.add_argument("--data", type=Path, action="append", default=[])
    parser.add_argument("--script")
    parser.add_argument("--module")
    parser.add_argument("--untrusted", action="store_true")
    given = parser.parse_args()
    inputs = json.loads(given.inputs) if given.inputs else _beside(given.model)
    output = Path(os.environ["NACRE_OUTPUT_DIR"]) / "model.onnx"
    return Request(
        given.model, output, inputs, given.data, given.script, given.module, untrusted=given.untrusted
    )


@contextmanager
def loading(request: Request) -> Iterator[None]:
    """Within, the file is loaded: an untrusted one without unpickling.

    Raises:
        ConversionError: a pickle was refused.
    """
    try:
        with pickles.refused(request.untrusted):
            yield
    except Exception as error:
        if said := pickles.sentence(request.model.name, error):
            raise ConversionError(said) from error
        raise


def _beside(model: Path) -> list[dict[str, Any]] | None:
    file = model.with_name(model.name + ".signature.json")
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text())["inputs"]
        for spec in found:
            if spec["datatype"] not in arrays.NUMPY or not all(isinstance(d, int) for d in spec["shape"]):
                raise ValueError(f"{spec} is no input")
    except (ValueError, KeyError, TypeError) as error:
        raise ConversionError(
            f"{file.name} is not a signature ({error}): let nacre.log_model(model, example=x[:2]) write it"
        ) from error
    return found or None


def examples(request: Request, batch: int = 2) -> list[list[NDArray[Any]]]:
    """Candidate inputs to try, best first; each a list with one array per input of the model.

    Given specifications make random values, open dimensions of two sizes. Otherwise the training data's
    samples are offered as they are, with a channel axis, and flat.

    Raises:
        ConversionError: nothing tells what the model takes.
    """
    if request.inputs:
        sizes = (16, 1) if any(-1 in spec["shape"][1:] for spec in request.inputs) else (1,)
        rng = np.random.default_rng(0)
        return [[_random(rng, spec, batch, size) for spec in request.inputs] for size in sizes]
    found: list[list[NDArray[Any]]] = []
    for place in _places(request.data):
        x = _samples(place, batch)
        if x is not None:
            found += [[shaped] for kind in _kinds(x) for shaped in _shapes(x.astype(kind))]
    if not found:
        raise ConversionError(
            "nothing tells the shape of the model's input: save it with nacre.log_model(model, example=x[:2]), "
            "or register it with --input 'x:FP32[-1,1,28,28]'"
        )
    return found


def _samples(place: Path, batch: int) -> NDArray[Any] | None:
    try:
        x = arrays.read(place).x[:batch]
    except Exception:  # whatever else the job was given; it is only a guess
        return None
    return x if len(x) == batch and x.dtype.kind in "fiub" else None


def _places(data: list[Path]) -> list[Path]:
    """Each folder as a whole, then what lies in it: one file of several may do for a guess."""
    files = [f for folder in data if folder.is_dir() for f in sorted(folder.rglob("*.np[yz]"))[:8]]
    return [*data, *files]


def _kinds(x: NDArray[Any]) -> list[type[np.generic]]:
    """Pixels are read as numbers first, but whole numbers may be indices."""
    return [np.float32] if x.dtype.kind in "fb" else [np.float32, np.int64]


def _shapes(x: NDArray[Any]) -> list[NDArray[Any]]:
    found = [x]
    if x.ndim == 3:
        found.append(x[:, None])
    if x.ndim == 4:
        found.append(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    if x.ndim > 2:
        found.append(x.reshape(len(x), -1))
    return found


def _random(rng: np.random.Generator, spec: dict[str, Any], batch: int, open_size: int) -> NDArray[Any]:
    shape = [batch, *(open_size if d == -1 else d for d in spec["shape"][1:])]
    kind = arrays.NUMPY[spec["datatype"]]
    if np.issubdtype(kind, np.floating):
        return rng.standard_normal(shape).astype(kind)
    if kind is np.object_:
        return np.full(shape, "", dtype=object)
    return np.zeros(shape, dtype=kind)


def signature(path: Path) -> dict[str, Any]:
    """The signature of an ONNX file; an unnamed dimension is -1."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def spec(tensor: Any) -> dict[str, Any]:
        if tensor.type not in arrays.DATATYPES:
            raise ConversionError(
                f"the model's {tensor.name} is a {tensor.type}, which endpoints cannot carry"
            )
        shape = [d if isinstance(d, int) else -1 for d in tensor.shape]
        return {"name": tensor.name, "datatype": arrays.DATATYPES[tensor.type], "shape": shape}

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
    taken = session.get_inputs()
    if len(taken) != len(inputs):
        raise ConversionError(
            f"the ONNX form takes {len(taken)} inputs where the model takes {len(inputs)}"
        )
    got = session.run(None, {t.name: x for t, x in zip(taken, inputs, strict=True)})
    if len(got) < len(expected):
        raise ConversionError(
            f"the ONNX form gives {len(got)} outputs where the model gives {len(expected)}"
        )
    worst = max((_distance(np.asarray(g), w) for g, w in zip(got, expected, strict=False)), default=0.0)
    if not worst <= TOLERANCE:
        raise ConversionError(
            f"the ONNX form answers differently from the model (relative difference {worst:.2g}, allowed {TOLERANCE})"
        )
    return worst


def _distance(got: NDArray[Any], want: NDArray[Any]) -> float:
    if got.size != want.size:
        raise ConversionError(
            f"the ONNX form answers {list(got.shape)} where the model answers {list(want.shape)}"
        )
    got = got.reshape(want.shape)
    if not np.issubdtype(want.dtype, np.floating):
        return 0.0 if np.array_equal(got, want) else float("inf")
    got, want = got.astype(np.float64), want.astype(np.float64)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        apart = np.where(same, 0.0, np.abs(got - want) / (1 + np.abs(want)))
    return float("inf") if np.isnan(apart).any() else float(apart.max(initial=0.0))


def run(convert: Callable[[Request], dict[str, Any]]) -> None:
    """Convert and write the report; a conversion error is printed as a sentence with exit code 2."""
    warnings.simplefilter("ignore")  # the exporters' own, of which a user can mend none
    try:
        request = read_request()
        if not request.model.exists():
            raise ConversionError(f"{request.model.name} is not among the model's files")
        report = convert(request)
        report["signature"] = signature(request.output)
    except (ConversionError, arrays.DataError) as error:
        sys.stdout.flush()
        sys.stderr.write(f"error: {' '.join(str(error).split())}\n")
        sys.exit(2)
    request.output.with_name("conversion.json").write_text(json.dumps(report))
    print(f"converted {request.model.name}: {json.dumps(report['signature'])}")
