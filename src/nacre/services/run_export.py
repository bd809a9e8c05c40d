"""Runs and points as CSV or Parquet, made piece by piece: memory does not grow with their number."""

from __future__ import annotations

import csv
import importlib
import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Literal, Protocol

from nacre.db.queries.run_search import search_runs
from nacre.db.queries.run_table import keys_of, table_rows
from nacre.db.queries.series import find_series, points
from nacre.db.tables.runs import RunRow
from nacre.domain.identity import Caller
from nacre.domain.run_columns import Columns
from nacre.schema.charts import RunExport
from nacre.services.run_table import RunTable, word

_PAGE = 500
_POINTS = 20_000
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
Kind = Literal["text", "number", "integer", "time"]


@dataclass(frozen=True)
class Field:
    """A column of the file."""

    name: str
    kind: Kind


class Sheet(Protocol):
    """A file that is being made. Each call gives the bytes that are ready."""

    def rows(self, columns: Sequence[Any]) -> bytes:
        """Add rows, given as columns of equal length."""
        ...

    def end(self) -> bytes:
        """The rest."""
        ...


_ATTRIBUTES = (
    Field("run", "text"),
    Field("name", "text"),
    Field("experiment", "text"),
    Field("user", "text"),
    Field("job", "text"),
    Field("state", "text"),
    Field("created_at", "time"),
    Field("started_at", "time"),
    Field("ended_at", "time"),
)
_POINT = (
    Field("run", "text"),
    Field("run_name", "text"),
    Field("key", "text"),
    Field("step", "integer"),
    Field("time", "time"),
    Field("value", "number"),
)


def export_runs(table: RunTable, caller: Caller, spec: RunExport) -> Iterator[bytes]:
    """The file's bytes. What is wrong with the request is raised at once, not in the middle.

    Raises:
        InvalidSpec: filter, order or columns do not parse.
        NotFound: a run or experiment does not exist.
    """
    table.check(spec)
    pages = _pages(table, caller, spec)
    first = next(pages, [])  # raises here what is wrong
    if spec.what == "points":
        return _points(table, spec, chain([first], pages))
    return _table(table, caller, spec, first)


def _pages(table: RunTable, caller: Caller, spec: RunExport) -> Iterator[list[RunRow]]:
    filters, order, _ = table.check(spec)
    if spec.runs is not None:
        with table.db.read() as session:
            found = table.find(session, caller, spec.runs)
        yield found
        return
    with table.db.read() as session:
        experiments = table.experiments(session, caller.project_id, spec.experiments)
    cursor: str | None = None
    while True:
        with table.db.read() as session:
            rows, cursor = search_runs(
                session,
                caller.project_id,
                experiment_ids=experiments,
                filter=filters,
                order=order,
                view=spec.view,
                limit=_PAGE,
                cursor=cursor,
            )
        if rows:
            yield rows
        if cursor is None:
            return


def _table(table: RunTable, caller: Caller, spec: RunExport, first: list[RunRow]) -> Iterator[bytes]:
    """Two passes: the first finds the columns, the second writes the rows."""
    columns = parse = table.check(spec)[2]
    names: dict[str, set[str]] = {"params": set(), "metrics": set(), "tags": set()}
    for page in _pages(table, caller, spec):
        with table.db.read() as session:
            for kind, keys in keys_of(session, [row.id for row in page]).items():
                names[kind] |= keys
    wanted = {kind: sorted(getattr(parse, kind).pick(keys)) for kind, keys in names.items()}
    sheet = _sheet(spec, _fields(wanted))
    for page in _pages(table, caller, spec):
        yield sheet.rows(_filled(table, page, columns, wanted))
    yield sheet.end()


def _fields(wanted: dict[str, list[str]]) -> list[Field]:
    fields = list(_ATTRIBUTES)
    fields += [Field(f"params.{key}", "text") for key in wanted["params"]]
    for key in wanted["metrics"]:
        fields += [Field(f"metrics.{key}{part}", "number") for part in ("", ".min", ".max")]
        fields.append(Field(f"metrics.{key}.step", "integer"))
    fields += [Field(f"tags.{key}", "text") for key in wanted["tags"]]
    return fields


def _filled(
    table: RunTable, page: Sequence[RunRow], columns: Columns, wanted: dict[str, list[str]]
) -> list[list[Any]]:
    with table.db.read() as session:
        found = table_rows(session, page, columns)
    ways = ["id", *(field.name for field in _ATTRIBUTES[1:])]
    filled: list[list[Any]] = [[row[name] for row in found] for name in ways]
    filled += [[row["params"].get(key) for row in found] for key in wanted["params"]]
    for key in wanted["metrics"]:
        for part in ("last", "min", "max", "step"):
            filled.append([row["metrics"].get(key, {}).get(part) for row in found])
    return filled + [[row["tags"].get(key) for row in found] for key in wanted["tags"]]


def _points(table: RunTable, spec: RunExport, pages: Iterable[list[RunRow]]) -> Iterator[bytes]:
    keys = table.check(spec)[2].metrics
    sheet = _sheet(spec, _POINT)
    for page in pages:
        for run in page:
            with table.db.read() as session:
                series = find_series(session, [run.id], keys.names)
            chosen = set(keys.pick([one.key for one in series]))
            for one in series:
                if one.key not in chosen:
                    continue
                with table.db.read() as session:
                    found = points(session, one)
                for at in range(0, len(found), _POINTS):
                    part = slice(at, at + _POINTS)
                    step, ts, value = found.step[part], found.ts[part], found.value[part]
                    size = len(step)
                    yield sheet.rows(
                        [[run.uuid] * size, [run.name] * size, [one.key] * size, step, ts, value]
                    )
    yield sheet.end()


def _sheet(spec: RunExport, fields: Sequence[Field]) -> Sheet:
    if spec.format == "csv":
        return _Csv(fields, raw=spec.raw)
    # pyarrow takes half a second and tens of megabytes: only servers that export have it loaded
    made: Sheet = importlib.import_module("nacre.services.parquet").ParquetSheet(fields)
    return made


class _Csv:
    """UTF-8, lines end with CRLF (RFC 4180). NaN and infinities as words, times in RFC 3339."""

    def __init__(self, fields: Sequence[Field], *, raw: bool) -> None:
        self._fields = fields
        self._raw = raw
        self._buffer = io.StringIO()
        self._writer = csv.writer(self._buffer)
        self._writer.writerow([self._text(field.name) for field in fields])

    def rows(self, columns: Sequence[Any]) -> bytes:
        ready = [self._cells(f, column) for f, column in zip(self._fields, columns, strict=True)]
        self._writer.writerows(zip(*ready, strict=True))
        return self.end()

    def end(self) -> bytes:
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text.encode()

    def _cells(self, field: Field, column: Any) -> Iterable[Any]:
        if field.kind == "text":
            return ("" if value is None else self._text(str(value)) for value in column)
        if field.kind == "time":
            return ("" if value is None else _rfc3339(value) for value in column)
        listed = column.tolist() if hasattr(column, "tolist") else column
        if field.kind == "integer":
            return ("" if value is None else value for value in listed)
        return ("" if value is None else word(value) for value in listed)

    def _text(self, value: str) -> str:
        """Spreadsheets run what begins like a formula; an apostrophe makes it text, numbers stay."""
        if self._raw or not value.startswith(_FORMULA) or _is_number(value):
            return value
        return f"'{value}"


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and text.isascii() and text == text.strip()
    except ValueError:
        return False


def _rfc3339(value: Any) -> str:
    moment = value if isinstance(value, datetime) else datetime.fromtimestamp(int(value) / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
