"""Arrays from TensorFlow's ``TensorProto``, and back.

As ``tensorflow/core/framework/tensor.proto`` has it: the elements are ``tensor_content``, or the values of
the datatype's field, of which the last one stands for all that are missing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nacre.modelserver.calls import BadRequest
from nacre.modelserver.grpc import wire
from nacre.modelserver.grpc.parse import check_shape
from nacre.modelserver.grpc.prediction_messages import DTYPES, FIELDS, PACKED
from nacre.modelserver.grpc.typed import encoded, numbers, octets, strings
from nacre.modelserver.limits import MIB
from nacre.modelserver.tensors import NUMPY, Array, TensorError, from_binary
from nacre.schema.serving import TensorSpec

_MOST_REPEATED = 64 * MIB
"""Bytes of a tensor that one value fills."""
_NAMES = {number: name for name, number in DTYPES.items()}


def from_proto(tensor: Any, spec: TensorSpec) -> Array:
    """The array of an input. Raises :class:`BadRequest`."""
    if tensor.dtype != DTYPES[spec.datatype]:
        given = _NAMES.get(tensor.dtype, f"type {tensor.dtype} of TensorFlow")
        raise BadRequest(f"input '{spec.name}' has datatype {given} where {spec.datatype} is expected")
    if tensor.tensor_shape.unknown_rank:
        raise BadRequest(f"input '{spec.name}' has no shape")
    shape = check_shape([dim.size for dim in tensor.tensor_shape.dim], spec)
    try:
        return _elements(tensor, spec.datatype, math.prod(shape)).reshape(shape)
    except TensorError as error:
        raise BadRequest(f"data of input '{spec.name}' {error}") from error


def _elements(tensor: Any, datatype: str, count: int) -> Array:
    content = tensor.tensor_content
    if content and datatype == "BYTES":
        raise TensorError("is in tensor_content, but strings belong in string_val")
    if content:
        return from_binary(memoryview(content), datatype, count)
    field = FIELDS[datatype]
    array = _values(getattr(tensor, field), datatype)
    if len(array) == count:
        return array
    if len(array) > count or not len(array):
        raise TensorError(f"has {len(array)} elements in {field} where its shape asks for {count}")
    if count * NUMPY[datatype].itemsize > _MOST_REPEATED:
        raise TensorError(f"repeats one value to more than {_MOST_REPEATED} bytes")
    whole = np.empty(count, array.dtype)
    whole[: len(array)] = array
    whole[len(array) :] = array[-1]
    return whole


def _values(values: Any, datatype: str) -> Array:
    if datatype == "BYTES":
        return strings(values)
    if datatype == "FP16":
        return numbers(values, "UINT16").view(NUMPY["FP16"])
    return numbers(values, datatype)


def to_proto(tensor: Any, array: Array, datatype: str) -> None:
    """Fill an empty ``TensorProto``, as TensorFlow Serving does: in the field of the datatype."""
    tensor.dtype = DTYPES[datatype]
    for size in array.shape:
        tensor.tensor_shape.dim.add(size=size)
    if not array.ndim:
        tensor.tensor_shape.SetInParent()
    number = PACKED.get(datatype)
    if number is not None:
        raw = octets(array, datatype)
        tensor.MergeFromString(b"".join((wire.head(number, len(raw)), raw)))
        return
    field = getattr(tensor, FIELDS[datatype])
    if datatype == "BYTES":
        field.extend(encoded(array))
    elif datatype == "FP16":
        field.extend(array.astype(NUMPY["FP16"]).ravel().view(np.uint16).tolist())
    else:
        field.extend(array.ravel().tolist())
