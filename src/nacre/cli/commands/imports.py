"""``nacre import``: what other trackers kept, brought into a project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress as Bar
from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

from nacre.cli.app import as_json, client, emit, err, group, options, out
from nacre.cli.render import size
from nacre.sdk.imports.progress import Progress, Report

app = group("import", "Bring runs from MLflow or TensorBoard into the project.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app)


_SHOWN = 20


@app.command("mlflow")
def mlflow(
    uri: Annotated[
        str,
        typer.Argument(
            help="http(s)://server, sqlite:///file, postgresql://…, or a folder mlruns", metavar="URI"
        ),
    ],
    experiment: Annotated[
        list[str] | None, typer.Option("--experiment", help="name or id; again for more; all by default")
    ] = None,
    artifacts: Annotated[
        Path | None, typer.Option(help="folder in which the MLflow server keeps artifacts, for a database")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count what would be imported")] = False,
) -> None:
    """Import an MLflow store: experiments, runs, artifacts, models. Repeat it to add what is new."""
    # Drivers of databases take time to load: only this command needs them.
    importer: Any = import_module("nacre.sdk.imports.mlflow")
    source = importer.open_source(uri, artifacts)
    try:
        with client() as connected, _bar(source.label, dry_run) as progress:
            report: Report = importer.import_mlflow(
                connected,
                source,
                project=options.project,
                experiments=experiment or (),
                dry_run=dry_run,
                progress=progress,
            )
    except KeyboardInterrupt:
        err.print("stopped; the same command goes on where it was")
        raise
    finally:
        source.close()
    emit(report.as_dict(), lambda: _summary(report))


@app.command("tensorboard")
def tensorboard(
    folder: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, metavar="DIR", help="its folders with event files are runs"
        ),
    ],
    experiment: Annotated[
        str | None, typer.Option("--experiment", help="to put the runs in; by default the folder's name")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only count what would be imported")] = False,
) -> None:
    """Import event files: scalars, hyper-parameters, images, texts. Repeat it to add what is new."""
    importer: Any = import_module("nacre.sdk.imports.tensorboard")
    with client() as connected, _bar(str(folder), dry_run) as progress:
        report: Report = importer.import_tensorboard(
            connected,
            folder,
            experiment=experiment,
            project=options.project,
            dry_run=dry_run,
            progress=progress,
        )
    emit(report.as_dict(), lambda: _summary(report))


class _Shown(Progress):
    """A line that says how far the import is."""

    def __init__(self, source: str, dry_run: bool, bar: Bar) -> None:
        super().__init__(source, dry_run=dry_run)
        self._bar = bar
        self._task = bar.add_task("connecting", total=None)
        self._what = ""

    def begin(self, what: str) -> None:
        self._what = what

    def changed(self) -> None:
        found = self.report
        words = f"{found.runs} runs, {found.points} points, {found.artifacts} files"
        self._bar.update(self._task, description=f"{escape(self._what[:60])}  [dim]{words}[/dim]")


@contextmanager
def _bar(source: str, dry_run: bool) -> Iterator[Progress]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Bar(*columns, console=err, transient=True, disable=as_json() or not err.is_terminal) as bar:
        yield _Shown(source, dry_run, bar)


def _summary(report: Report) -> None:
    verb = "would import" if report.dry_run else "imported"
    out.print(f"{verb} from {escape(report.source)}:")
    lines = [
        (report.experiments, "experiments", ""),
        (report.runs, "runs", f"{report.already} were there already" if report.already else ""),
        (report.params, "params", ""),
        (report.tags, "tags", ""),
        (report.points, "points", ""),
        (report.artifacts, "artifacts", size(report.artifact_bytes)),
        (report.logged_models, "logged models", ""),
        (report.models, "registered models", f"{report.versions} versions" if report.versions else ""),
    ]
    for count, noun, note in lines:
        if count or noun in ("experiments", "runs"):
            out.print(f"  {count:>10,} {noun}" + (f"  [dim]{note}[/dim]" if note else ""))
    if report.problems:
        err.print(f"[yellow]{len(report.problems)} problems:[/yellow]")
        for sentence in report.problems[:_SHOWN]:
            err.print(f"  {escape(sentence)}")
        if len(report.problems) > _SHOWN:
            err.print(f"  … {len(report.problems) - _SHOWN} more: nacre --output json import …")
