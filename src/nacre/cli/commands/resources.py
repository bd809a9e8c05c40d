"""``nacre offer`` and ``nacre node``: what can be had, and what there is."""

from __future__ import annotations

import typer
from rich.markup import escape

from nacre.cli.app import client, emit, group, out, table
from nacre.cli.render import size
from nacre.schema.resources import Node
from nacre.schema.usage import money

nodes = group("node", "The machines that work runs on.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("offer")(offer)
    app.add_typer(nodes)


def offer() -> None:
    """List instance types with their prices."""
    with client() as connected:
        found = connected.instance_types.list()
    rows = [
        (
            shape.name,
            f"{shape.cpu:g}",
            size(shape.memory),
            f"{shape.gpu} {escape(shape.gpu_name or '')}".strip() if shape.gpu else "",
            money(shape.price_per_hour, shape.currency),
            "" if shape.available else "[dim]no machine is large enough[/dim]",
        )
        for shape in found
    ]
    emit(found, lambda: table(("type", "cpu", "memory", "gpu", "per hour", ""), rows, empty="no types"))


@nodes.command("ls")
def ls() -> None:
    """List machines and what is taken on them."""
    with client() as connected:
        found = connected.nodes.list()
    rows = [
        (
            escape(node.name),
            f"{node.cpu_used:g} of {node.cpu:g}",
            f"{size(node.memory_used)} of {size(node.memory)}",
            _gpus(node),
            node.isolation if node.alive else "[red]lost[/red]",
        )
        for node in found
    ]
    work = [
        (
            escape(node.name),
            one.kind,
            escape(f"{one.project}/{one.name}"),
            escape(one.user),
            f"{one.cpu:g}",
            size(one.memory),
            ", ".join(map(str, one.gpus)),
        )
        for node in found
        for one in node.work
    ]

    def render() -> None:
        table(("node", "cpu used", "memory used", "gpu used", "isolation"), rows)
        if work:
            out.print()
            table(("on", "kind", "work", "by", "cpu", "memory", "gpus"), work)

    emit(found, render)


def _gpus(node: Node) -> str:
    return f"{len(node.gpus_used)} of {len(node.gpus)} {escape(node.gpus[0])}" if node.gpus else ""
