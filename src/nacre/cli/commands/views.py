"""``nacre views``: saved views of the console's pages."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from nacre.cli.app import client, emit, group, out, table
from nacre.cli.render import plain, when

app = group("views", "Saved views of the console's pages.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app)


@app.command("ls")
def ls(
    page: Annotated[str | None, typer.Option(help="only those of a page, such as runs")] = None,
) -> None:
    """List your views and those shared with the project."""
    with client() as connected:
        found = connected.views.list(page=page)
    emit(
        found,
        lambda: table(
            ("name", "page", "user", "shared", "changed", "query"),
            [
                (
                    escape(one.name),
                    one.page,
                    one.user,
                    "yes" if one.shared else "",
                    when(one.updated_at),
                    escape(one.query),
                )
                for one in found
            ],
            empty="none yet: save one from the page of runs, or with 'nacre views set NAME QUERY'",
        ),
    )


@app.command("set")
def set_view(
    name: Annotated[str, typer.Argument(help="any text of up to 100 characters without '/'")],
    query: Annotated[str, typer.Argument(help="what stands after '?' in the page's address")],
    page: Annotated[str, typer.Option(help="the page")] = "runs",
    shared: Annotated[bool, typer.Option("--shared", help="for everybody in the project")] = False,
) -> None:
    """Keep a view, or replace yours of that name."""
    with client() as connected:
        made = connected.views.set(name, query.removeprefix("?"), page=page, shared=shared)
    emit(made, lambda: out.print(f"kept {plain(made.name)}{' for the project' if made.shared else ''}"))


@app.command("delete")
def delete(
    name: Annotated[str, typer.Argument(help="name")],
    user: Annotated[str | None, typer.Option(help="whose; owners may delete others' shared ones")] = None,
) -> None:
    """Delete a view."""
    with client() as connected:
        connected.views.delete(name, user=user)
    out.print(f"deleted {plain(name)}")
