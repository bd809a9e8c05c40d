"""Looking at text: its encoding, its beginning, and tables in it (CSV, JSON, JSON lines)."""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Iterator
from itertools import islice
from typing import Any, BinaryIO

from nacre.schema.previews import ConfusionPreview, TablePreview, TextPreview
from nacre.services.preview_cells import MAX_COLUMNS, columns, is_number, page

HEAD = 64 * 2**10
_SCAN = 32 * 2**20
_FAR = 256 * 2**20
_MAX_LINE = 2**20
_MAX_JSON = 4 * 2**20
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\r\f\b\x1b"))


class NoTable(Exception):
    """It is none, or none that can be shown; the sentence says why."""


def encoding_of(head: bytes) -> str | None:
    """The encoding of a text that begins so; null when it is none."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    if len(head.translate(None, _CONTROLS)) != len(head):
        return None
    if _decodes(head, "utf-8"):
        return "utf-8"
    high = [byte for byte in head if byte >= 0x80]
    chinese = sum(byte >= 0xA1 for byte in high) >= 0.9 * len(high) and _pairs(head)
    return "gb18030" if chinese and _decodes(head, "gb18030") else "cp1252"


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError:
        return False
    return True


def _pairs(head: bytes) -> bool:
    """Whether the bytes above ASCII come in pairs, as those of Chinese text do."""
    runs = head.translate(bytes(byte if byte >= 0x80 else 0x20 for byte in range(256))).split()
    whole = runs[:-1] if head and head[-1] >= 0x80 else runs
    return sum(len(run) % 2 == 0 for run in whole) >= 0.9 * len(whole)


def text(stream: BinaryIO, size: int, encoding: str) -> TextPreview:
    """The beginning of a text, and how many lines it has where they are counted quickly."""
    stream.seek(0)
    head = stream.read(HEAD)
    shown = codecs.getincrementaldecoder(encoding)("replace").decode(head, size <= HEAD)
    return TextPreview(
        text=shown.replace("\0", "\ufffd"),
        encoding=encoding.removesuffix("-sig"),
        truncated=size > len(head),
        lines=_lines(stream, head, shown, size),
    )


def _lines(stream: BinaryIO, head: bytes, shown: str, size: int) -> int | None:
    if size <= len(head):
        return shown.count("\n") + (not shown.endswith("\n") if shown else 0)
    if size > _SCAN:
        return None
    count, last = head.count(b"\n"), head
    while piece := stream.read(2**20):
        count, last = count + piece.count(b"\n"), piece
    return count + (not last.rstrip(b"\0").endswith(b"\n"))


# Tables


def delimited(
    stream: BinaryIO, size: int, encoding: str, name: str, offset: int, limit: int
) -> TablePreview:
    """A table of CSV or TSV: the delimiter is found, and whether the first row is a header.

    Raises:
        NoTable: a line or a cell is too long, or rows are not reached.
    """
    stream.seek(0)
    sample = codecs.getincrementaldecoder(encoding)("replace").decode(stream.read(HEAD))
    delimiter = delimiter_of(sample, name)
    stream.seek(0)
    reader = csv.reader(bounded_lines(stream, encoding), delimiter=delimiter)
    try:
        first = next((row for row in reader if row), [])
        header = bool(first) and not any(is_number(value) for value in first)
        rows = (row for row in _chained(None if header else first, reader) if row)
        _skip(rows, stream, offset)
        shown = page(rows, limit)
        total = _count(stream, encoding, delimiter) - header if size <= _SCAN else None
    except csv.Error as error:
        raise NoTable(f"it is not shown as a table: {error}") from None
    width = max([len(first), *(len(row) for row in shown)])
    names: list[Any] = [*first] if header else []
    names += [str(number) for number in range(len(names), min(width, MAX_COLUMNS))]
    return TablePreview(
        format="tsv" if delimiter == "\t" else "csv",
        columns=columns(names, shown),
        columns_total=width,
        rows=shown,
        offset=offset,
        total=total,
    )


def _chained(first: list[str] | None, rest: Iterator[list[str]]) -> Iterator[list[str]]:
    if first:
        yield first
    yield from rest


def _count(stream: BinaryIO, encoding: str, delimiter: str) -> int:
    stream.seek(0)
    return sum(1 for row in csv.reader(bounded_lines(stream, encoding), delimiter=delimiter) if row)


def _skip(rows: Iterator[Any], stream: BinaryIO, offset: int) -> None:
    for number in range(offset):
        if next(rows, None) is None:
            return
        if number % 1000 == 0 and stream.tell() > _FAR:
            raise NoTable(f"row {offset} lies too far inside to be looked at: download the file")


def bounded_lines(stream: BinaryIO, encoding: str) -> Iterator[str]:
    """Lines of text. The stream stays open.

    Raises:
        NoTable: one is over ``_MAX_LINE`` characters.
    """
    decoded = io.TextIOWrapper(stream, encoding=encoding, errors="replace", newline="")
    try:
        while line := decoded.readline(_MAX_LINE):
            if len(line) >= _MAX_LINE:
                raise NoTable(f"it has a line of over {_MAX_LINE} characters: it is not shown as a table")
            yield line.replace("\0", "\ufffd")
    finally:
        decoded.detach()


def delimiter_of(sample: str, name: str) -> str:
    """The one that makes the most rows of equally many cells; more cells decide."""
    lines = sample.splitlines()[:50]
    lines = lines[:-1] if len(lines) > 1 else lines
    best, found = (0.0, 0), "\t" if name.lower().endswith((".tsv", ".tab")) else ","
    for candidate in (found, *(mark for mark in ",;\t|" if mark != found)):
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=candidate) if row]
        except csv.Error:
            continue
        usual = max(set(widths), key=widths.count, default=1)
        score = (widths.count(usual) / max(1, len(widths)), usual)
        if usual > 1 and score > best:
            best, found = score, candidate
    return found


def json_table(stream: BinaryIO, size: int, offset: int, limit: int) -> TablePreview | ConfusionPreview:
    """A table or a confusion matrix of JSON: split form, records, or a dict of columns.

    Raises:
        NoTable: it is none, or too large to be parsed here.
    """
    if size > _MAX_JSON:
        raise NoTable(f"JSON over {_MAX_JSON} bytes is shown as text")
    stream.seek(0)
    try:
        found = json.loads(stream.read(_MAX_JSON + 1))
    except (ValueError, RecursionError):
        raise NoTable("it is not valid JSON") from None
    if matrix := _confusion(found):
        return matrix
    names, total, rows = _split(found, slice(offset, offset + limit))
    shown = page(rows, limit)
    return TablePreview(
        format="json",
        columns=columns(names, shown),
        columns_total=len(names),
        rows=shown,
        offset=offset,
        total=total,
    )


def _split(found: Any, wanted: slice) -> tuple[list[Any], int, list[list[Any]]]:
    """(names, number of rows, the wanted rows). Only those are built: others may be many and wide."""
    if isinstance(found, dict):
        names, data = found.get("columns"), found.get("data")
        if isinstance(names, list) and isinstance(data, list) and _equal(data, len(names)):
            return names, len(data), data[wanted]
        lists = list(found.values())
        if lists and all(isinstance(column, list) and len(column) == len(lists[0]) for column in lists):
            parts = [column[wanted] for column in lists[:MAX_COLUMNS]]
            return list(found), len(lists[0]), [list(row) for row in zip(*parts, strict=True)]
    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        names = list(dict.fromkeys(name for row in found for name in row))
        return names, len(found), [_row(row, names) for row in found[wanted]]
    raise NoTable("")


def _row(row: dict[str, Any], names: list[str]) -> list[Any]:
    return [row.get(name) for name in names[:MAX_COLUMNS]]


def _equal(rows: Any, width: int) -> bool:
    return isinstance(rows, list) and all(isinstance(row, list) and len(row) == width for row in rows)


def _confusion(found: Any) -> ConfusionPreview | None:
    if not isinstance(found, dict):
        return None
    labels, matrix = found.get("labels"), found.get("confusion")
    if not isinstance(labels, list) or not labels or not isinstance(matrix, list):
        return None
    if len(matrix) != len(labels) or not _equal(matrix, len(labels)):
        return None
    if not all(isinstance(value, (int, float)) and abs(value) < 1e300 for row in matrix for value in row):
        return None
    return ConfusionPreview(labels=[str(label)[:200] for label in labels], confusion=matrix)


def json_lines(stream: BinaryIO, size: int, encoding: str, offset: int, limit: int) -> TablePreview:
    """A table of one JSON object in each line.

    Raises:
        NoTable: a line is none, or too long.
    """
    stream.seek(0)
    lines = (line for line in bounded_lines(stream, encoding) if line.strip())
    _skip(lines, stream, offset)
    found, held = [], 0
    try:
        for line in islice(lines, limit):
            row = json.loads(line)
            if not isinstance(row, dict):
                raise NoTable("its lines are no JSON objects")
            found.append(row)
            held += len(line)
            if held > _MAX_JSON:
                break
    except (ValueError, RecursionError):
        raise NoTable("its lines are not all valid JSON") from None
    stream.seek(0)
    total = sum(1 for line in bounded_lines(stream, encoding) if line.strip()) if size <= _SCAN else None
    names = list(dict.fromkeys(name for row in found for name in row))
    shown = page((_row(row, names) for row in found), limit)
    return TablePreview(
        format="jsonl",
        columns=columns(names, shown),
        columns_total=len(names),
        rows=shown,
        offset=offset,
        total=total,
    )
