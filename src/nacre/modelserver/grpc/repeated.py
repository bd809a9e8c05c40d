"""Inferences like some before: clients send the same message again and again, but for its raw tensors.

What the rest of the message means, and the answer's bytes before its tensors, are looked up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nacre.modelserver.calls import Call, Interface
from nacre.modelserver.grpc import inference_messages as m
from nacre.modelserver.grpc import wire
from nacre.modelserver.grpc.parse import parse
from nacre.modelserver.grpc.typed import octets
from nacre.modelserver.tensors import NUMPY, Array

_MOST = 256
_LONGEST = 1024
_CHECKED = frozenset({"BOOL", "BYTES"})
"""Datatypes whose bytes have to be looked at."""
_parsed: dict[bytes, Any] = {}


@dataclass(frozen=True, slots=True)
class Plan:
    """``tensors``: name, type, shape and bytes of each, in the order of the message."""

    tensors: list[tuple[str, np.dtype[np.generic], tuple[int, ...], int]]
    outputs: list[str]

    def feed(self, raws: Sequence[memoryview]) -> dict[str, Array] | None:
        """The tensors; null if they have other sizes than those that were seen."""
        feed: dict[str, Array] = {}
        for (name, wanted, shape, size), raw in zip(self.tensors, raws, strict=False):
            if len(raw) != size:
                return None
            array = np.frombuffer(raw, wanted).reshape(shape)
            # The message is of any length: kernels expect aligned memory.
            feed[name] = array if array.flags.aligned else array.copy()
        return feed if len(feed) == len(self.tensors) == len(raws) else None


def parsed(rest: bytes) -> Any:
    """The request of a message without its raw tensors. It is shared: nobody may change it.

    Raises :class:`BadRequest`.
    """
    request = _parsed.get(rest)
    if request is None:
        request = parse(m.ModelInferRequest, rest)
        if len(rest) <= _LONGEST and not request.id:
            if len(_parsed) >= _MOST:
                _parsed.clear()
            _parsed[rest] = request
    return request


def plan(rest: bytes, interface: Interface) -> Plan | None:
    """What this message meant for this model."""
    return interface.plans.get((m.ModelInferRequest, rest))


def remember(rest: bytes, request: Any, call: Call, interface: Interface) -> None:
    """Keep what a message with raw tensors meant: ``call``, with its feed in their order."""
    if len(rest) > _LONGEST or request.id:
        return
    tensors = []
    for name, array in call.feed.items():
        datatype = interface.inputs[name].datatype
        if datatype in _CHECKED:
            return
        tensors.append((name, NUMPY[datatype], array.shape, array.nbytes))
    if len(interface.plans) >= _MOST:
        interface.plans.clear()
    interface.plans[(m.ModelInferRequest, rest)] = Plan(tensors, call.outputs)


def answer(names: list[str], model_name: str, arrays: Sequence[Array], interface: Interface) -> bytes:
    """The message of an answer with raw tensors and no id."""
    shapes = [array.shape for array in arrays]
    key = (m.ModelInferResponse, model_name, *names, *shapes)
    before = interface.templates.get(key)
    if before is None:
        message = m.ModelInferResponse(model_name=model_name, model_version=interface.version)
        for name, shape in zip(names, shapes, strict=True):
            message.outputs.add(name=name, datatype=interface.outputs[name].datatype, shape=shape)
        before = message.SerializeToString()
        if len(interface.templates) >= _MOST:
            interface.templates.clear()
        interface.templates[key] = before
    contents = [
        octets(array, interface.outputs[name].datatype) for name, array in zip(names, arrays, strict=True)
    ]
    return wire.join(before, m.RAW_OUTPUT, contents)
