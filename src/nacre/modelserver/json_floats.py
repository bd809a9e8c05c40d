"""Flat lists of JSON numbers straight into float32, by ``_floats.c`` where it could be compiled.

Nothing is kept of a document but the numbers. What it does not take goes the way of
:mod:`nacre.modelserver.numbers`, so it must never give anything but what that way would.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from nacre.modelserver.tensors import Array

_floats: Any
try:
    _floats = import_module("nacre.modelserver._floats")
except ImportError:
    _floats = None

BUILT = _floats is not None
_LEAST, _MOST = -64, 64
_WORD = 1 << 64


def _power(exponent: int) -> int:
    """``5**exponent`` in 128 bits, the highest of them set, as ``_floats.c`` wants it: cut off, but from
    ``5**-27`` to ``5**-1`` rounded up."""
    power: int = 5 ** abs(exponent)
    bits = power.bit_length()
    if exponent >= 0:
        return power << (128 - bits) if bits <= 128 else power >> (bits - 128)
    return (1 << (bits + 127)) // power + (exponent >= -27)


_POWERS = np.array([divmod(_power(one), _WORD) for one in range(_LEAST, _MOST + 1)], np.uint64)


def fill(body: bytes, at: int, out: Array) -> int:
    """Read the list of numbers that begins at ``body[at]`` into ``out`` (FP32), all of it.

    The position behind the list; -1 where it is no flat list of so many numbers that fit, or unusual.
    """
    end: int = _floats.fill(body, at, out, _POWERS) if BUILT else -1
    return end
