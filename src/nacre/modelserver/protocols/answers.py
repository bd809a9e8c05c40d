"""JSON from arrays, as TensorFlow Serving writes it and the other REST dialects too."""

from __future__ import annotations

import base64
import json
import math
from typing import Any

import numpy as np
import orjson

from nacre.modelserver.calls import BadRequest, Interface
from nacre.modelserver.tensors import NUMPY, Array

_JSON = orjson.OPT_SERIALIZE_NUMPY


def named(names: list[str], arrays: list[Array], interface: Interface, rows: bool) -> Any:
    """The outputs as :func:`dump` takes them: the only one's value; else an object of names, for each row
    or for all together.

    Raises :class:`BadRequest` where the outputs have no rows in common.
    """
    values = [
        plain(array, name, interface.outputs[name].datatype)
        for name, array in zip(names, arrays, strict=True)
    ]
    if len(values) == 1:
        return values[0]
    return _by_row(names, values) if rows else dict(zip(names, values, strict=True))


def plain(array: Array, name: str, datatype: str) -> Any:
    """A value that becomes nested lists; text whose name ends in ``_bytes`` becomes ``b64`` objects."""
    if datatype == "BYTES":
        return _texts(array.tolist(), name.endswith("_bytes"))
    return np.ascontiguousarray(array) if array.ndim else array.item()


def _texts(value: Any, binary: bool) -> Any:
    if isinstance(value, list):
        return [_texts(one, binary) for one in value]
    raw = value if isinstance(value, bytes) else str(value).encode()
    if binary:
        return {"b64": base64.b64encode(raw).decode()}
    return raw.decode("utf-8", "replace")


def _by_row(names: list[str], values: list[Any]) -> list[dict[str, Any]]:
    sizes = [len(value) if isinstance(value, np.ndarray | list) else -1 for value in values]
    if len(set(sizes)) != 1 or sizes[0] < 0:
        told = ", ".join(
            f"'{name}' has {size if size >= 0 else 'no'} rows"
            for name, size in zip(names, sizes, strict=True)
        )
        raise BadRequest(f'the outputs cannot be told row by row: {told}; ask with "inputs"')
    # ONNX Runtime's whole numbers are C's long long, of which orjson knows arrays but no single one.
    values = [
        value.tolist()
        if isinstance(value, np.ndarray) and value.ndim == 1 and value.dtype.kind in "iu"
        else value
        for value in values
    ]
    return [dict(zip(names, row, strict=True)) for row in zip(*values, strict=True)]


def dump(answer: dict[str, Any], tokens: bool = True) -> bytes:
    """JSON of an object that may hold arrays.

    Floats that are not finite become the bare tokens ``NaN``, ``Infinity`` and ``-Infinity``, or else
    strings of them, which are valid JSON.
    """
    text = orjson.dumps(answer, option=_JSON)
    # orjson writes null for a float that is not finite; a text with "null" costs only time.
    if b"null" not in text:
        return text
    if tokens:
        return json.dumps(answer, default=_listed, separators=(",", ":")).encode()
    return orjson.dumps(_quoted(answer))


def _listed(value: Any) -> Any:
    """Nested lists of an array, a float by way of the shortest text of its type: an FP32 0.1 stays 0.1."""
    array = np.asarray(value)
    if array.dtype.kind == "f" and array.dtype.itemsize < NUMPY["FP64"].itemsize:
        flat = [float(str(one)) for one in array.ravel()]
        array = np.array(flat).reshape(array.shape)
    return array.tolist()


def _quoted(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _quoted(one) for name, one in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        value = _listed(value)
    if isinstance(value, list):
        return [_quoted(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value
