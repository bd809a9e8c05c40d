"""``nacre settings``: what an administrator sets for the whole server."""

from __future__ import annotations

from typing import Annotated

import typer

from nacre.cli.app import client, emit, group, out
from nacre.schema.users import Settings

settings = group("settings", "What holds for the whole server.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(settings)


def _show(found: Settings) -> None:
    def text() -> None:
        out.print(f"sign-up: {found.sign_up}{'' if found.sign_up_set else ' (nobody has set it)'}")
        out.print(f"trash: deleted runs and experiments can be restored for {found.trash_days} days")

    emit(found, text)


@settings.command("show")
def show() -> None:
    """Show the server's settings."""
    with client() as nacre:
        _show(nacre.settings.get())


@settings.command("set")
def change(
    sign_up: Annotated[
        str | None, typer.Option(help="who may make an account: open, invite or closed")
    ] = None,
    trash_days: Annotated[
        int | None, typer.Option(min=0, help="how long deleted runs and experiments can be restored")
    ] = None,
) -> None:
    """Change the server's settings (administrators)."""
    if sign_up is None and trash_days is None:
        raise typer.BadParameter("say what to set, such as --sign-up invite")
    with client() as nacre:
        _show(nacre.settings.update(sign_up=sign_up, trash_days=trash_days))
