"""Statistics of a table's columns, gathered chunk by chunk in bounded memory."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np

from nacre.schema.summaries import ColumnSummary, Histogram, ValueCount
from nacre.services.preview_cells import type_of

MAX_DISTINCT = 1000
_BINS = 20
_TOP = 10
_KEPT = 20_000
_GUESSED = 1000
_MAX_VALUE = 200
_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none"})


class Column:
    """One column. Feed it with :meth:`add`; :meth:`summary` may be asked at any time.

    ``values`` counts each value as text; it is null once there were over ``MAX_DISTINCT``.
    """

    def __init__(self, name: str, kind: str | None = None) -> None:
        self.name = name
        self.count = 0
        self.missing = 0
        self.values: Counter[str] | None = Counter()
        self._kind = kind
        self._first: list[Any] = []
        self._numbers: _Numbers | None = _Numbers()

    def add(self, values: Sequence[Any]) -> None:
        """Take more cells: of text, or of JSON."""
        self.count += len(values)
        there = [value for value in values if not _absent(value)]
        self.missing += len(values) - len(there)
        if len(self._first) < _GUESSED:
            self._first += [
                value if isinstance(value, (str, int, float)) else _text(value)
                for value in islice(there, _GUESSED - len(self._first))
            ]
        if self.values is not None:
            self.values.update(map(_text, there))
            if len(self.values) > MAX_DISTINCT:
                self.values = None
        if self._numbers is not None and there and not self._numbers.add(there):
            self._numbers = None

    @property
    def kind(self) -> str:
        """``integer number boolean text date nested empty``, or Parquet's own word."""
        return self._kind or type_of(self._first)

    def summary(self) -> ColumnSummary:
        """The statistics of what was added."""
        numbers = self._numbers.found() if self._numbers is not None and self._first else {}
        top = [] if self.values is None else self.values.most_common(_TOP)
        return ColumnSummary(
            name=self.name[:500],
            type=self.kind,
            count=self.count,
            missing=self.missing,
            distinct=None if self.values is None else len(self.values),
            top=[ValueCount(value=value, count=count) for value, count in top],
            **numbers,
        )


class _Numbers:
    """Count, extremes, mean and spread of all; a thinned part of the values for the histogram."""

    def __init__(self) -> None:
        self._n = 0
        self._mean = self._squares = 0.0
        self._min, self._max = math.inf, -math.inf
        self._kept: Any = np.empty(0)
        self._stride = 1

    def add(self, values: list[Any]) -> bool:
        """Take values; false when they are not all numbers."""
        if any(isinstance(value, (bool, list, dict)) for value in values):
            return False
        try:
            found = np.array(values, dtype=object).astype(np.float64)
        except (ValueError, TypeError, OverflowError):
            return False
        found = found[np.isfinite(found)]
        if not found.size:
            return True
        with np.errstate(all="ignore"):  # of whatever numbers a stranger wrote
            n, mean = int(found.size), float(found.mean())
            far = mean - self._mean
            total = self._n + n
            self._squares += float(((found - mean) ** 2).sum()) + far * far * self._n * n / total
            self._mean += far * n / total
        self._n = total
        self._min, self._max = min(self._min, float(found.min())), max(self._max, float(found.max()))
        self._kept = np.concatenate((self._kept, found[:: self._stride]))
        while self._kept.size > 2 * _KEPT:
            self._kept = self._kept[::2]
            self._stride *= 2
        return True

    def found(self) -> dict[str, Any]:
        if not self._n:
            return {}
        found: dict[str, Any] = {"min": self._min, "max": self._max}
        spread = math.sqrt(self._squares / self._n) if self._squares >= 0 else math.nan
        found |= {
            key: value for key, value in (("mean", self._mean), ("std", spread)) if math.isfinite(value)
        }
        if math.isfinite(self._max - self._min):
            with np.errstate(all="ignore"):
                found["histogram"] = self._histogram()
        return found

    def _histogram(self) -> Histogram | None:
        whole = bool((self._kept == np.floor(self._kept)).all())
        span = self._max - self._min
        # Small whole numbers have bins of their own.
        bins = int(span) + 1 if whole and span < _BINS else _BINS
        low, high = (self._min - 0.5, self._max + 0.5) if whole and span < _BINS else (self._min, self._max)
        try:
            counts, edges = np.histogram(self._kept, bins=bins, range=(low, high))
        except ValueError:  # numbers so near each other that no bins fit between
            return None
        return Histogram(edges=edges.tolist(), counts=counts.tolist())


def _absent(value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, str):
        return len(value) < 8 and value.strip().lower() in _MISSING
    return isinstance(value, float) and math.isnan(value)


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value if len(value) <= _MAX_VALUE else value[:_MAX_VALUE] + "…"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)[:_MAX_VALUE]
    return json.dumps(value, ensure_ascii=False, default=str)[:_MAX_VALUE]
