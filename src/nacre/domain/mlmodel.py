"""The file ``MLmodel`` of what an MLflow client saved: which of the files Nacre can convert. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from nacre.schema.serving import TensorSpec

NAME = "MLmodel"
MAX_BYTES = 4 * 2**20

_DATATYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}


@dataclass(frozen=True)
class Flavour:
    """What an MLflow model is to Nacre.

    ``framework`` is ``mlflow`` where Nacre converts none of its flavours; ``why`` then says so. ``entry``
    is a path from the model's folder. ``requirements`` are what the file needs to be read at all.
    """

    framework: str
    entry: str
    requirements: tuple[str, ...] = ()
    inputs: tuple[TensorSpec, ...] = ()
    why: str | None = None


def recognise(text: bytes, files: Collection[str]) -> Flavour:
    """The flavour that Nacre converts, of the ``files`` (paths from the model's folder) that are there."""
    try:
        found = yaml.safe_load(text)
        flavours = found["flavors"]
        if not isinstance(flavours, dict):
            raise TypeError("flavors")
    except (yaml.YAMLError, KeyError, TypeError, RecursionError, ValueError):
        return Flavour("mlflow", ".", why="its file MLmodel cannot be read: log the model again")
    inputs = _inputs(found.get("signature"))
    for framework, candidates, needs in _candidates(flavours):
        for path in candidates:
            if path in files or f"{path}/saved_model.pb" in files:
                return Flavour(framework, path, needs, inputs)
    names = (
        ", ".join(sorted(str(name) for name in flavours if name != "python_function")) or "python_function"
    )
    return Flavour(
        "mlflow",
        ".",
        why=f"Nacre keeps and gives out a model of the flavour {names}, but cannot convert it to ONNX, so "
        "it cannot be deployed: it converts sklearn, pytorch, keras, tensorflow and onnx",
    )


def _candidates(flavours: Mapping[str, Any]) -> list[tuple[str, list[str], tuple[str, ...]]]:
    """(framework, paths to look for, requirements), the most direct first."""
    found: list[tuple[str, list[str], tuple[str, ...]]] = []
    if path := _text(flavours, "onnx", "data"):
        found.append(("onnx", [path], ()))
    if path := _text(flavours, "sklearn", "pickled_model"):
        how = _text(flavours, "sklearn", "serialization_format")
        found.append(("sklearn", [path], (how,) if how in ("cloudpickle", "skops") else ()))
    if path := _text(flavours, "pytorch", "model_data"):
        found.append(("pytorch", [f"{path}/model.pt2"], ()))
        found.append(("pytorch", [f"{path}/model.pth"], ("cloudpickle",)))
    if path := _text(flavours, "keras", "data"):
        found.append(("keras", [f"{path}/model.keras"], ()))
        found.append(("tensorflow", [f"{path}/model"], ()))
    if path := _text(flavours, "tensorflow", "saved_model_dir"):
        found.append(("tensorflow", [path], ()))
    if path := _text(flavours, "tensorflow", "data"):
        found.append(("keras", [f"{path}/model.keras", f"{path}/model.h5"], ()))
        found.append(("tensorflow", [f"{path}/model"], ()))
    return found


def _text(flavours: Mapping[str, Any], name: str, key: str) -> str | None:
    flavour = flavours.get(name)
    value = flavour.get(key) if isinstance(flavour, dict) else None
    return value if isinstance(value, str) and value else None


def _inputs(signature: object) -> tuple[TensorSpec, ...]:
    """The tensors of a signature; none where it is of columns, or of what ONNX does not have."""
    try:
        assert isinstance(signature, dict)
        found = []
        for number, item in enumerate(json.loads(signature["inputs"])):
            spec = item["tensor-spec"]
            found.append(
                TensorSpec.model_validate(
                    {
                        "name": item.get("name") or ("x" if number == 0 else f"x{number}"),
                        "datatype": _DATATYPES[spec["dtype"]],
                        "shape": spec["shape"],
                    }
                )
            )
    except (AssertionError, KeyError, TypeError, ValueError):
        return ()
    return tuple(found)
