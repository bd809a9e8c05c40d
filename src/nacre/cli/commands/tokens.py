"""``nacre token``: tokens for programs."""

from __future__ import annotations

from typing import Annotated

import typer

from nacre.cli.app import client, emit, group, out, table
from nacre.cli.prompts import seconds
from nacre.cli.render import plain, when
from nacre.schema.operations import INVOKE_SCOPE

tokens = group("token", "Tokens for programs.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(tokens)


@tokens.command("create")
def create(
    name: Annotated[str, typer.Argument(help="what it is for, such as ci")],
    scope: Annotated[
        list[str] | None,
        typer.Option("--scope", "-s", help="such as jobs:write, several times; default: all you may do"),
    ] = None,
    lifetime: Annotated[
        str | None, typer.Option(help="how long it lasts, such as 90d (default: ever)")
    ] = None,
    rate: Annotated[
        float | None, typer.Option(help="requests a second that endpoints answer it (default: any)")
    ] = None,
    burst: Annotated[
        int | None, typer.Option(help="so many at once, with --rate (default: the rate)")
    ] = None,
) -> None:
    """Make a token. It is shown this once, alone on standard output."""
    with client() as nacre:
        issued = nacre.tokens.create(
            name,
            scopes=scope or ["*"],
            lifetime_s=seconds(lifetime, "--lifetime"),
            rate_per_s=rate,
            burst=burst,
        )
    emit(issued, lambda: out.print(issued.secret, markup=False))


@tokens.command("ls")
def ls() -> None:
    """List your tokens and sessions."""
    with client() as nacre:
        found = nacre.tokens.list()

    def render() -> None:
        rows = (
            (
                token.id,
                token.name,
                token.kind,
                " ".join(token.scopes),
                "" if token.rate_per_s is None else f"{token.rate_per_s:g}/s",
                when(token.expires_at),
                when(token.last_used_at, never="not told" if token.scopes == [INVOKE_SCOPE] else "never"),
            )
            for token in found
        )
        table(
            ("id", "name", "kind", "scopes", "rate", "expires", "last used"),
            rows,
            empty="none: make one with 'nacre token create NAME'",
        )

    emit(found, render)


@tokens.command("scopes")
def scopes() -> None:
    """List what tokens can be limited to."""
    with client() as nacre:
        found = nacre.tokens.scopes()
    emit(found, lambda: table(("scope", "opens"), ((s.name, "; ".join(s.operations)) for s in found)))


@tokens.command("delete")
def delete(token: Annotated[str, typer.Argument(help="id or name")]) -> None:
    """Revoke a token; it stops at once."""
    with client() as nacre:
        nacre.tokens.delete(token)
    out.print(f"revoked {plain(token)}")
