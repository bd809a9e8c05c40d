"""Checks that both services share."""

from __future__ import annotations

import math
from typing import Any

from google.protobuf.message import DecodeError

from nacre.modelserver.calls import BadRequest
from nacre.modelserver.protocols import v2
from nacre.schema.serving import TensorSpec

_MOST_ELEMENTS = 2**48
_MAX_RANK = 32


def parse(kind: Any, message: bytes) -> Any:
    """A message of this class. Raises :class:`BadRequest`."""
    try:
        return kind.FromString(message)
    except DecodeError as error:
        raise BadRequest(f"the message is not a {kind.DESCRIPTOR.name}: {error}") from error


def check_shape(shape: list[int], spec: TensorSpec) -> list[int]:
    """The shape, when the input allows it. Raises :class:`BadRequest`."""
    # An empty shape in the signature also stands for a rank that the model leaves open.
    if min(shape, default=0) < 0 or (spec.shape and not v2.fits(shape, spec.shape)):
        raise BadRequest(
            f"input '{spec.name}' has shape {shape[:_MAX_RANK]} where {spec.shape} is expected"
            + (" (-1 is any size)" if -1 in spec.shape else "")
        )
    if len(shape) > _MAX_RANK or math.prod(shape) > _MOST_ELEMENTS:
        raise BadRequest(f"input '{spec.name}' has a shape that is too large")
    return shape
