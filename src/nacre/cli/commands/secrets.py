"""``nacre secret``: what jobs and instances need to know and nobody may read again."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from nacre.cli.app import client, emit, group, out, table
from nacre.cli.prompts import ask_hidden
from nacre.cli.render import plain, when

secrets = group("secret", "What jobs need to know and nobody may read again.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(secrets)


@secrets.command("set")
def set_secret(
    name: Annotated[str, typer.Argument(help="such as HF_TOKEN")],
    from_file: Annotated[
        Path | None,
        typer.Option("--from-file", help="take the value from a file", exists=True, dir_okay=False),
    ] = None,
    as_file: Annotated[
        bool, typer.Option("--file", help="give it to jobs as the file /run/secrets/NAME")
    ] = False,
) -> None:
    """Keep a secret: typed unseen, from standard input, or from a file."""
    value = _value(name, from_file, as_file)
    kind: Literal["variable", "file"] = "file" if as_file else "variable"
    with client() as nacre:
        found = nacre.secrets.set(name, value, kind=kind)

    def render() -> None:
        out.print(f"kept {found.name}; a job gets it with [bold]nacre run --secret {found.name} …[/bold]")

    emit(found, render)


def _value(name: str, from_file: Path | None, as_file: bool) -> str:
    if from_file is None and sys.stdin.isatty():
        return ask_hidden(f"Value of {name}")
    raw = from_file.read_bytes() if from_file is not None else sys.stdin.buffer.read()
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            "a secret is text (UTF-8): encode it first, such as with base64"
        ) from error
    if as_file:
        return text
    return text.removesuffix("\n").removesuffix("\r")


@secrets.command("ls")
def ls() -> None:
    """List the names of secrets."""
    with client() as nacre:
        found = nacre.secrets.list()

    def render() -> None:
        rows = ((secret.name, secret.kind, when(secret.updated_at)) for secret in found)
        table(("name", "kind", "set"), rows, empty="none: keep one with 'nacre secret set NAME'")

    emit(found, render)


@secrets.command("delete")
def delete(name: Annotated[str, typer.Argument(help="name")]) -> None:
    """Delete a secret; what runs already keeps it."""
    with client() as nacre:
        nacre.secrets.delete(name)
    out.print(f"deleted {plain(name)}")
