"""Curves: fewer points that still show what the many show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nacre.domain.blocks import Floats, Integers, Points

_DIGITS = 5
_EXACT_TENS = 22
"""The greatest power of ten that a float is exactly; quotients by it are the shortest decimals."""


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart's columns, one entry per stretch of the x axis that has points, from left to right.

    Every point lies within ``min`` and ``max`` of its stretch. ``mean``, ``min`` and ``max`` leave NaN out
    and are NaN where there is nothing else. ``last`` is the value furthest right. ``n`` counts points, NaN
    too. ``x`` is the middle of the stretch. With ``exact`` the entries are the points themselves.
    """

    x: Floats
    mean: Floats
    min: Floats
    max: Floats
    last: Floats
    n: Integers
    exact: bool


@dataclass(frozen=True, slots=True)
class Stretches:
    """Summaries as columns: ``n`` points between ``low`` and ``high`` on the x axis."""

    low: Floats
    high: Floats
    n: Floats
    finite: Floats
    min: Floats
    max: Floats
    sum: Floats
    last: Floats


def thin(points: Points, limit: int) -> Points:
    """At most ``limit`` (4 or more) of the points, in their order: the first, the last, and the lowest
    and highest of each stretch between, so that no spike is lost."""
    if len(points) <= limit:
        return points
    inner = points.value[1:-1]
    stretches = (limit - 2) // 2
    bounds = np.arange(stretches) * len(inner) // stretches
    number = np.repeat(np.arange(stretches), np.diff(np.append(bounds, len(inner))))
    kept = [np.array([0, len(points) - 1])]
    for extreme in (np.fmin, np.fmax):
        hits = np.flatnonzero(inner == extreme.reduceat(inner, bounds)[number])
        first = np.unique(number[hits], return_index=True)[1]
        kept.append(hits[first] + 1)
    return points.at(np.unique(np.concatenate(kept)))


def exact_curve(x: Floats, values: Floats) -> Curve:
    """Points, in order of x, as a curve of their own."""
    return Curve(x, values, values, values, values, np.ones(len(x), np.int64), exact=True)


def draw(
    x: Floats, values: Floats, stretches: Sequence[Stretches], *, low: float, high: float, width: int
) -> Curve:
    """A curve of ``width`` stretches between ``low`` and ``high``: of points in order of x, and of what is
    known of others by summaries. A summary that lies across an edge counts, in equal parts, on each side;
    its band holds on both.
    """
    room = _Room(low, high, width)
    if len(x):
        room.add_points(x, values)
    for some in stretches:
        room.add_stretches(some)
    return room.curve()


def shortened(curve: Curve) -> Curve:
    """The curve in numbers of few digits, less than half as long as text, for eyes: five significant digits
    of each value or of the curve's whole height, whichever is finer; places to a hundredth of a stretch.
    ``min`` is only moved down and ``max`` up, in four digits, so that the band still holds every point.
    Points themselves (``exact``) stay as they are.
    """
    if curve.exact or len(curve.x) < 2:
        return curve
    height = _height(curve)
    stretch = float(np.diff(curve.x).min())
    return Curve(
        x=np.round(curve.x, max(0, 2 - int(np.floor(np.log10(stretch))))) if stretch > 0 else curve.x,
        mean=_short(curve.mean, height, np.rint),
        min=np.fmin(_short(curve.min, height, np.floor, _DIGITS - 1), curve.min),
        max=np.fmax(_short(curve.max, height, np.ceil, _DIGITS - 1), curve.max),
        last=_short(curve.last, height, np.rint),
        n=curve.n,
        exact=False,
    )


def _height(curve: Curve) -> float:
    low, high = curve.min[np.isfinite(curve.min)], curve.max[np.isfinite(curve.max)]
    return float(high.max() - low.min()) if len(low) and len(high) else 0.0


def _short(values: Floats, height: float, whole: Callable[[Any], Any], digits: int = _DIGITS) -> Floats:
    """Each value as a multiple of a power of ten, made whole by ``whole``."""
    with np.errstate(all="ignore"):
        places = digits - 1 - np.floor(np.log10(np.minimum(np.abs(values), height)))
        scale = 10.0 ** np.abs(places)
        found = np.where(places >= 0, whole(values * scale) / scale, whole(values / scale) * scale)
    fit = np.isfinite(found) & (np.abs(places) <= _EXACT_TENS)
    return np.asarray(np.where(fit, found, values), np.float64)


class _Room:
    """Sums per stretch while a curve is drawn."""

    def __init__(self, low: float, high: float, width: int) -> None:
        self._low, self._width = low, width
        self._scale = width / (high - low) if high > low else 0.0
        self._step = (high - low) / width
        self._min: Any = np.full(width, np.nan)
        self._max: Any = np.full(width, np.nan)
        self._sum: Any = np.zeros(width)
        self._finite: Any = np.zeros(width)
        self._n: Any = np.zeros(width)
        self._last: Any = np.full(width, np.nan)
        self._right: Any = np.full(width, -np.inf)

    def _place(self, x: Floats) -> Any:
        places = ((x - self._low) * self._scale).astype(np.int64)
        return np.clip(places, 0, self._width - 1)

    def add_points(self, x: Floats, values: Floats) -> None:
        """``x`` is sorted, and so are the places."""
        places = self._place(x)
        starts = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
        at = places[starts]
        ends = np.append(starts[1:], len(x)) - 1
        known = ~np.isnan(values)
        with np.errstate(all="ignore"):
            self._min[at] = np.fmin(self._min[at], np.fmin.reduceat(values, starts))
            self._max[at] = np.fmax(self._max[at], np.fmax.reduceat(values, starts))
            self._sum[at] += np.add.reduceat(np.where(known, values, 0.0), starts)
        self._finite[at] += np.add.reduceat(known.astype(np.float64), starts)
        self._n[at] += ends + 1 - starts
        self._last[at] = values[ends]
        self._right[at] = x[ends]

    def add_stretches(self, some: Stretches) -> None:
        first, final = self._place(some.low), self._place(some.high)
        count = final - first + 1
        which = np.repeat(np.arange(len(count)), count)
        at = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count) + first[which]
        with np.errstate(all="ignore"):
            np.fmin.at(self._min, at, some.min[which])
            np.fmax.at(self._max, at, some.max[which])
            np.add.at(self._sum, at, (some.sum / count)[which])
        np.add.at(self._finite, at, (some.finite / count)[which])
        np.add.at(self._n, at, (some.n / count)[which])
        order = np.argsort(some.high[which], kind="stable")
        at, right, last = at[order], some.high[which][order], some.last[which][order]
        newer = right >= self._right[at]
        self._last[at[newer]] = last[newer]
        self._right[at[newer]] = right[newer]

    def curve(self) -> Curve:
        used = np.flatnonzero(self._n > 0)
        with np.errstate(all="ignore"):
            mean: Floats = self._sum[used] / self._finite[used]  # 0/0 is NaN: nothing but NaN there
            mean = np.where(np.isnan(mean) & (self._finite[used] > 0), self._max[used], mean)
            mean = np.clip(mean, self._min[used], self._max[used])
        return Curve(
            x=np.asarray(self._low + (used + 0.5) * self._step, np.float64),
            mean=mean,
            min=self._min[used],
            max=self._max[used],
            last=self._last[used],
            n=np.maximum(1, np.rint(self._n[used])).astype(np.int64),
            exact=False,
        )
