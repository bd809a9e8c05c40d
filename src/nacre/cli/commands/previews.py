"""``nacre runs preview``: what an artifact looks like."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.markup import escape

from nacre.cli.app import client, emit, out, table
from nacre.cli.render import size
from nacre.schema.previews import Preview, TablePreview


def register(app: typer.Typer) -> None:
    """Add the command to ``nacre runs``."""
    app.command("preview")(preview)


def preview(
    run: Annotated[str, typer.Argument(help="id, start of it, name, or the job's name", metavar="RUN")],
    path: Annotated[str, typer.Argument(help="artifact, or a folder of them; all by default")] = "",
    offset: Annotated[int, typer.Option(min=0, help="first row of a table")] = 0,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="rows of a table")] = 20,
) -> None:
    """Look at an artifact: text, table, image, audio, arrays, model; or into a folder."""
    with client() as connected:
        found = connected.runs.preview(run, path, offset=offset, limit=limit)
    emit(found, lambda: render(found, "'nacre runs pull' downloads the whole file"))


def render(found: Preview, whole: str) -> None:
    """Print a preview; ``whole`` says how to get all of a text."""
    sizes = "" if found.size is None else size(found.size)
    words = [found.kind.value.replace("_", " "), found.media_type, sizes, found.message]
    out.print(f"[dim]{escape(' · '.join(word for word in words if word))}[/dim]")
    if found.folder is not None:
        table(
            ("name", "size"),
            [
                (escape(item.name) + "/" * item.folder, "" if item.size is None else size(item.size))
                for item in found.folder.items
            ],
            empty="nothing is in it",
        )
    elif found.table is not None:
        _table(found.table)
    elif found.text is not None:
        out.print(escape(found.text.text), end="" if found.text.text.endswith("\n") else "\n")
        if found.text.truncated:
            out.print(f"[dim]… {whole}[/dim]")
    elif found.confusion_matrix is not None:
        matrix = found.confusion_matrix
        rows = zip(matrix.labels, matrix.confusion, strict=True)
        table(
            ("true \\ called", *(escape(label) for label in matrix.labels)),
            [(escape(label), *(f"{value:g}" for value in row)) for label, row in rows],
        )
    else:
        _facts(found)


def _table(found: TablePreview) -> None:
    table(
        [escape(column.name) for column in found.columns],
        [[escape(_cell(value)) for value in row] for row in found.rows],
        empty="no rows",
    )
    last = found.offset + len(found.rows)
    if found.total is None or found.total > last:
        total = "more" if found.total is None else str(found.total)
        out.print(f"[dim]rows {found.offset} to {last - 1} of {total}: --offset {last}[/dim]")


def _cell(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value)


def _facts(found: Preview) -> None:
    if found.arrays is not None:
        table(
            ("array", "type", "shape", "least", "greatest", "mean"),
            [
                (escape(a.name), escape(a.dtype), " × ".join(map(str, a.shape)), a.min, a.max, a.mean)
                for a in found.arrays
            ],
        )
    elif found.image is not None:
        out.print(f"{found.image.width} × {found.image.height} pixels")
    elif found.audio is not None:
        audio = found.audio
        known = [
            f"{audio.seconds:.2f} s" if audio.seconds is not None else "",
            f"{audio.rate} Hz" if audio.rate else "",
            f"{audio.channels} channels" if audio.channels else "",
        ]
        out.print(", ".join(word for word in known if word) or audio.format)
    elif found.model is not None:
        facts = "".join(f", {escape(key)} {escape(value)}" for key, value in found.model.facts.items())
        out.print(f"{escape(found.model.framework)} ({escape(found.model.format)}){facts}")
