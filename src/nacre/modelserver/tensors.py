"""Tensors between bytes, JSON values and NumPy, each datatype with its exact rules.

Every function raises :class:`TensorError` with one sentence; the caller knows which tensor it was.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from nacre.schema.serving import Datatype

Array = npt.NDArray[Any]

NUMPY: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}
"""The array type behind each datatype of the protocol; ``BYTES`` is an array of ``str``."""

ONNX: dict[str, Datatype] = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
"""Datatype of the protocol for each type name that ONNX Runtime uses."""

_SPECIAL = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


class TensorError(ValueError):
    """The values do not make the tensor that was promised; the text is a clause about ``data``."""


def from_json(data: object, datatype: str, count: int) -> Array:
    """A flat array of ``count`` elements from JSON values, nested or flat.

    Nothing is converted silently: whole numbers make integers, any number makes a float, ``true``
    and ``false`` make BOOL, strings make BYTES. For floats that are not finite both the bare tokens
    and the strings ``"NaN"``, ``"Infinity"`` and ``"-Infinity"`` are taken.
    """
    if not isinstance(data, list):
        raise TensorError(f"has to be a list, not {_kind(data)}")
    if datatype == "FP16":
        raise TensorError("of datatype FP16 has no JSON form: send it as binary_data_size bytes")
    array = _strings(data) if datatype == "BYTES" else _numbers(data, datatype)
    if array.size != count:
        raise TensorError(f"has {array.size} elements where its shape asks for {count}")
    return array.reshape(-1)


def _numbers(data: list[Any], datatype: str) -> Array:
    wanted = NUMPY[datatype]
    if not data:
        return np.empty(0, wanted)
    try:
        array = np.array(data)
    except (ValueError, OverflowError) as error:
        raise TensorError("is ragged: rows of one level differ in length") from error
    kind = array.dtype.kind
    if kind in "fiu" and bool in _types(data, array.ndim):
        return _one_by_one(data, datatype, wanted)  # NumPy takes true for 1 among numbers
    if wanted.kind == "f" and kind in "fiu":
        # A number in JSON is a double, whole or not: 2**53 + 1 is what 2.0**53 + 1 is.
        return _narrow(array.astype(np.float64, copy=False), datatype, wanted)
    if wanted.kind == kind == "b" or array.size == 0:
        return array.astype(wanted)
    if wanted.kind in "iu" and kind in "iu":
        return _fit(array, datatype, wanted)
    return _one_by_one(data, datatype, wanted)


def _types(data: list[Any], depth: int) -> set[type]:
    """The types of the values, which lie so deep."""
    values: Iterable[Any] = data
    for _ in range(depth - 1):
        values = chain.from_iterable(values)
    return set(map(type, values))


def _narrow(array: Array, datatype: str, wanted: np.dtype[Any]) -> Array:
    try:
        with np.errstate(over="raise"):
            return array.astype(wanted)
    except FloatingPointError as error:
        raise TensorError(f"holds a number that {datatype} cannot hold") from error


def _fit(array: Array, datatype: str, wanted: np.dtype[Any]) -> Array:
    bounds = np.iinfo(wanted)
    low, high = int(array.min()), int(array.max())
    if low < bounds.min or high > bounds.max:
        wrong = low if low < bounds.min else high
        raise TensorError(f"holds {wrong}, which {datatype} cannot hold")
    return array.astype(wanted)


def _one_by_one(data: list[Any], datatype: str, wanted: np.dtype[Any]) -> Array:
    """The slow way, for what NumPy would guess or convert: names the first wrong value."""
    flat = _flatten(data)
    for at, value in enumerate(flat):
        kind = type(value)
        if wanted.kind == "f" and kind is str and value in _SPECIAL:
            flat[at] = _SPECIAL[value]
        elif (
            (wanted.kind == "f" and kind in (int, float))
            or (wanted.kind in "iu" and kind is int)
            or (wanted.kind == "b" and kind is bool)
        ):
            continue
        else:
            raise TensorError(f"holds {_kind(value)} where {datatype} needs {_needs(wanted)}")
    try:
        with np.errstate(over="raise"):
            return np.array(flat, dtype=wanted)
    except (OverflowError, FloatingPointError) as error:
        raise TensorError(f"holds a number that {datatype} cannot hold") from error


def _strings(data: list[Any]) -> Array:
    flat = _flatten(data)
    for value in flat:
        if type(value) is not str:
            raise TensorError(f"holds {_kind(value)} where BYTES needs strings")
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array


def _flatten(data: list[Any]) -> list[Any]:
    """Row-major values of a nested list whose rows all have one shape; any depth, no recursion."""
    level = data
    while any(type(row) is list for row in level):
        lengths = {len(row) if type(row) is list else -1 for row in level}
        if len(lengths) > 1:
            raise TensorError("is ragged: rows of one level differ in length")
        level = [value for row in level for value in row]
    return list(level)


def _kind(value: object) -> str:
    names = {str: "text", bool: "true or false", int: "a whole number", float: "a fraction"}
    if value is None:
        return "null"
    return names.get(type(value), "an object" if isinstance(value, dict) else "a list")


def _needs(wanted: np.dtype[Any]) -> str:
    if wanted.kind == "b":
        return "true and false"
    return "numbers" if wanted.kind == "f" else "whole numbers"


def from_binary(raw: memoryview, datatype: str, count: int) -> Array:
    """A flat array of ``count`` elements from little-endian bytes, row-major, without padding."""
    if datatype == "BYTES":
        return _unpack_strings(raw, count)
    wanted = NUMPY[datatype]
    if raw.nbytes != count * wanted.itemsize:
        raise TensorError(
            f"has {raw.nbytes} bytes where its shape asks for {count} elements of {datatype}, "
            f"{count * wanted.itemsize} bytes"
        )
    if datatype == "BOOL":
        octets = np.frombuffer(raw, np.uint8)
        if octets.size and octets.max() > 1:
            raise TensorError("holds a byte other than 0 and 1 where BOOL needs these")
        return octets.view(np.bool_)
    array: Array = np.frombuffer(raw, wanted)
    # A JSON header of any length comes before: kernels expect aligned memory.
    return array if array.flags.aligned else array.copy()


def _unpack_strings(raw: memoryview, count: int) -> Array:
    if count > raw.nbytes // 4:
        raise TensorError(
            f"has {raw.nbytes} bytes, too few for the {count} strings that its shape asks for"
        )
    array = np.empty(count, dtype=object)
    at = 0
    for index in range(count):
        if at + 4 > raw.nbytes:
            raise TensorError(f"ends after {index} strings where its shape asks for {count}")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + length > raw.nbytes:
            raise TensorError(f"ends inside string {index}, which should be {length} bytes long")
        try:
            array[index] = str(raw[at : at + length], "utf-8")
        except UnicodeDecodeError as error:
            raise TensorError(f"holds a string, number {index}, that is not UTF-8") from error
        at += length
    if at != raw.nbytes:
        raise TensorError(f"has {raw.nbytes - at} bytes after the {count} strings of its shape")
    return array


def to_binary(array: Array, datatype: str) -> bytes:
    """The bytes of a tensor, as :func:`from_binary` reads them."""
    if datatype != "BYTES":
        return np.ascontiguousarray(array, NUMPY[datatype]).tobytes()
    parts: list[bytes] = []
    for value in array.ravel():
        text = value if isinstance(value, bytes) else str(value).encode()
        parts.append(struct.pack("<I", len(text)))
        parts.append(text)
    return b"".join(parts)


def to_json_values(array: Array, datatype: str) -> Any:
    """Flat values that ``orjson`` writes with its NumPy option; floats have to be finite."""
    if datatype == "BYTES":
        return [as_text(value) for value in array.ravel()]
    return (array if array.flags.c_contiguous else np.ascontiguousarray(array)).reshape(-1)


def as_text(value: Any) -> str:
    """A value of a BYTES tensor; what is not UTF-8 becomes U+FFFD, as JSON has no place for it."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def to_json_strings(array: Array) -> list[Any]:
    """Flat values of floats that may not be finite: those become the strings of ``from_json``."""
    # By way of the shortest text of the type, so that an FP32 0.1 stays 0.1.
    return [_finite(value) for value in array.ravel()]


def _finite(value: Any) -> float | str:
    if value == value and abs(value) != np.inf:  # noqa: PLR0124 - false for NaN alone
        return float(str(value))
    if value != value:  # noqa: PLR0124 - true for NaN alone
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"
