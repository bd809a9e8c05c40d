"""Rows of several calls in one batch: joined, split again, and whether a model allows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nacre.modelserver.calls import Interface
from nacre.modelserver.tensors import NUMPY, Array
from nacre.schema.serving import TensorSpec

Feed = dict[str, Array]
_CLOSE = 1e-2
_SEED = 6


def open_rows(interface: Interface) -> bool:
    """Whether the first dimension of all inputs and outputs is open: the batch, by custom."""
    specs = [*interface.inputs.values(), *interface.outputs.values()]
    return bool(interface.inputs) and all(spec.shape[:1] == [-1] for spec in specs)


def join(feeds: list[Feed]) -> Feed:
    """One feed with the rows of all."""
    return {name: np.concatenate([feed[name] for feed in feeds]) for name in feeds[0]}


def split(arrays: list[Array], counts: list[int]) -> list[list[Array]] | None:
    """The arrays of each call; null where they do not have a row for each row that was asked."""
    total = sum(counts)
    for array in arrays:
        if array.ndim == 0 or len(array) != total:
            return None
    parts = []
    at = 0
    for count in counts:
        to = at + count
        parts.append([array[at:to] for array in arrays])
        at = to
    return parts


def rowwise(interface: Interface, run: Callable[[list[str], Feed], list[Any]], sample: Feed | None) -> bool:
    """Whether each row of an answer depends on its own row alone, as far as a trial with three rows tells.

    A signature cannot tell it: a model that subtracts the mean of its batch has open rows, too, and would
    mix the requests of strangers. A model that fails in the trial is taken for one that mixes. ``sample``
    is a feed of one row or more that the model is known to answer.
    """
    if not open_rows(interface):
        return False
    names = interface.output_names
    rng = np.random.default_rng(_SEED)
    try:
        feeds = [_row(interface, rng, sample) for _ in range(3)]
        alone = [run(names, feed) for feed in feeds]
        parts = split(run(names, join(feeds)), [1, 1, 1])
    except Exception:  # whatever it does not like, it is not batched
        return False
    return parts is not None and all(
        _equal(left, right)
        for one, other in zip(alone, parts, strict=True)
        for left, right in zip(one, other, strict=True)
    )


def _row(interface: Interface, rng: np.random.Generator, sample: Feed | None) -> Feed:
    feed = {}
    for name, spec in interface.inputs.items():
        if sample is not None:
            shape = (1, *sample[name].shape[1:])
            feed[name] = _like(sample[name][:1].reshape(shape), rng)
        else:
            feed[name] = _random(spec, rng)
    return feed


def _random(spec: TensorSpec, rng: np.random.Generator) -> Array:
    """A row of moderate numbers; whole ones are small, as they may stand for words or classes."""
    shape = [1, *(max(size, 1) for size in spec.shape[1:])]
    if spec.datatype == "BYTES":
        return rng.choice(np.array(["a", "b"], dtype=object), shape)
    wanted = NUMPY[spec.datatype]
    if wanted.kind == "f":
        return rng.normal(size=shape).astype(wanted)
    return rng.integers(0, 2, shape).astype(wanted)


def _like(row: Array, rng: np.random.Generator) -> Array:
    """The row, floats a little changed."""
    if row.dtype.kind != "f":
        return row.copy()
    return (row * rng.uniform(0.5, 1.5, row.shape)).astype(row.dtype)


def _equal(left: Array, right: Array) -> bool:
    if left.shape != right.shape or left.dtype != right.dtype:
        return False
    if left.dtype.kind != "f":
        return bool(np.array_equal(left, right))
    # Of the largest value: another order of additions may change the last digits of the small ones.
    scale = float(np.max(np.abs(left), initial=0.0, where=np.isfinite(left)))
    return bool(np.allclose(left, right, rtol=_CLOSE, atol=_CLOSE * scale * 0.01, equal_nan=True))
