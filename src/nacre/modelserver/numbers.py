"""JSON numbers straight into arrays, without a Python object for each.

simdjson reads a document in one pass and copies the numbers of a list into a buffer. Everything here gives
null where a body is in any way unusual, and where there is no simdjson: the caller then goes the way of
:func:`nacre.modelserver.tensors.from_json`, which also words the errors. So this must never give anything
but what that way would.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nacre.modelserver.tensors import NUMPY, Array

simdjson: Any
try:
    import simdjson
except ImportError:  # there is no wheel for this Python
    simdjson = None

_KEEP = 1024 * 1024
"""The shared parser's memory grows with the largest body that it read."""
_KINDS = {"f": "d", "i": "i", "u": "u"}
_WIDE = {kind: np.dtype(f"{kind}8") for kind in _KINDS}
_FEW = 16
"""So many searches are faster than one count."""

_SURE = float(np.finfo("f4").max) ** 2
"""Numbers whose squares add up to less all fit in FP32; asking that costs less than ``errstate``."""

Object: Any = getattr(simdjson, "Object", None)
List: Any = getattr(simdjson, "Array", None)
_parser: Any = simdjson.Parser() if simdjson else None
_WRONG = (ValueError, TypeError, KeyError, RuntimeError, MemoryError)
"""What simdjson raises: ``RuntimeError`` for whole numbers over 64 bits and for a parser that is in use."""


def read(body: bytes) -> Any:
    """The JSON object that a body is, as a ``simdjson.Object``, or null.

    It and what is taken from it have to be let go of before the next call, which gives null otherwise.
    """
    if _parser is None or body[:1] != b"{":
        return None
    try:
        parser = _parser if len(body) <= _KEEP else simdjson.Parser()
        return parser.parse(body)
    except _WRONG:
        return None


def numbers(data: Any, datatype: str, shape: list[int]) -> tuple[Array, int] | None:
    """A list of numbers, flat or nested exactly as ``shape``, as an array of this shape; and of how many
    JSON lists it consists. Null where it is anything else.

    The caller has to compare the number of lists with that of the brackets in the body, which tells that
    no number is a list itself.
    """
    wanted = NUMPY[datatype]
    kind = _KINDS.get(wanted.kind)
    if kind is None or datatype == "FP16" or type(data) is not List or not len(data):
        return None
    try:
        lists = _lists(data, shape) if type(data[0]) is List else 1
        if not lists:
            return None
        flat = np.frombuffer(data.as_buffer(of_type=kind), _WIDE[wanted.kind])
        return _narrow(flat, wanted).reshape(shape), lists
    except (*_WRONG, FloatingPointError, RuntimeWarning):
        return None


def _narrow(flat: Array, wanted: np.dtype[Any]) -> Array:
    if wanted.itemsize == 8:
        return flat
    if wanted.kind == "f":
        if flat.dot(flat) < _SURE:
            return flat.astype(wanted)
        with np.errstate(over="raise"):
            return flat.astype(wanted)
    bounds = np.iinfo(wanted)
    if flat.min() < bounds.min or flat.max() > bounds.max:
        raise ValueError
    return flat.astype(wanted)


def _lists(data: Any, shape: list[int]) -> int:
    """How many lists ``data`` consists of, itself among them; 0 when they are not nested like ``shape``."""
    if not shape or len(data) != shape[0]:
        return 0
    if len(shape) == 1:
        return 1
    lists = 1
    for row in data:
        inner = _lists(row, shape[1:]) if type(row) is List else 0
        if not inner:
            return 0
        lists += inner
    return lists


def has_lists(body: bytes, lists: int) -> bool:
    """Whether a body has so many opening brackets and no more."""
    if lists > _FEW:
        return body.count(b"[") == lists
    at = -1
    for _ in range(lists):
        at = body.find(b"[", at + 1)
        if at < 0:
            return False
    return body.find(b"[", at + 1) < 0
