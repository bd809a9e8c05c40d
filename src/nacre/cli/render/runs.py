"""A run on the terminal: params, the last of each metric, a small plot of each, its artifacts."""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence

from rich.markup import escape

from nacre.cli.app import out, table
from nacre.cli.render import when
from nacre.cli.render.plot import plot
from nacre.schema.runs import MetricSummary, Run
from nacre.sdk.client import Client

_PLOTS = 6
_HEIGHT = 6
_SYSTEM = "system/"
_PERCENT = "{:.0f} % (at most {:.0f})"
_USED = {
    "cpu_utilization_percentage": ("CPU", _PERCENT),
    "system_memory_usage_percentage": ("memory", _PERCENT),
    "system_memory_usage_megabytes": ("memory", "{:.0f} MB (at most {:.0f})"),
}
_USED_GPU = {"utilization": "", "memory_usage": " memory"}
_GPU = re.compile(r"gpu_(\d+)_(utilization|memory_usage)_percentage")


def render_run(client: Client, run: Run) -> None:
    """Print a run for people. Reads the points of the first few metrics and the list of artifacts."""
    out.print(f"[bold]{escape(run.name)}[/bold]  run {run.id[:12]}  {run.state}")
    ended = f", ended {when(run.ended_at)}" if run.ended_at else ""
    out.print(
        f"[dim]experiment {escape(run.experiment)}, by {escape(run.user or '?')}, "
        f"started {when(run.created_at)}{ended}[/dim]"
    )
    if run.params:
        out.print("\n[bold]params[/bold]")
        table(("name", "value"), [(escape(k), escape(v)) for k, v in run.params.items()])
    metrics = [metric for metric in run.metrics if not metric.key.startswith(_SYSTEM)]
    if metrics:
        out.print("\n[bold]metrics[/bold]")
        rows = [
            (escape(m.key), number(m.last), number(m.min), number(m.max), m.step, m.count) for m in metrics
        ]
        table(("name", "last", "min", "max", "step", "points"), rows)
        _plots(client, run, metrics)
    _used(run)
    _artifacts(client, run)


def _plots(client: Client, run: Run, metrics: Sequence[MetricSummary]) -> None:
    width = max(30, min(shutil.get_terminal_size().columns, 100))
    curves = [metric for metric in metrics if metric.count > 1]
    for metric in curves[:_PLOTS]:
        points = client.runs.metric(run.id, metric.key, limit=2 * width, project=run.project).points
        lines = plot([(point.step, point.value) for point in points], width, _HEIGHT)
        if lines:
            out.print(f"\n{escape(metric.key)}")
            for line in lines:
                out.print(line, markup=False)
    if len(curves) > _PLOTS:
        out.print(f"[dim]… and {len(curves) - _PLOTS} more curves: see the console[/dim]")


def _used(run: Run) -> None:
    """What its replicas use, or used at last: a line each."""
    found: dict[str, list[str]] = {}
    for metric in run.metrics:
        replica, _, name = metric.key.removeprefix(_SYSTEM).rpartition("/")
        if metric.key.startswith(_SYSTEM) and (words := _words(name)) is not None:
            value = words[1].format(metric.last, metric.max)
            found.setdefault(replica, []).append(f"{words[0]} {value}")
    if not found:
        return
    out.print(f"\n[bold]used[/bold]  [dim]nacre runs plot {run.id[:12]} --metric '{_SYSTEM}*'[/dim]")
    for replica, parts in sorted(found.items(), key=lambda one: (len(one[0]), one[0])):
        out.print(f"  {escape(f'replica {replica}: ') if replica else ''}{escape(', '.join(parts))}")


def _words(name: str) -> tuple[str, str] | None:
    """How a system metric is said, with its last and greatest value; None for those of less interest."""
    if name in _USED:
        return _USED[name]
    gpu = _GPU.fullmatch(name)
    return None if gpu is None else (f"GPU {gpu[1]}{_USED_GPU[gpu[2]]}", _PERCENT)


def _artifacts(client: Client, run: Run) -> None:
    files = client.runs.artifacts(run.id, project=run.project).files
    if not files:
        return
    out.print(
        f"\n[bold]artifacts[/bold]  {len(files)} file{'' if len(files) == 1 else 's'}  "
        f"[dim]nacre runs artifacts {run.id[:12]}[/dim]"
    )


def number(value: float) -> str:
    """A metric's value, to six digits."""
    return f"{value:.6g}"
