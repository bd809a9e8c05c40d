"""``nacre data preview, cat, summary, note``: what is in a dataset version."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nacre.cli.app import client, emit, out, table
from nacre.cli.commands.previews import render
from nacre.cli.render import plain, size
from nacre.schema.summaries import ClassCounts, ColumnSummary, DataSummary, TableSummary
from nacre.sdk.resources.data import split_ref

_PIECE = 8 * 2**20
_CLASSES = 40
_COLUMNS = 40
_ARRAYS = 20
_BARS = "▁▂▃▄▅▆▇█"

Ref = Annotated[str, typer.Argument(help="digits, or digits@3", metavar="REF")]


def register(app: typer.Typer) -> None:
    """Add the commands to ``nacre data``."""
    app.command("preview")(preview)
    app.command("cat")(cat)
    app.command("summary")(summary)
    app.command("note")(note)


def preview(
    ref: Ref,
    path: Annotated[str, typer.Argument(help="file, or a folder of them; all by default")] = "",
    offset: Annotated[int, typer.Option(min=0, help="first row of a table")] = 0,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="rows of a table")] = 20,
) -> None:
    """Look at a file of a version: text, table, image, audio, arrays; or into a folder."""
    name, version = split_ref(ref)
    with client() as connected:
        found = connected.data.preview(name, path, version=version, offset=offset, limit=limit)
    emit(found, lambda: render(found, "'nacre data cat' prints the whole file"))


def cat(
    ref: Ref,
    path: Annotated[str, typer.Argument(help="a file of the version")],
) -> None:
    """Write the bytes of one file to standard output."""
    name, version = split_ref(ref)
    with client() as connected:
        number = connected.data.get_version(name, version).number
        start = 0
        while True:
            piece = connected.data.file(name, path, version=number, start=start, end=start + _PIECE)
            sys.stdout.buffer.write(piece)
            start += len(piece)
            if len(piece) < _PIECE:
                break
        sys.stdout.buffer.flush()


def note(
    ref: Ref,
    text: Annotated[str, typer.Argument(help="the new note; empty removes it")],
) -> None:
    """Change the note of a version; its files never change."""
    name, version = split_ref(ref)
    with client() as connected:
        found = connected.data.update(name, version, note=text)
    emit(found, lambda: out.print(f"{found.dataset}@{found.number}: {plain(found.note) or '(no note)'}"))


def summary(ref: Ref) -> None:
    """Statistics of a version: classes, columns of tables, images, arrays. Large ones are sampled."""
    name, version = split_ref(ref)
    with client() as connected:
        found = connected.data.summary(name, version)
    emit(found, lambda: _summary(found))


def _summary(found: DataSummary) -> None:
    version = found.version
    words = [
        f"{one.files:,} {one.ending or 'without ending'} ({size(one.size)})" for one in found.endings[:8]
    ]
    out.print(f"[bold]{version.dataset}@{version.number}[/bold]: {plain(', '.join(words))}")
    if found.classes:
        _classes(found.classes)
    if found.images:
        shown = "; ".join(
            ", ".join(f"{plain(one.value)} ({one.count})" for one in counts[:5])
            for counts in (found.images.sizes, found.images.modes)
            if counts
        )
        out.print(f"{found.images.files:,} images, {found.images.looked:,} looked at: {shown}")
    for one in found.tables:
        _table(one)
    if found.arrays:
        table(
            ("array", "type", "shape", "least", "greatest", "mean"),
            [
                (
                    plain(f"{a.path}:{a.array.name}" if a.path.endswith(".npz") else a.path),
                    a.array.dtype,
                    " × ".join(map(str, a.array.shape)),
                    _number(a.array.min),
                    _number(a.array.max),
                    _number(a.array.mean),
                )
                for a in found.arrays[:_ARRAYS]
            ],
        )
    if found.message:
        out.print(f"[dim]{plain(found.message)}[/dim]")


def _classes(found: ClassCounts) -> None:
    whence = {
        "folders": "folders",
        "column": f"column {found.name}",
        "array": f"array {found.name}".rstrip(),
    }
    part = ", of a sample" if found.sampled else ""
    out.print(f"{found.total:,} classes by {plain(whence[found.source])}, {found.samples:,} samples{part}")
    table(
        ("class", "samples", *map(plain, found.splits)),
        [
            (plain(one.label), one.count, *(one.splits.get(split, 0) for split in found.splits))
            for one in found.classes[:_CLASSES]
        ],
    )
    if found.total > _CLASSES:
        out.print(f"[dim]and {found.total - _CLASSES:,} more: --output json[/dim]")


def _table(found: TableSummary) -> None:
    rows = (
        f"{found.rows:,} of {found.total:,} rows"
        if found.sampled and found.total
        else f"{found.rows:,} rows"
    )
    out.print(f"[bold]{plain(found.path)}[/bold]: {rows}{' (a sample)' if found.sampled else ''}")
    if found.message:
        out.print(f"[dim]{plain(found.message)}[/dim]")
        return
    table(
        ("column", "type", "missing", "distinct", "least", "greatest", "mean", "values"),
        [
            (
                plain(one.name),
                plain(one.type),
                one.missing,
                "many" if one.distinct is None else one.distinct,
                _number(one.min),
                _number(one.max),
                _number(one.mean),
                _values(one),
            )
            for one in found.columns[:_COLUMNS]
        ],
    )
    if found.columns_total > _COLUMNS:
        out.print(f"[dim]and {found.columns_total - _COLUMNS:,} more columns: --output json[/dim]")


def _values(column: ColumnSummary) -> str:
    if column.histogram is not None:
        most = max(1, *column.histogram.counts)
        return "".join(_BARS[min(7, count * 8 // most)] for count in column.histogram.counts)
    return plain(", ".join(f"{one.value} ({one.count})" for one in column.top[:3]))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.5g}"
