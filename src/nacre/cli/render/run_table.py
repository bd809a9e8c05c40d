"""Many runs on the terminal: the table, the comparison, curves in one frame."""

from __future__ import annotations

import fnmatch
import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from nacre.cli.app import out, table
from nacre.cli.render import plain, when
from nacre.cli.render.plot import plot_curves, sparkline
from nacre.cli.render.runs import number
from nacre.schema.charts import Chart, RunColumns, RunComparison, RunRecord

COLOURS = ("cyan", "yellow", "green", "magenta", "blue", "red", "bright_cyan", "bright_yellow")
SPARK_WIDTH = 16
_METRICS = 3
_WIDE = 100
_LEAST_WIDTH = 6  # of four digits, a point and a sign
_PARAMS = 3
_STATES = {"running": "blue", "finished": "green", "failed": "red", "killed": "yellow"}


def chosen_columns(runs: Sequence[RunRecord]) -> list[str]:
    """What to show when nobody chose: params that differ, then the metrics that most runs have."""
    seen: dict[str, set[str | None]] = {}
    for run in runs:
        for key in run.params:
            seen.setdefault(key, set())
    for key, values in seen.items():
        values.update(run.params.get(key) for run in runs)
    differing = [key for key, values in sorted(seen.items()) if len(values) > 1]
    counts: dict[str, int] = {}
    for run in runs:
        for key in run.metrics:
            if not key.startswith("system/"):
                counts[key] = counts.get(key, 0) + 1
    common = sorted(counts, key=lambda key: (-counts[key], key))
    return [f"params.{key}" for key in differing[:_PARAMS]] + [
        f"metrics.{key}" for key in common[:_METRICS]
    ]


def column_names(runs: Sequence[RunRecord], wanted: Sequence[str] | None) -> list[str]:
    """The columns that there are, in the order that was asked for."""
    if wanted is None:
        return chosen_columns(runs)
    found: list[str] = []
    for word in wanted:
        kind = word.partition(".")[0].rstrip("s") + "s"
        exact = f"{kind}.{word.partition('.')[2]}"
        there = [f"{kind}.{key}" for key in sorted({k for run in runs for k in getattr(run, kind, {})})]
        names = [exact] if exact in there else fnmatch.filter(there, exact)
        found += [name for name in names if name not in found]
    return found


def render_table(
    runs: Sequence[RunRecord], columns: Sequence[str], sparks: Mapping[str, Mapping[str, str]]
) -> None:
    """The table: a row per run. ``sparks``: by metric, then run, what is drawn beside its value."""
    people = {run.user for run in runs}
    wide = out.width >= _WIDE
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in (
        "run",
        "name",
        "state",
        *(["started"] if wide else []),
        *(["by"] if len(people) > 1 else []),
    ):
        grid.add_column(
            title, no_wrap=title != "name", min_width=12 if title == "name" else None, overflow="fold"
        )
    for column in columns:
        name = column.partition(".")[2]
        grid.add_column(escape(name), min_width=_LEAST_WIDTH, overflow="fold")
        if name in sparks and column.startswith("metrics."):
            grid.add_column("", no_wrap=True)
    for run in runs:
        colour = _STATES.get(run.state, "default")
        cells = [
            run.id[:8],
            f"[bold]{plain(run.name)}[/bold]",
            f"[{colour}]{run.state}[/]",
            *([_started(run)] if wide else []),
            *([plain(run.user or "")] if len(people) > 1 else []),
        ]
        for column in columns:
            kind, _, name = column.partition(".")
            if kind == "metrics":
                metric = run.metrics.get(name)
                cells.append(f"{metric.last:.4g}" if metric else "")
                if name in sparks:
                    cells.append(f"[cyan]{sparks[name].get(run.id, '')}[/cyan]")
            else:
                cells.append(plain((run.params if kind == "params" else run.tags).get(name, "")))
        grid.add_row(*cells)
    out.print(grid)


