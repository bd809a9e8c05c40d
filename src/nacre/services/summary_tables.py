"""Statistics of files that are tables: CSV, JSON, JSON lines, Parquet.

Files up to ``_WHOLE`` bytes are read whole; of larger ones pieces from everywhere in them.
"""

from __future__ import annotations

import codecs
import csv
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

from nacre.schema.previews import ConfusionPreview
from nacre.schema.summaries import TableSummary
from nacre.services import preview_parquet, preview_text
from nacre.services.preview_cells import MAX_COLUMNS, is_number
from nacre.services.preview_text import NoTable, bounded_lines, delimiter_of
from nacre.services.summary_columns import Column

ENDINGS = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet")
_WHOLE = 16 * 2**20
_PIECES = 16
_PIECE = 2**20
_CHUNK = 2000
_PARQUET_CELLS = 200_000
_PARQUET_PIECES = 4
_MAX_JSON_ROWS = 100_000


@dataclass
class Table:
    """A table that was looked at: its columns, and so much of it."""

    path: str
    format: str
    columns: list[Column] = field(default_factory=list)
    columns_total: int = 0
    rows: int = 0
    total: int | None = None
    sampled: bool = False
    message: str = ""

    def add(self, rows: list[list[Any]]) -> None:
        """Take rows of as many cells as there are columns; missing ones are null."""
        self.rows += len(rows)
        for at, column in enumerate(self.columns):
            column.add([row[at] if at < len(row) else None for row in rows])

    def summary(self) -> TableSummary:
        """As clients see it."""
        return TableSummary(
            path=self.path,
            format=self.format,
            rows=self.rows,
            total=self.total if self.total is not None or self.sampled else self.rows,
            sampled=self.sampled,
            columns=[column.summary() for column in self.columns],
            columns_total=max(self.columns_total, len(self.columns)),
            message=self.message,
        )


def scan(path: str, size: int, stream: BinaryIO, deadline: float) -> Table | None:
    """Look at a file until ``time.monotonic()`` is ``deadline``; null when it is no table."""
    lower = path.lower()
    try:
        if lower.endswith(".parquet"):
            return _parquet(path, stream, deadline)
        head = stream.read(preview_text.HEAD)
        encoding = preview_text.encoding_of(head)
        if encoding is None:
            return None
        if lower.endswith((".jsonl", ".ndjson")):
            return _json_lines(path, size, stream, encoding, deadline)
        if lower.endswith(".json"):
            return _json(path, size, stream)
        return _delimited(path, size, stream, encoding, deadline)
    except (NoTable, preview_parquet.Broken, csv.Error) as error:
        return (
            Table(path, lower.rpartition(".")[2], message=str(error), sampled=True) if str(error) else None
        )


def _delimited(path: str, size: int, stream: BinaryIO, encoding: str, deadline: float) -> Table | None:
    stream.seek(0)
    sample = codecs.getincrementaldecoder(encoding)("replace").decode(stream.read(preview_text.HEAD))
    mark = delimiter_of(sample, path)
    stream.seek(0)
    first = next((row for row in csv.reader(bounded_lines(stream, encoding), delimiter=mark) if row), [])
    if not first:
        return None
    header = not any(is_number(value) for value in first)
    names = first if header else [str(number) for number in range(len(first))]
    table = Table(path, "tsv" if mark == "\t" else "csv", columns_total=len(first))
    table.columns = [Column(name) for name in names[:MAX_COLUMNS]]
    pieces, table.sampled = _pieces(stream, size, encoding)
    skip = header
    for lines in pieces:
        reader = csv.reader(lines, delimiter=mark)
        while chunk := list(islice(reader, _CHUNK)):
            chunk = [row for row in chunk if row]
            chunk, skip = chunk[1:] if skip else chunk, False
            if table.sampled:  # a piece may begin within quotes
                chunk = [row for row in chunk if len(row) == len(first)]
            table.add(chunk)
            if time.monotonic() > deadline:
                table.sampled = True
                return table
    return table


def _json_lines(path: str, size: int, stream: BinaryIO, encoding: str, deadline: float) -> Table:
    table = Table(path, "jsonl")
    known: dict[str, Column] = {}
    pieces, table.sampled = _pieces(stream, size, encoding)
    for lines in pieces:
        while chunk := list(islice(lines, _CHUNK)):
            rows = []
            for line in filter(str.strip, chunk):
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    raise NoTable("its lines are not all valid JSON") from None
                if not isinstance(row, dict):
                    raise NoTable("its lines are no JSON objects")
                rows.append(row)
            for name in dict.fromkeys(name for row in rows for name in row):
                if name not in known and len(known) < MAX_COLUMNS:
                    known[name] = Column(name)
                    known[name].add([None] * table.rows)
            table.columns = list(known.values())
            table.add([[row.get(name) for name in known] for row in rows])
            if time.monotonic() > deadline:
                table.sampled = True
                return table
    return table


def _json(path: str, size: int, stream: BinaryIO) -> Table | None:
    found = preview_text.json_table(stream, size, 0, _MAX_JSON_ROWS)
    if isinstance(found, ConfusionPreview):
        return None
    table = Table(path, "json", columns_total=found.columns_total, total=found.total)
    table.columns = [Column(column.name) for column in found.columns]
    table.add(found.rows)
    table.sampled = found.total is not None and table.rows < found.total
    return table


def _parquet(path: str, stream: BinaryIO, deadline: float) -> Table:
    head = preview_parquet.read(stream, 0, _CHUNK, MAX_COLUMNS)
    table = Table(path, "parquet", columns_total=int(head["columns_total"]), total=int(head["total"]))
    table.columns = [Column(str(column["name"]), str(column["type"])) for column in head["columns"]]
    table.add(head["rows"])
    total = int(head["total"])
    wanted = max(_CHUNK, _PARQUET_CELLS // max(1, len(table.columns)))
    spans = [(table.rows, total - table.rows)]
    if total > wanted:
        part = max(1, (wanted - table.rows) // _PARQUET_PIECES)
        step = (total - table.rows) / _PARQUET_PIECES
        spans = [(table.rows + int(step * number), part) for number in range(_PARQUET_PIECES)]
    for offset, limit in spans:
        if limit < 1:
            continue
        if time.monotonic() > deadline:
            break
        try:
            table.add(preview_parquet.read(stream, offset, limit, MAX_COLUMNS)["rows"])
        except preview_parquet.Broken:  # too large to be looked at further
            break
    table.sampled = table.rows < total
    return table


def _pieces(stream: BinaryIO, size: int, encoding: str) -> tuple[Iterator[Iterator[str]], bool]:
    """The lines, and whether they are only some of them: whole lines of pieces from everywhere."""
    if size <= _WHOLE:
        return _all(stream, encoding), False
    if encoding.startswith(("utf-16", "utf-32")):  # only the beginning surely begins a character
        return _some(stream, [0], encoding), True
    step = (size - _PIECE) // (_PIECES - 1)
    return _some(stream, [step * number for number in range(_PIECES)], encoding), True


def _all(stream: BinaryIO, encoding: str) -> Iterator[Iterator[str]]:
    stream.seek(0)
    yield bounded_lines(stream, encoding)


def _some(stream: BinaryIO, offsets: list[int], encoding: str) -> Iterator[Iterator[str]]:
    for offset in offsets:
        stream.seek(offset)
        text = stream.read(_PIECE).decode(encoding, "replace").replace("\0", "\ufffd")
        lines = text.splitlines(keepends=True)
        yield iter(lines[(1 if offset else 0) : -1])
