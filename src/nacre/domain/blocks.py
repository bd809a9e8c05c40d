"""Packed points: a few hundred of a series in one value of the database, about 9 bytes a point.

Three columns lie one after another: steps, times, values. A column of integers is its first number, the
least of its differences, and what each difference has beyond that, in as few bytes as fit. Values are kept
exactly: as integers, as 32-bit floats, or as 64-bit floats, whichever is smallest and loses nothing.
Arithmetic is modulo 2**64, so every 64-bit integer may be a step.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isnan
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FAN_IN = 16
"""So many blocks of one level are summed up by one of the next."""
TARGET = 1024
"""The most points of a block."""

_VERSION = 1
_HEAD = struct.Struct("<BI")
_INTEGERS = struct.Struct("<BqqI")
_VALUES = struct.Struct("<BI")
_ZLIB = 0x80
_WORTH = 0.85  # what compression must leave at most, to be worth its time when reading
_FLOAT64, _FLOAT32, _WHOLE = 0, 1, 2
_EXACT = 2.0**53


@dataclass(frozen=True, slots=True)
class Points:
    """Columns of points: ``step`` and ``ts`` (milliseconds since 1970), ``value`` with NaN as it is."""

    step: Integers
    ts: Integers
    value: Floats

    def __len__(self) -> int:
        return len(self.step)

    def at(self, where: Any) -> Points:
        """Those at a slice, mask or array of positions."""
        return Points(self.step[where], self.ts[where], self.value[where])

    def sorted(self) -> Points:
        """In order of step, then time, then value (NaN last)."""
        order = np.lexsort((self.value, self.ts, self.step))
        return self.at(order)


def make_points(rows: Sequence[tuple[int, int, float | None]]) -> Points:
    """Columns of rows (step, ts, value); null is NaN."""
    count = len(rows)
    steps, times, values = zip(*rows, strict=True) if rows else ((), (), ())
    return Points(
        np.fromiter(steps, np.int64, count),
        np.fromiter(times, np.int64, count),
        np.array(values, np.float64),  # None becomes NaN
    )


def join(parts: Sequence[Points]) -> Points:
    """All of them, one after another."""
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return make_points([])
    return Points(
        np.concatenate([part.step for part in parts]),
        np.concatenate([part.ts for part in parts]),
        np.concatenate([part.value for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of some points without reading them. ``finite`` of the ``n`` are not NaN (they may be
    infinite); ``last`` is the value of the greatest (step, time). Null stands for NaN."""

    n: int
    finite: int
    first_step: int
    last_step: int
    first_ts: int
    last_ts: int
    min: float | None
    max: float | None
    sum: float
    last: float | None

    def row(self) -> tuple[int | float | None, ...]:
        """The fields in their order."""
        return _FIELDS(self)


_FIELDS: Callable[[Summary], tuple[int | float | None, ...]] = attrgetter(*Summary.__slots__)


def summarise(points: Points) -> Summary:
    """Sum up one or more points that are in order of (step, time)."""
    known = points.value[~np.isnan(points.value)]
    last = float(points.value[-1])
    with np.errstate(all="ignore"):
        total = float(known.sum())
    return Summary(
        n=len(points),
        finite=len(known),
        first_step=int(points.step.min()),
        last_step=int(points.step.max()),
        first_ts=int(points.ts.min()),
        last_ts=int(points.ts.max()),
        min=float(known.min()) if len(known) else None,
        max=float(known.max()) if len(known) else None,
        sum=_storable(total),
        last=None if isnan(last) else last,
    )


def combine(parts: Sequence[Summary]) -> Summary:
    """Sum up one or more summaries, given in the order in which their points were packed."""
    lows = [part.min for part in parts if part.min is not None]
    highs = [part.max for part in parts if part.max is not None]
    latest = max(enumerate(parts), key=lambda entry: (entry[1].last_step, entry[1].last_ts, entry[0]))[1]
    return Summary(
        n=sum(part.n for part in parts),
        finite=sum(part.finite for part in parts),
        first_step=min(part.first_step for part in parts),
        last_step=max(part.last_step for part in parts),
        first_ts=min(part.first_ts for part in parts),
        last_ts=max(part.last_ts for part in parts),
        min=min(lows, default=None),
        max=max(highs, default=None),
        sum=_storable(sum(part.sum for part in parts)),
        last=latest.last,
    )


def _storable(total: float) -> float:
    """+∞ where infinities of both signs met: the databases have no NaN."""
    return float("inf") if isnan(total) else total


