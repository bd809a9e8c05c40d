"""``nacre data``: datasets in immutable versions."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from nacre.cli.app import as_json, client, emit, err, group, out, table
from nacre.cli.commands import data_views
from nacre.cli.render import plain, size, when
from nacre.schema.data import DatasetVersion
from nacre.sdk.push import PushProgress
from nacre.sdk.resources.data import split_ref

data = group("data", "Datasets: push, list, pull.")
data_views.register(data)

_SHOWN = 50


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(data)


@data.command("push")
def push(
    path: Annotated[Path, typer.Argument(help="a file, a folder or an archive")],
    name: Annotated[str, typer.Option("--name", "-n", help="name of the dataset, such as digits")],
    note: Annotated[str, typer.Option("--note", "-m", help="kept with the version")] = "",
    extract: Annotated[
        bool, typer.Option("--extract", help="unpack the archive and push what is in it")
    ] = False,
) -> None:
    """Send data and make the next version. Only what the server does not have is sent; a push that was
    interrupted goes on where it was."""
    started = time.monotonic()
    with client() as nacre, push_bar() as progress:
        version = nacre.data.push(path, name, note=note, extract=extract, progress=progress)
    seconds = time.monotonic() - started

    def render() -> None:
        ref = f"{version.dataset}@{version.number}"
        if not version.created:
            out.print(f"[bold]{ref}[/bold] has exactly this content already: no new version was made")
        else:
            out.print(
                f"[bold]{ref}[/bold]: {version.files:,} files, {size(version.size)}, of which "
                f"{size(progress.total_sent)} were sent, in {seconds:.1f} s"
            )
        out.print(f"use it in a job with [bold]nacre run --data {ref} …[/bold]")

    emit(version, render)


@data.command("ls")
def ls() -> None:
    """List datasets, newest first."""
    with client() as nacre:
        page = nacre.data.list(limit=1000)
        items = list(page.items)
        while page.next:
            page = nacre.data.list(cursor=page.next, limit=1000)
            items += page.items

    def render() -> None:
        rows = [
            (
                plain(d.name),
                d.latest.number if d.latest else "",
                len(d.versions),
                f"{d.latest.files:,}" if d.latest else "",
                size(d.latest.size) if d.latest else "",
                when(d.updated_at),
                plain(d.latest.note if d.latest else ""),
            )
            for d in items
        ]
        columns = ("name", "latest", "versions", "files", "size", "updated", "note")
        table(columns, rows, empty="no datasets yet: nacre data push PATH --name NAME")

    emit(items, render)


@data.command("show")
def show(
    ref: Annotated[str, typer.Argument(help="digits, or digits@3")],
    every: Annotated[bool, typer.Option("--all", help="list every file")] = False,
) -> None:
    """Show a dataset's versions, or the files of one version."""
    with client() as nacre:
        if "@" in ref:
            files = nacre.data.files(*split_ref(ref))
            emit(
                files, lambda: _show_version(files.version, [(f.path, f.size) for f in files.files], every)
            )
            return
        found = nacre.data.get(ref)
        versions = [nacre.data.get_version(ref, number) for number in found.versions[-20:]]

    def render() -> None:
        rows = [
            (
                f"{v.dataset}@{v.number}",
                f"{v.files:,}",
                size(v.size),
                when(v.created_at),
                v.user,
                plain(v.note),
            )
            for v in reversed(versions)
        ]
        table(("version", "files", "size", "made", "by", "note"), rows)
        if len(found.versions) > len(versions):
            out.print(f"[dim]and {len(found.versions) - len(versions)} older ones[/dim]")
        out.print(f"files: [bold]nacre data show {plain(ref)}@{found.versions[-1]}[/bold]")

    emit(found, render)


def _show_version(version: DatasetVersion, files: list[tuple[str, int]], every: bool) -> None:
    ref = f"{version.dataset}@{version.number}"
    by = f", by {plain(version.user)}" if version.user else ""
    out.print(
        f"[bold]{ref}[/bold]: {version.files:,} files, {size(version.size)}, {when(version.created_at)}{by}"
    )
    if version.note:
        out.print(plain(version.note))
    out.print(f"[dim]manifest {version.manifest}[/dim]")
    shown = files if every else files[:_SHOWN]
    table(("path", "size"), [(plain(path), size(length)) for path, length in shown])
    if len(shown) < len(files):
        out.print(f"[dim]and {len(files) - len(shown):,} more: --all lists them[/dim]")


@data.command("pull")
def pull(
    ref: Annotated[str, typer.Argument(help="digits, or digits@3")],
    dest: Annotated[
        Path | None, typer.Argument(help="folder; by default one of the dataset's name")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="write into a folder that is not empty")] = False,
) -> None:
    """Fetch a version into a folder, verified. A pull that was interrupted goes on where it was."""
    folder = dest or Path(split_ref(ref)[0])
    with client() as nacre, _bar() as bar:
        version = nacre.data.get_version(*split_ref(ref))
        task = bar.add_task("fetching", total=version.size)
        version = nacre.data.pull(
            f"{version.dataset}@{version.number}",
            folder,
            force=force,
            fetched=lambda count: bar.advance(task, count),
        )

    def render() -> None:
        out.print(
            f"[bold]{version.dataset}@{version.number}[/bold]: {version.files:,} files, "
            f"{size(version.size)}, in {plain(folder)}"
        )

    emit(version, render)


@data.command("delete")
def delete(
    ref: Annotated[str, typer.Argument(help="digits for all of it, digits@3 for one version")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Delete a dataset or one version. Bytes that nothing else needs are freed some time later."""
    with client() as nacre:
        if "@" in ref:
            nacre.data.get_version(*split_ref(ref))
        else:
            found = nacre.data.get(ref)
            if not yes:
                typer.confirm(f"Delete {ref} with its {len(found.versions)} version(s)?", abort=True)
        if "@" in ref:
            nacre.data.delete_version(*split_ref(ref))
        else:
            nacre.data.delete(ref)
    emit({"deleted": ref}, lambda: out.print(f"deleted {plain(ref)}"))


class _PushBar(PushProgress):
    """Two bars: bytes read, bytes sent."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._lock = threading.Lock()
        self._read: TaskID | None = None
        self._send: TaskID | None = None
        self.total_sent = 0

    def found(self, files: int, size: int) -> None:
        self._read = self._bar.add_task(f"reading {files:,} files", total=size)

    def hashed(self, size: int) -> None:
        assert self._read is not None
        self._bar.advance(self._read, size)

    def lacking(self, size: int) -> None:
        with self._lock:
            if self._read is not None and self._send is None:
                self._bar.update(self._read, visible=False)
                self._send = self._bar.add_task("sending", total=0)
            assert self._send is not None
            total = self._bar.tasks[self._bar.task_ids.index(self._send)].total or 0
            self._bar.update(self._send, total=total + size)

    def sent(self, size: int) -> None:
        with self._lock:
            self.total_sent += size
        if self._send is not None:
            self._bar.advance(self._send, size)


@contextmanager
def push_bar() -> Iterator[_PushBar]:
    """What a push tells, drawn on a terminal."""
    with _bar() as bar:
        yield _PushBar(bar)


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=err, transient=True, disable=as_json() or not err.is_terminal) as bar:
        yield bar
