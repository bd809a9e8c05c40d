"""``nacre settings``: what an administrator sets for the whole server."""

from __future__ import annotations

from typing import Annotated

import typer

from nacre.cli.app import client, emit, group, out
from nacre.cli.render import size
from nacre.schema.users import Reserved, Settings

settings = group("settings", "What holds for the whole server.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(settings)


def _show(found: Settings) -> None:
    def text() -> None:
        out.print(f"sign-up: {found.sign_up}{'' if found.sign_up_set else ' (nobody has set it)'}")
        out.print(f"trash: deleted runs and experiments can be restored for {found.trash_days} days")
        aside = found.reserved
        if aside != Reserved():
            kept = f"{aside.cpu:g} cpu, {size(aside.memory)} of memory, {aside.gpu:g} GPU"
            out.print(f"set aside for instances and endpoints: {kept}")

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
    reserve_cpu: Annotated[
        float | None, typer.Option(min=0, help="cpus set aside for instances and endpoints")
    ] = None,
    reserve_memory: Annotated[
        str | None, typer.Option(help="memory set aside for instances and endpoints, such as 16GB")
    ] = None,
    reserve_gpu: Annotated[
        float | None, typer.Option(min=0, help="GPUs set aside for instances and endpoints")
    ] = None,
) -> None:
    """Change the server's settings (administrators)."""
    kept = {"cpu": reserve_cpu, "memory": reserve_memory, "gpu": reserve_gpu}
    reserved: dict[str, float | str] = {name: value for name, value in kept.items() if value is not None}
    if sign_up is None and trash_days is None and not reserved:
        raise typer.BadParameter("say what to set, such as --sign-up invite")
    with client() as nacre:
        _show(nacre.settings.update(sign_up=sign_up, trash_days=trash_days, reserved=reserved or None))
