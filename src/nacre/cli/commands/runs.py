"""``nacre runs``: tracking records and the files they left."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from nacre.cli.app import as_json, client, emit, err, group, out, table
from nacre.cli.commands import previews, run_table
from nacre.cli.render import size
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import check_paths
from nacre.sdk.client import Client

app = group("runs", "Runs: what was logged, and the files that were left.")
run_table.register(app)
previews.register(app)


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app)


RunName = Annotated[str, typer.Argument(help="id, start of it, name, or the job's name", metavar="RUN")]


@app.command("artifacts")
def artifacts(run: RunName) -> None:
    """List the files that a run left."""
    with client() as connected:
        found = connected.runs.artifacts(run)
    emit(
        found,
        lambda: table(
            ("path", "size"),
            [(escape(entry.path), size(entry.size)) for entry in found.files],
            empty="no artifacts: what a job writes to $NACRE_OUTPUT_DIR becomes one",
        ),
    )


@app.command("pull")
def pull(
    run: RunName,
    path: Annotated[str | None, typer.Argument(help="one file, or a folder; all by default")] = None,
    to: Annotated[Path, typer.Option("--to", help="folder to write to; - prints one file")] = Path("."),
    force: Annotated[bool, typer.Option("--force", "-f", help="replace files that are there")] = False,
) -> None:
    """Download a run's artifacts."""
    with client() as connected:
        found = connected.runs.artifacts(run).files
        wanted = [e for e in found if path in (None, e.path) or e.path.startswith(f"{path}/".lstrip("/"))]
        if not wanted:
            raise NotFound(f"the run has no artifact {path or ''}: see 'nacre runs artifacts {run}'")
        if str(to) == "-":
            _print(connected, run, wanted)
            return
        check_paths([entry.path for entry in wanted])
        there = [entry.path for entry in wanted if (to / entry.path).exists()]
        if there and not force:
            raise Conflict(f"{to / there[0]} is there already: use --force to replace it")
        for entry in wanted:
            _fetch(connected, run, entry, to / entry.path)
            if not as_json():
                out.print(f"{escape(str(to / entry.path))}  [dim]{size(entry.size)}[/dim]")
    if as_json():
        emit(wanted, lambda: None)


def _print(connected: Client, run: str, wanted: list[FileEntry]) -> None:
    if len(wanted) != 1:
        raise InvalidSpec(f"--to - prints one file, and this names {len(wanted)}")
    with connected.runs.artifact(run, wanted[0].path) as pieces:
        for piece in pieces:
            sys.stdout.buffer.write(piece)


def _fetch(connected: Client, run: str, entry: FileEntry, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".nacre-{os.getpid()}-{target.name}"[:250])
    try:
        with connected.runs.artifact(run, entry.path) as pieces, partial.open("wb") as stream:
            for piece in pieces:
                stream.write(piece)
        if entry.executable:
            partial.chmod(partial.stat().st_mode | 0o111)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


@app.command("delete")
def delete(
    runs: Annotated[list[str], typer.Argument(help="id, start of it, or name", metavar="RUN...")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Put runs into the trash, from which they are removed for good some weeks later."""
    with client() as connected:
        for run in runs:
            found = connected.runs.get(run)
            if not yes:
                typer.confirm(f"Put run {found.name} ({found.id[:12]}) into the trash?", abort=True)
            connected.runs.delete(found.id)
            short = found.id[:12]
            err.print(f"deleted {escape(found.name)}: 'nacre runs restore {short}' brings it back")


@app.command("restore")
def restore(
    runs: Annotated[list[str], typer.Argument(help="id, or the start of it", metavar="RUN...")],
) -> None:
    """Bring runs back from the trash."""
    with client() as connected:
        for run in runs:
            found = connected.runs.restore(run)
            err.print(f"{escape(found.name)} is back")


@app.command("purge")
def purge(
    runs: Annotated[list[str], typer.Argument(help="id, or the start of it", metavar="RUN...")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Remove runs that are in the trash for good, with everything logged to them."""
    with client() as connected:
        for run in runs:
            found = connected.runs.get(run)
            if not yes:
                typer.confirm(f"Remove run {found.name} ({found.id[:12]}) for good?", abort=True)
            connected.runs.purge(found.id)
            err.print(f"removed {escape(found.name)}")
