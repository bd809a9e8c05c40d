"""Arrays from the repeated numbers of protobuf messages, and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from nacre.modelserver.tensors import NUMPY, Array, TensorError


def numbers(values: Sequence[Any], datatype: str) -> Array:
    """A flat array of a datatype that may be narrower than the field.

    Raises ``TensorError`` where it cannot hold a value.
    """
    wanted = NUMPY[datatype]
    if wanted.itemsize >= 4 or wanted.kind == "b":
        return np.fromiter(values, wanted, len(values))
    wide = np.fromiter(values, np.int64, len(values))
    bounds = np.iinfo(wanted)
    if wide.size and (wide.min() < bounds.min or wide.max() > bounds.max):
        wrong = next(int(value) for value in wide if not bounds.min <= value <= bounds.max)
        raise TensorError(f"holds {wrong}, which {datatype} cannot hold")
    return wide.astype(wanted)


def strings(values: Iterable[bytes]) -> Array:
    """A flat array of text. Raises ``TensorError`` for what is not UTF-8."""
    try:
        texts = [value.decode() for value in values]
    except UnicodeDecodeError as error:
        raise TensorError("holds a string that is not UTF-8") from error
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def encoded(array: Array) -> list[bytes]:
    """The UTF-8 of each string of an array, row-major."""
    return [value if isinstance(value, bytes) else str(value).encode() for value in array.ravel()]


def octets(array: Array, datatype: str) -> memoryview:
    """The bytes of a tensor of numbers, little-endian and row-major: the array's own where it can be."""
    return np.ascontiguousarray(array, NUMPY[datatype]).reshape(-1).view(np.uint8).data