def split(points: Points) -> list[Points]:
    """Pieces of about equal length, none over :data:`TARGET`."""
    pieces = -(-len(points) // TARGET)
    bounds = [len(points) * at // pieces for at in range(pieces + 1)]
    return [points.at(slice(a, b)) for a, b in pairwise(bounds)]


def encode(points: Points, *, squeeze: bool = True) -> bytes:
    """Pack points, in the order given. Without ``squeeze`` nothing is compressed, which is quicker."""
    head = _HEAD.pack(_VERSION, len(points))
    columns = (_pack_integers(points.step, squeeze), _pack_integers(points.ts, squeeze))
    return head + b"".join(columns) + _pack_values(points.value, squeeze)


def decode(data: bytes) -> Points:
    """The points of :func:`encode`, exactly (every NaN as one and the same).

    Raises:
        ValueError: these bytes are not a block.
    """
    try:
        version, count = _HEAD.unpack_from(data)
        if version != _VERSION:
            raise ValueError(f"a block of version {version}, which this Nacre does not know")
        steps, at = _read_integers(data, _HEAD.size, count)
        times, at = _read_integers(data, at, count)
        return Points(steps, times, _read_values(data, at, count))
    except (struct.error, zlib.error, IndexError) as error:
        raise ValueError(f"a damaged block: {error}") from error


def _pack_integers(numbers: Integers, squeeze: bool) -> bytes:
    if not len(numbers):
        return _INTEGERS.pack(0, 0, 0, 0)
    deltas = np.diff(numbers.view(np.uint64)).view(np.int64)
    if not len(deltas):
        return _INTEGERS.pack(0, int(numbers[0]), 0, 0)
    base = int(deltas.min())
    beyond = deltas.view(np.uint64) - np.int64(base).view(np.uint64)
    width = _width(int(beyond.max()))
    body = beyond.astype(f"<u{width}").tobytes() if width else b""
    code, body = _squeezed(width, body, width) if squeeze else (width, body)
    return _INTEGERS.pack(code, int(numbers[0]), base, len(body)) + body


def _read_integers(data: bytes, at: int, count: int) -> tuple[Integers, int]:
    code, first, base, length = _INTEGERS.unpack_from(data, at)
    at += _INTEGERS.size
    if not count:
        return np.empty(0, np.int64), at
    numbers = np.empty(count, np.uint64)
    numbers[0] = np.int64(first).view(np.uint64)
    step = np.int64(base).view(np.uint64)
    width = code & ~_ZLIB
    if width:
        numbers[1:] = _loosened(code, data[at : at + length], f"<u{width}", width)
        numbers[1:] += step
    else:
        numbers[1:] = step
    return np.cumsum(numbers, dtype=np.uint64).view(np.int64), at + length


def _pack_values(values: Floats, squeeze: bool) -> bytes:
    kind, width = _FLOAT64, 8
    body: bytes | None = None
    if len(values) and _are_whole(values):
        return _VALUES.pack(_WHOLE, 0) + _pack_integers(values.astype(np.int64), squeeze)
    with np.errstate(all="ignore"):
        short = values.astype("<f4")
        if np.array_equal(short.astype(np.float64), values, equal_nan=True):
            kind, width, body = _FLOAT32, 4, short.tobytes()
    if body is None:
        body = values.astype("<f8").tobytes()
    code, body = _squeezed(kind, body, width) if squeeze else (kind, body)
    return _VALUES.pack(code, len(body)) + body


def _are_whole(values: Floats) -> bool:
    if not np.isfinite(values).all() or np.abs(values).max() > _EXACT:
        return False
    whole = values.astype(np.int64).astype(np.float64)
    return bool((whole == values).all() and not np.signbit(values[values == 0]).any())


def _read_values(data: bytes, at: int, count: int) -> Floats:
    code, length = _VALUES.unpack_from(data, at)
    at += _VALUES.size
    kind = code & ~_ZLIB
    if kind == _WHOLE:
        return _read_integers(data, at, count)[0].astype(np.float64)
    width = 8 if kind == _FLOAT64 else 4
    found = _loosened(code, data[at : at + length], f"<f{width}", width)
    if len(found) != count:
        raise ValueError("a damaged block: values are missing")
    return found.astype(np.float64, copy=False)


def _width(largest: int) -> int:
    return next(
        width for width, limit in ((0, 1), (1, 2**8), (2, 2**16), (4, 2**32), (8, 2**64)) if largest < limit
    )


def _squeezed(code: int, body: bytes, width: int) -> tuple[int, bytes]:
    """The body with its bytes in order of their significance and compressed, where that is worth it."""
    if len(body) < 64:
        return code, body
    shuffled = np.frombuffer(body, np.uint8).reshape(-1, width).T.tobytes() if width > 1 else body
    small = zlib.compress(shuffled, 1)
    return (code | _ZLIB, small) if len(small) <= _WORTH * len(body) else (code, body)


def _loosened(code: int, body: bytes, kind: str, width: int) -> npt.NDArray[Any]:
    if code & _ZLIB:
        plain = zlib.decompress(body)
        if width > 1:
            plain = np.frombuffer(plain, np.uint8).reshape(width, -1).T.tobytes()
        body = plain
    return np.frombuffer(body, kind)
