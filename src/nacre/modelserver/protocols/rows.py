"""Named tensors from the rows and columns of JSON, which the REST dialects share.

Unlike in v2, a request names neither datatypes nor shapes here: both come from the model's interface, and
nested lists have to fit them. Every function that reads raises :class:`BadRequest` with one sentence.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from itertools import chain
from typing import Any, TypeGuard

import numpy as np
import orjson

from nacre.modelserver.calls import BadRequest, Interface, expected
from nacre.modelserver.numbers import List, has_lists, numbers, read
from nacre.modelserver.tensors import NUMPY, Array, TensorError, from_json
from nacre.schema.serving import TensorSpec

MAX_RANK = 32
_SPACES = str.maketrans("", "", " \t\r\n")


def parse(body: bytes) -> Any:
    """A JSON body; the bare tokens NaN, Infinity and -Infinity are taken too."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        return _parse_tokens(body, error)


def parse_object(body: bytes, hint: str) -> dict[str, Any]:
    """A JSON body that has to be an object; ``hint`` says what should be in it."""
    value = parse(body)
    if not isinstance(value, dict):
        raise BadRequest(f"the body has to be a JSON object with {hint}")
    return value


def _parse_tokens(body: bytes, error: orjson.JSONDecodeError) -> Any:
    try:
        if b"NaN" in body or b"Infinity" in body:
            value = json.loads(body.decode(), parse_float=_number)
            if b"\\u" in body:
                json.dumps(value, ensure_ascii=False).encode()  # halves of characters have no UTF-8
            return value
    except (ValueError, RecursionError):
        pass
    raise BadRequest(
        f"the body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
    ) from error


