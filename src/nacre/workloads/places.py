"""Where in the data a sample lies that does not fit, in words, and which value of it does not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacre.workloads.arrays import NUMPY

Place = Callable[[int], str]
"""Where the sample of this index, in a few that were read together, comes from."""


def rows_of(source: str, first: int) -> Place:
    """Of samples that are rows of a file, from the row ``first`` on."""
    return lambda at: f"{source}, row {first + at} (counted from 0)"


def misfit(x: NDArray[Any], datatype: str) -> tuple[int, Any] | None:
    """The first sample with a value that is none of this type, and the value: a word for a number, or
    0.5, 300 or NaN for an INT8."""
    wanted = NUMPY.get(datatype, np.object_)
    if issubclass(wanted, np.object_):
        return None
    rows = x.reshape(len(x), -1)
    if rows.dtype.kind in "OSU":
        words = ((at, value) for at, row in enumerate(rows.tolist()) for value in row)
        return next((found for found in words if not _becomes(found[1], wanted)), None)
    if issubclass(wanted, np.floating) or np.can_cast(rows.dtype, wanted):
        return None
    with np.errstate(invalid="ignore"):
        odd = np.argwhere(rows.astype(wanted) != rows)
    return (int(odd[0][0]), rows[tuple(odd[0])].item()) if len(odd) else None


def _becomes(value: Any, wanted: type[np.generic]) -> bool:
    try:
        np.asarray([value]).astype(wanted)
    except (ValueError, TypeError, OverflowError):
        return False
    return True
