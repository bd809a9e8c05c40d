"""``nacre event``: what happened in a project."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated

import typer

from nacre.cli.app import client, emit, group, table
from nacre.cli.render import plain, when

events = group("event", "What happened in a project.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(events)


@events.command("ls")
def ls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="how many")] = 50,
    verb: Annotated[str | None, typer.Option("--verb", help="jobs.submit, or jobs for all of them")] = None,
    user: Annotated[str | None, typer.Option("--user", help="who did it")] = None,
    subject: Annotated[str | None, typer.Option("--subject", help="id or name of the thing")] = None,
    before: Annotated[datetime | None, typer.Option("--before", help="earlier than, in local time")] = None,
    everywhere: Annotated[
        bool, typer.Option("--all", "-a", help="of the whole server (administrators)")
    ] = False,
) -> None:
    """List the latest events, newest first."""
    with client() as nacre:
        ask = nacre.events.list_all if everywhere else nacre.events.list
        found = ask(verb=verb, user=user, subject=subject, before=before, limit=limit)

    def render() -> None:
        rows = (
            (
                when(event.created_at),
                *((event.project or "",) if everywhere else ()),
                event.user or "nacre",
                event.verb,
                plain(event.subject),
                plain(json.dumps(event.detail) if event.detail else ""),
            )
            for event in found
        )
        where = ("project",) if everywhere else ()
        table(("when", *where, "who", "what", "subject", "detail"), rows)

    emit(found, render)
