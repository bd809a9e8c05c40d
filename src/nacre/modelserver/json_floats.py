"""Flat lists of JSON numbers straight into float32, by ``_floats.c`` where it could be compiled.

Nothing is kept of a document but the numbers. What it does not take goes the way of
:mod:`nacre.modelserver.numbers`, so it must never give anything but what that way would.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nacre.modelserver.tensors import Array

_fill: Callable[[bytes, int, Array, Array], int] | None
try:
    from nacre.modelserver._floats import fill as _fill  # type: ignore[import-not-found,unused-ignore]
except ImportError:
    _fill = None

BUILT = _fill is not None
_LEAST, _MOST = -64, 64
_WORD = 1 << 64


def _power(exponent: int) -> int:
    """``5**exponent`` in 128 bits, the highest of them set, as the method of ``_floats.c`` wants it: cut off,
    but from ``5**-27`` to ``5**-1`` rounded up."""
    power = 5 ** abs(exponent)
    bits = power.bit_length()
    if exponent >= 0:
        return power << (128 - bits) if bits <= 128 else power >> (bits - 128)
    return (1 << (bits + 127)) // power + (exponent >= -27)


_POWERS = np.array([divmod(_power(one), _WORD) for one in range(_LEAST, _MOST + 1)], np.uint64)


def fill(body: bytes, at: int, out: Array) -> int:
    """Read the list of numbers that begins at ``body[at]`` into ``out`` (FP32), all of it.

    The position behind the list; -1 where it is no flat list of so many numbers that fit, or unusual.
    """
    return _fill(body, at, out, _POWERS) if _fill is not None else -1
