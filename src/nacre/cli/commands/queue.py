"""``nacre queue`` and ``nacre quota``: whose turn it is, and how much a project may have."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape
from rich.padding import Padding

from nacre.cli.app import client, emit, group, out, table
from nacre.cli.render import size
from nacre.schema.queue import QueueEntry, Quota, Share

quotas = group("quota", "The most that a project's work holds at one moment.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("queue")(queue)
    app.add_typer(quotas)


def queue() -> None:
    """Show what waits, in the order of turns, and why; and what projects hold."""
    with client() as connected:
        entries, shares = connected.queue.list(), connected.queue.shares()

    def render() -> None:
        for entry in entries:
            _line(entry)
        if not entries:
            out.print("[dim]nothing waits[/dim]")
        out.print()
        table(
            ("project", "now", "of late", "cpu", "memory", "gpu", "runs", "waits", "quota"),
            [_share(one) for one in shares],
        )

    emit({"queue": entries, "shares": shares}, render)


def _line(entry: QueueEntry) -> None:
    gpu = f", {entry.gpu:g} GPU" if entry.gpu else ""
    most = f" to {entry.most_replicas}" if entry.most_replicas > entry.replicas else ""
    times = f"{entry.replicas}{most} × " if entry.most_replicas > 1 else ""
    parts = [
        "" if entry.kind == "job" else entry.kind,
        entry.user or "",
        f"{times}{entry.cpu:g} cpu, {size(entry.memory)}{gpu}",
        "" if entry.priority == "normal" else f"{entry.priority} priority",
        "spot" if entry.spot else "",
    ]
    what = escape(f"{entry.project}/{entry.job}") if entry.job else "[dim]of another project[/dim]"
    out.print(f"{entry.position:>3}  {what}  [dim]{escape(' · '.join(filter(None, parts)))}[/dim]")
    if entry.message:
        out.print(Padding(escape(entry.message), (0, 0, 0, 5)))


def _share(one: Share) -> tuple[str, ...]:
    return (
        escape(one.project) if one.project else "[dim]others[/dim]",
        f"{one.share:.0%}",
        f"{one.recent_share:.0%}",
        f"{one.cpu:g}",
        size(one.memory),
        f"{one.gpu:g}",
        str(one.running),
        str(one.waiting),
        "" if one.quota is None else _limits(one.quota),
    )


def _limits(quota: Quota) -> str:
    parts = [
        f"{quota.cpu:g} cpu" if quota.cpu is not None else "",
        f"{size(quota.memory)} memory" if quota.memory is not None else "",
        f"{quota.gpu:g} GPU" if quota.gpu is not None else "",
        f"{quota.running_jobs} running" if quota.running_jobs is not None else "",
        f"weight {quota.weight:g}" if quota.weight != 1 else "",
        f"priority up to {quota.priority}" if quota.priority != "normal" else "",
    ]
    return ", ".join(filter(None, parts)) or "no limit"


def _show(quota: Quota) -> None:
    emit(quota, lambda: out.print(f"{escape(quota.project)}: {_limits(quota)}"))


@quotas.command("show")
def show() -> None:
    """Show the project's quota."""
    with client() as connected:
        _show(connected.quotas.get())


@quotas.command("set")
def change(
    project: Annotated[str, typer.Argument(help="name or id")],
    cpu: Annotated[str | None, typer.Option(help="cpus, or none")] = None,
    memory: Annotated[str | None, typer.Option(help="such as 64GB, or none")] = None,
    gpu: Annotated[str | None, typer.Option(help="GPUs, or none")] = None,
    running_jobs: Annotated[str | None, typer.Option(help="a number, or none")] = None,
    weight: Annotated[float | None, typer.Option(help="its part of turns; 1 is usual")] = None,
    priority: Annotated[str | None, typer.Option(help="highest of its jobs: low, normal or high")] = None,
) -> None:
    """Change a project's quota (administrators)."""
    given = {
        "cpu": cpu,
        "memory": memory,
        "gpu": gpu,
        "running_jobs": running_jobs,
        "weight": weight,
        "priority": priority,
    }
    said = {name: None if value == "none" else value for name, value in given.items() if value is not None}
    if not said:
        raise typer.BadParameter("say what to set, such as --cpu 8 or --cpu none")
    with client() as connected:
        _show(connected.quotas.update(project, **said))
