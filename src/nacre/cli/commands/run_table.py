"""``nacre runs ls | columns | compare | plot | export | watch``: many runs at once, and one as it goes."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from nacre.cli.app import as_json, client, emit, err, out
from nacre.cli.render import size
from nacre.cli.render.run_table import (
    SPARK_WIDTH,
    column_names,
    render_chart,
    render_columns,
    render_comparison,
    render_table,
    spark_width,
    sparks_of,
)
from nacre.cli.watch import watch_run
from nacre.errors import Conflict, InvalidSpec
from nacre.schema.charts import RunExport, RunRecord
from nacre.sdk.client import Client

Filter = Annotated[
    str, typer.Option("--filter", "-f", help="such as \"metrics.loss < 0.3 and params.opt = 'adam'\"")
]
Sort = Annotated[
    list[str] | None,
    typer.Option(
        "--sort", "-s", help="such as metrics.accuracy, or 'params.lr ASC'; several: the first wins"
    ),
]
ColumnNames = Annotated[
    list[str] | None,
    typer.Option("--columns", "-c", help="params.lr, 'metrics.val/*', tags.note; with commas, or repeated"),
]
Experiments = Annotated[
    list[str] | None, typer.Option("--experiment", "-e", help="only runs of this experiment")
]
Names = Annotated[
    list[str], typer.Argument(help="ids, starts of them, names, or jobs' names", metavar="RUN...")
]
_SMALL = re.compile(r"loss|err|mse|mae|perplexity|latency", re.IGNORECASE)
_DIRECTED = re.compile(r"\s(asc|desc)\s*$", re.IGNORECASE)


def register(app: typer.Typer) -> None:
    """Add the commands to ``nacre runs``."""
    app.command("ls")(ls)
    app.command("columns")(columns)
    app.command("compare")(compare)
    app.command("plot")(plot)
    app.command("export")(export)
    app.command("watch")(watch)


def ls(
    filter: Filter = "",  # noqa: A002
    sort: Sort = None,
    columns: ColumnNames = None,
    experiment: Experiments = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="at most so many")] = 20,
    deleted: Annotated[bool, typer.Option("--deleted", help="those in the trash")] = False,
    spark: Annotated[bool, typer.Option("--spark/--no-spark", help="draw curves beside metrics")] = True,
) -> None:
    """List runs, newest first, or as --sort says: great values first, and small ones of a loss or error."""
    chosen = split(columns)
    with client() as connected:
        found = connected.runs.search(
            filter,
            order_by=order(sort),
            experiments=experiment,
            columns=chosen,
            view="deleted" if deleted else "active",
            limit=limit,
        )
        if as_json():
            emit([run.model_dump(mode="json") for run in found], lambda: None)
            return
        if not found:
            empty = "no runs yet: 'nacre run train.py', or nacre.log_metric in a notebook"
            out.print(f"[dim]{'no run fits' if filter or experiment else empty}[/dim]")
            return
        shown = column_names(found, chosen)
        drawn = _sparks(connected, found, shown) if spark else {}
    render_table(found, shown, drawn)


def _sparks(connected: Client, found: list[RunRecord], shown: list[str]) -> dict[str, dict[str, str]]:
    keys = [name.partition(".")[2] for name in shown if name.startswith("metrics.")][:2]
    runs = [run.id for run in found if any(run.metrics[k].count > 1 for k in keys if k in run.metrics)][:50]
    if not keys or not runs:
        return {}
    return sparks_of(connected.runs.chart(runs, keys, width=2 * SPARK_WIDTH), spark_width())


def split(words: list[str] | None) -> list[str] | None:
    """Options that may be repeated, or written with commas."""
    if words is None:
        return None
    return [part.strip() for word in words for part in word.split(",") if part.strip()]


def order(sort: list[str] | None) -> list[str]:
    """What to sort by, with a direction where none is given: the best first."""
    found = []
    for term in sort or []:
        directed = _DIRECTED.search(term) is not None
        found.append(term if directed else f"{term} {'ASC' if _SMALL.search(term) else 'DESC'}")
    return found


def columns(experiment: Experiments = None) -> None:
    """List the params, metrics and tags that runs have: what --columns, --sort and --filter can name."""
    with client() as connected:
        found = connected.runs.columns(experiments=experiment)
    emit(found, lambda: render_columns(found))


def compare(
    runs: Names,
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", help="name or pattern")] = None,
    everything: Annotated[bool, typer.Option("--all", "-a", help="also what is the same")] = False,
) -> None:
    """Put 2 to 100 runs side by side: params, metrics (the best marked), code, environment, data."""
    if len(runs) < 2:
        raise InvalidSpec("compare needs two runs or more: nacre runs compare A B")
    with client() as connected:
        found = connected.runs.compare(runs, metrics=split(metric))
    emit(found, lambda: render_comparison(found, everything))


def plot(
    runs: Names,
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", help="name or pattern")] = None,
    axis: Annotated[str, typer.Option("--axis", help="step, time or relative")] = "step",
    height: Annotated[int, typer.Option("--height", min=3, max=60)] = 12,
) -> None:
    """Draw metrics of several runs into one frame each."""
    kinds: dict[str, Literal["step", "time", "relative"]] = {
        "step": "step",
        "time": "time",
        "relative": "relative",
    }
    if axis not in kinds:
        raise InvalidSpec(f"there is no axis {axis!r}: use step, time or relative")
    with client() as connected:
        found = connected.runs.chart(runs, split(metric), width=280, axis=kinds[axis])
        if metric is None:
            own = [one for one in found.series if not one.key.startswith("system/")]
            found = found.model_copy(update={"series": own})
        if as_json():
            emit(found, lambda: None)
            return
        if not found.series:
            err.print("[dim]these runs have no such metric: 'nacre runs columns' lists what there is[/dim]")
            return
        names = {run.id: run.name for run in map(connected.runs.get, runs)}
    render_chart(found, names, height)


def export(
    to: Annotated[Path, typer.Option("--out", "-o", help="file: .csv or .parquet; - prints CSV")],
    runs: Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="only these runs")] = None,
    points: Annotated[bool, typer.Option("--points", help="every point instead of a row per run")] = False,
    filter: Filter = "",  # noqa: A002
    sort: Sort = None,
    columns: ColumnNames = None,
    experiment: Experiments = None,
    raw: Annotated[bool, typer.Option("--raw", help="CSV: texts like formulas as they are")] = False,
) -> None:
    """Write the table of runs, or every point of their metrics, to a CSV or Parquet file."""
    kind = "csv" if str(to) == "-" else to.suffix.lower().removeprefix(".")
    if kind not in ("csv", "parquet"):
        raise InvalidSpec(f"{to}: the file's name has to end in .csv or .parquet")
    spec = RunExport(
        format="parquet" if kind == "parquet" else "csv",
        what="points" if points else "runs",
        runs=runs or None,
        filter=filter,
        order_by=order(sort),
        experiments=experiment,
        columns=split(columns),
        raw=raw,
    )
    with client() as connected:
        _save(connected, spec, to)


def _save(connected: Client, spec: RunExport, to: Path) -> None:
    with connected.runs.export(spec) as pieces:
        if str(to) == "-":
            for piece in pieces:
                sys.stdout.buffer.write(piece)
            return
        if to.is_dir():
            raise Conflict(f"{to} is a folder: name a file in it")
        partial = to.with_name(f".nacre-{os.getpid()}-{to.name}"[:250])
        try:
            with partial.open("wb") as stream:
                for piece in pieces:
                    stream.write(piece)
            partial.replace(to)
        finally:
            partial.unlink(missing_ok=True)
    written = to.stat().st_size
    emit({"path": str(to), "bytes": written}, lambda: out.print(f"{to}  [dim]{size(written)}[/dim]"))


def watch(
    run: Annotated[str, typer.Argument(help="id, start of it, name, or the job's name", metavar="RUN")],
    metric: Annotated[list[str] | None, typer.Option("--metric", "-m", help="name or pattern")] = None,
) -> None:
    """Watch a run until it ends: its state, and its metrics as they are logged. Ctrl-C ends only this.

    With --output json each update is a line.
    """
    with client() as connected:
        watch_run(connected, run, split(metric))
