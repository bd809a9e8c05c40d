"""Requests of the Open Inference Protocol v2 whose tensors are all raw, remembered by their JSON.

A client writes the same JSON before each tensor of one shape: what it means is looked up.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nacre.modelserver.calls import Interface
from nacre.modelserver.tensors import NUMPY, Array

_MOST = 256
_LONGEST = 4096
_CHECKED = frozenset({"BOOL", "BYTES"})
"""Datatypes whose bytes have to be looked at."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``tensors``: name, type, shape, number of elements, offset behind the JSON. ``size``: of them all."""

    tensors: list[tuple[str, np.dtype[np.generic], tuple[int, ...], int, int]]
    size: int
    outputs: list[str]
    binary: frozenset[str]

    def feed(self, body: bytes, start: int) -> dict[str, Array] | None:
        """The tensors of a body whose JSON ends at ``start``; null if it has more bytes or less."""
        if len(body) - start != self.size:
            return None
        feed: dict[str, Array] = {}
        for name, wanted, shape, count, offset in self.tensors:
            array = np.frombuffer(body, wanted, count, start + offset).reshape(shape)
            # The JSON has any length: kernels expect aligned memory.
            feed[name] = array if array.flags.aligned else array.copy()
        return feed


def remember(
    head: bytes, feed: dict[str, Array], outputs: list[str], binary: frozenset[str], interface: Interface
) -> None:
    """Keep what a request without an id meant. ``feed`` has its inputs in the order of their bytes."""
    if len(head) > _LONGEST or any(interface.inputs[name].datatype in _CHECKED for name in feed):
        return
    tensors = []
    size = 0
    for name, array in feed.items():
        if not array.size:
            return
        tensors.append((name, NUMPY[interface.inputs[name].datatype], array.shape, array.size, size))
        size += array.nbytes
    if len(interface.plans) >= _MOST:
        interface.plans.clear()
    interface.plans[head] = Plan(tensors, size, outputs, binary)
