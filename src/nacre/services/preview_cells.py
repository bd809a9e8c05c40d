"""Cells, rows and columns of tables that are looked at: bounded, and of JSON."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from nacre.schema.previews import TableColumn

MAX_COLUMNS = 200
MAX_ROWS = 1000
_MAX_CELL = 500
_MAX_TABLE = 4 * 2**20
_NUMBER = re.compile(
    r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*|\s*[+-]?(?:nan|inf|infinity)\s*", re.IGNORECASE
)
_INTEGER = re.compile(r"\s*[+-]?\d+\s*")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?)?")


def cell(value: Any) -> Any:
    """The value as JSON that every client reads: no NaN, no deep nesting, no long text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < 2**53 else str(value)[:_MAX_CELL]  # more is not exact in a browser
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _MAX_CELL else text[:_MAX_CELL] + "…"


def page(rows: Iterable[Sequence[Any]], limit: int) -> list[list[Any]]:
    """The first rows as cells: ``limit`` at most, fewer when they are very large, but never none."""
    taken: list[list[Any]] = []
    size = 0
    for row in islice(rows, limit):
        cells = [cell(value) for value in row[:MAX_COLUMNS]]
        size += sum(len(value) if isinstance(value, str) else 8 for value in cells)
        if taken and size > _MAX_TABLE:
            break
        taken.append(cells)
    return taken


def columns(names: Sequence[Any], rows: Sequence[Sequence[Any]]) -> list[TableColumn]:
    """The columns, with types guessed from the rows that are shown."""
    return [
        TableColumn(name=str(cell(name)), type=type_of([row[at] for row in rows if at < len(row)]))
        for at, name in enumerate(names[:MAX_COLUMNS])
    ]


def is_number(text: str) -> bool:
    """Whether a text is a number."""
    return _NUMBER.fullmatch(text) is not None


def type_of(values: list[Any]) -> str:
    """``integer number boolean text date``, or ``empty``: what all of these are."""
    kinds = {_kind(value) for value in values if value is not None and value != ""}
    if not kinds:
        return "empty"
    if kinds == {"integer", "number"}:
        return "number"
    return kinds.pop() if len(kinds) == 1 else "text"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "integer" if isinstance(value, int) else "number"
    if value in ("true", "false", "True", "False"):
        return "boolean"
    if _INTEGER.fullmatch(value):
        return "integer"
    if _NUMBER.fullmatch(value):
        return "number"
    return "date" if _DATE.fullmatch(value) else "text"