def _number(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


# ---- named tensors


def quick(body: bytes, interface: Interface, *keys: str) -> tuple[str, dict[str, Array]] | None:
    """The key and the input of a body like ``{"instances": [[1, 2], [3, 4]]}``: one key, and numbers only.

    Null for all others, right or wrong: they go the way of :func:`parse`, which would give the same here.
    """
    request = read(body)
    if request is None or len(request) != 1 or len(interface.inputs) != 1:
        return None
    ((name, spec),) = interface.inputs.items()
    (key,) = request.keys()
    data = request[key] if key in keys else None
    shape = _nesting(data)
    if not shape or not allows(spec, shape):
        return None
    found = numbers(data, spec.datatype, shape)
    return (key, {name: found[0]}) if found is not None and has_lists(body, found[1]) else None


def _nesting(data: Any) -> list[int]:
    """:func:`shape_of` for simdjson's lists."""
    shape: list[int] = []
    while _is_list(data) and len(data) and len(shape) < MAX_RANK:
        shape.append(len(data))
        data = data[0]
    return shape


def _is_list(value: Any) -> bool:
    return type(value) is List


def from_rows(rows: object, interface: Interface, key: str) -> dict[str, Array]:
    """The inputs from one entry per row: an object of the inputs' names, or the only input's plain value.

    ``key``: what the list is called in the request.
    """
    if not isinstance(rows, list):
        raise BadRequest(f'"{key}" has to be a list with one entry per row; {expected(interface)}')
    if not rows:
        raise BadRequest(f'"{key}" is empty: it needs at least one row')
    if not is_object(rows[0]):
        return {spec.name: tensor(rows, spec) for spec in [only(interface, key)]}
    names = interface.inputs.keys()
    for at, row in enumerate(rows):
        if not is_object(row):
            raise BadRequest(f'entry {at} of "{key}" has to be an object, as the first one is')
        if row.keys() != names:
            raise BadRequest(f'entry {at} of "{key}" {_difference(row, interface)}')
    return {name: tensor([row[name] for row in rows], spec) for name, spec in interface.inputs.items()}


def from_columns(columns: object, interface: Interface, key: str) -> dict[str, Array]:
    """The inputs from an object of whole tensors by name, or from the only input's whole tensor."""
    if not is_object(columns):
        return {spec.name: tensor(columns, spec) for spec in [only(interface, key)]}
    if columns.keys() != interface.inputs.keys():
        raise BadRequest(f'"{key}" {_difference(columns, interface)}')
    return {name: tensor(columns[name], spec) for name, spec in interface.inputs.items()}


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether this is an object of names, rather than the one that stands for binary text."""
    return isinstance(value, dict) and not _is_binary(value)


def _is_binary(value: dict[str, Any]) -> bool:
    return len(value) == 1 and type(value.get("b64")) is str


def only(interface: Interface, key: str) -> TensorSpec:
    """The single input of a model, for values without a name."""
    if len(interface.inputs) != 1:
        raise BadRequest(
            f'"{key}" has no names, but this model has {len(interface.inputs)} inputs: give each by name; '
            f"{expected(interface)}"
        )
    (spec,) = interface.inputs.values()
    return spec


def _difference(given: dict[str, Any], interface: Interface) -> str:
    unknown = next((name for name in given if name not in interface.inputs), None)
    if unknown is not None:
        return f"names {short(unknown)}, which is no input; {expected(interface)}"
    missing = ", ".join(repr(name) for name in interface.inputs if name not in given)
    return f"lacks {missing}; {expected(interface)}"


def short(text: str) -> str:
    """A name of the sender's, quoted and of moderate length."""
    return repr(text if len(text) <= 60 else text[:60] + "…")


def tensor(value: object, spec: TensorSpec) -> Array:
    """An array from nested lists (or a bare value), whose shape has to be one that the input allows."""
    shape = shape_of(value, spec)
    check_shape(shape, spec)
    return elements(value if shape else [value], shape, spec)


def shape_of(value: object, spec: TensorSpec) -> list[int]:
    """The shape that the first entries of nested lists have."""
    shape: list[int] = []
    while isinstance(value, list):
        if len(shape) == MAX_RANK:
            raise BadRequest(f"input '{spec.name}' nests more than {MAX_RANK} lists")
        shape.append(len(value))
        if not value:
            break
        value = value[0]
    return shape


def check_shape(shape: list[int], spec: TensorSpec) -> None:
    """Refuse a shape that the input does not allow."""
    if allows(spec, shape):
        return
    raise BadRequest(
        f"input '{spec.name}' has shape {shape} where {spec.shape} is expected"
        + (" (-1 is any size)" if -1 in spec.shape else "")
    )


def allows(spec: TensorSpec, shape: list[int]) -> bool:
    """Whether an input may have this shape."""
    # An empty shape in the signature also stands for a rank that the model leaves open.
    return not spec.shape or (
        len(shape) == len(spec.shape)
        and all(want in (-1, size) for size, want in zip(shape, spec.shape, strict=True))
    )


def elements(data: object, shape: list[int], spec: TensorSpec) -> Array:
    """The array of this shape from nested lists, which may not be ragged."""
    datatype = spec.datatype
    try:
        if datatype == "BYTES":
            return _strings(data, shape)
        if datatype == "FP16":
            return narrow(from_json(data, "FP32", math.prod(shape)), datatype).reshape(shape)
        return from_json(data, datatype, math.prod(shape)).reshape(shape)
    except TensorError as error:
        raise BadRequest(f"data of input '{spec.name}' {error}") from error


def narrow(array: Array, datatype: str) -> Array:
    """The array with floats of this datatype. Raises ``TensorError`` for a number beyond its range."""
    try:
        with np.errstate(over="raise"):
            return array.astype(NUMPY[datatype], copy=False)
    except FloatingPointError as error:
        raise TensorError(f"holds a number that {datatype} cannot hold") from error


def _strings(data: object, shape: list[int]) -> Array:
    level: list[Any] = [data]
    for size in shape or [1]:
        if any(type(row) is not list or len(row) != size for row in level):
            raise TensorError("is ragged: rows of one level differ in length")
        level = list(chain.from_iterable(level))
    array = np.empty(len(level), dtype=object)
    array[:] = [value if type(value) is str else _text(value) for value in level]
    return array.reshape(shape)


def _text(value: object) -> str:
    if not isinstance(value, dict):
        raise TensorError("holds something other than text where BYTES needs strings")
    if not _is_binary(value):
        raise TensorError('holds an object other than {"b64": "…"} where BYTES needs strings')
    try:
        return unpack_b64(value["b64"]).decode()
    except UnicodeDecodeError as error:
        raise TensorError("holds b64 of bytes that are not UTF-8, which no text of a model is") from error


def unpack_b64(text: str) -> bytes:
    """Bytes of base64, with or without its padding and line ends."""
    text = text.translate(_SPACES)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise TensorError("holds b64 that is not base64") from error
