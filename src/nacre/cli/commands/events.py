"""``nacre event``: what happened in a project."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from nacre.cli.app import client, emit, group, table
from nacre.cli.render import plain, when

events = group("event", "What happened in a project.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(events)


@events.command("ls")
def ls(limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="how many")] = 50) -> None:
    """List the latest events, newest first."""
    with client() as nacre:
        found = nacre.events.list(limit=limit)

    def render() -> None:
        rows = (
            (
                when(event.created_at),
                event.user or "nacre",
                event.verb,
                plain(event.subject),
                plain(json.dumps(event.detail) if event.detail else ""),
            )
            for event in found
        )
        table(("when", "who", "what", "subject", "detail"), rows)

    emit(found, render)
