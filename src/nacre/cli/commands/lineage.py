"""``nacre lineage``: what a thing was made from, and what was made from it."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.tree import Tree

from nacre.cli.app import client, emit, out
from nacre.cli.render import plain
from nacre.schema.lineage import LineageGraph, LineageNode


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("lineage")(lineage)


def lineage(
    subject: Annotated[
        str,
        typer.Argument(
            help="data:digits/3, job:NAME, run:ID, model:NAME/2, endpoint:NAME or environment:NAME",
            metavar="SUBJECT",
        ),
    ],
) -> None:
    """Show as a tree what a thing was made from, and what was made from it."""
    with client() as connected:
        found = connected.lineage.get(subject)
    emit(found, lambda: _render(found))


def _render(found: LineageGraph) -> None:
    nodes = {node.id: node for node in found.nodes}
    sources: dict[str, list[str]] = {}
    results: dict[str, list[str]] = {}
    for first, second in found.edges:
        sources.setdefault(second, []).append(first)
        results.setdefault(first, []).append(second)
    for one in found.subject:
        tree = Tree(f"[bold]{_words(nodes[one])}[/bold]")
        for title, way in (("from", sources), ("to", results)):
            if way.get(one):
                _grow(tree.add(f"[dim]{title}[/dim]"), one, way, nodes, {one})
        out.print(tree)
    if not found.edges:
        out.print("[dim]nothing that Nacre knows of was made from it, and it from nothing[/dim]")
    if found.cut:
        out.print(f"[dim]there is more: only {len(found.nodes)} things are shown[/dim]")


def _grow(
    branch: Tree, at: str, way: dict[str, list[str]], nodes: dict[str, LineageNode], seen: set[str]
) -> None:
    """Add what lies that way; what was shown before is named without what lies behind it."""
    for other in way.get(at, []):
        known = other in seen
        twig = branch.add(
            _words(nodes[other]) + (" [dim](above)[/dim]" if known and way.get(other) else "")
        )
        if not known:
            seen.add(other)
            _grow(twig, other, way, nodes, seen)


def _words(node: LineageNode) -> str:
    state = f" [dim]{plain(node.state)}[/dim]" if node.state else ""
    return f"{node.kind} {plain(node.label)}{state}"