def _started(run: RunRecord) -> str:
    """The time of today, the date of another day."""
    date, _, time = when(run.started_at).partition(" ")
    return time if date == when(datetime.now(UTC)).partition(" ")[0] else date


def spark_width() -> int:
    """Characters of a sparkline in the table; fewer on a narrow terminal."""
    return SPARK_WIDTH if out.width >= _WIDE else SPARK_WIDTH // 2


def sparks_of(chart: Chart, width: int = SPARK_WIDTH) -> dict[str, dict[str, str]]:
    """A sparkline of each curve, by metric, then run."""
    found: dict[str, dict[str, str]] = {}
    for series in chart.series:
        found.setdefault(series.key, {})[series.run] = sparkline(series.mean, width)
    return found


def render_columns(found: RunColumns) -> None:
    """The keys that runs have."""
    table(
        ("column", "type", "runs"),
        [(f"{item.kind}.{escape(item.key)}", item.type, item.runs) for item in found.items],
        empty="no run has logged anything yet",
    )


def render_comparison(found: RunComparison, everything: bool) -> None:
    """Runs side by side; without ``everything`` only what differs."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    grid.add_column("", overflow="fold")
    for run in found.runs:
        grid.add_column(escape(run.name), overflow="fold")
    grid.add_row("[dim]run[/dim]", *[run.id[:12] for run in found.runs])
    grid.add_row("[dim]state[/dim]", *[str(run.state) for run in found.runs])
    for title, rows in (("params", found.params), ("made with", found.made_with), ("tags", found.tags)):
        shown = [row for row in rows if everything or row.differs]
        if shown:
            grid.add_row(f"[bold]{title}[/bold]")
        for row in shown:
            mark = "" if row.differs else "[dim]"
            grid.add_row(f"{mark}  {escape(row.key)}", *[f"{mark}{_cell(value)}" for value in row.values])
    metrics = [row for row in found.metrics if everything or row.differs]
    if metrics:
        grid.add_row("[bold]metrics[/bold]")
    for metric in metrics:
        cells = ["" if value is None else number(value) for value in metric.last]
        if metric.best is not None:
            cells[metric.best] = f"[bold green]{cells[metric.best]} ★[/bold green]"
        arrow = {"min": " ↓", "max": " ↑", None: ""}[metric.goal]
        grid.add_row(f"  {escape(metric.key)}{arrow}", *cells)
    out.print(grid)
    if not everything:
        same = sum(not row.differs for rows in (found.params, found.made_with, found.tags) for row in rows)
        if same:
            out.print(f"[dim]{same} more are the same in all: --all shows them[/dim]")


def _cell(value: Any) -> str:
    return "" if value is None else plain(value)


def render_chart(chart: Chart, names: Mapping[str, str], height: int) -> None:
    """One frame for each metric, a colour for each run."""
    width = max(40, min(shutil.get_terminal_size().columns, 140))
    order = list(names)
    for key in dict.fromkeys(series.key for series in chart.series):
        curves = [series for series in chart.series if series.key == key]
        points = [
            [(x, y) for x, y in zip(one.x, one.mean, strict=True) if x is not None and y is not None]
            for one in curves
        ]
        lines = plot_curves(points, width, height)
        out.print(f"\n[bold]{escape(key)}[/bold]")
        for line in lines:
            text = Text()
            for piece, owner in line:
                text.append(piece, colour_of(order, curves[owner].run) if owner is not None else "dim")
            out.print(text)
        for one in curves:
            last = next((value for value in reversed(one.last) if value is not None), None)
            shown = "" if last is None else f"  {number(last)}"
            colour = colour_of(order, one.run)
            out.print(f"  [{colour}]━━[/] {plain(names[one.run])}[dim]{shown}, {one.count} points[/dim]")


def colour_of(order: Sequence[str], run: str) -> str:
    """The colour of a run, the same in every frame."""
    return COLOURS[order.index(run) % len(COLOURS)]
