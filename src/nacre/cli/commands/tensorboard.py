"""``nacre tensorboard``: TensorBoard for any set of runs."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from nacre.cli.app import as_json, client, emit, err, out
from nacre.cli.commands.instances import print_state, print_url, watch
from nacre.errors import Conflict
from nacre.schema.instances import Instance, InstanceApp, InstanceState
from nacre.schema.resources import parse_duration
from nacre.sdk.client import Client
from nacre.sdk.resources.instances import AT_REST


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tensorboard")(tensorboard)


def tensorboard(
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="RUN…", help="names or ids, see 'nacre runs ls'")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="keep it under this name until you delete it")
    ] = None,
    type_: Annotated[str, typer.Option("--type", help="see 'nacre offer'")] = "cpu.small",
    idle_timeout: Annotated[
        str, typer.Option("--idle-timeout", help="stop after so long in which no page asked for anything")
    ] = "10m",
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open a browser here")] = True,
    stop: Annotated[
        bool, typer.Option("--stop", help="stop yours instead: all of this project, or that of --name")
    ] = False,
) -> None:
    """Open TensorBoard for some runs: prints a URL that works once, and opens a browser on a desktop.

    It shows what was tracked and the event files that the runs left, and follows runs that go on.
    """
    with client() as nacre:
        if stop:
            _stop(nacre, runs or [], name)
            return
        found = _started(nacre, runs or [], name, type_, idle_timeout)
        if not as_json():
            err.print(f"{found.name} · {found.type} · {len(found.runs)} run(s)", style="dim")
        found = watch(nacre, found)
        if found.state is not InstanceState.RUNNING:
            emit(found, lambda: print_state(found))
            raise typer.Exit(1)
        url = nacre.instances.open(found.id)
    emit({"instance": found, **url.model_dump()}, lambda: print_url(url, browser=browser))
    if not as_json():
        err.print("stop it with 'nacre tensorboard --stop', or leave it: it stops by itself", style="dim")


def _started(nacre: Client, runs: list[str], name: str | None, type_: str, idle_timeout: str) -> Instance:
    """A new one; or without runs the one of that name."""
    if runs:
        try:
            seconds = float(parse_duration(idle_timeout))
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--idle-timeout") from error
        try:
            return nacre.instances.tensorboard(runs, name=name, type=type_, idle_timeout=seconds)
        except Conflict as error:
            if name is None or not re.search(r"already", error.detail):
                raise
            raise Conflict(
                f"there is an instance {name} already: open it with 'nacre tensorboard --name {name}', "
                f"or delete it with 'nacre instance delete {name}'"
            ) from error
    if name is None:
        raise typer.BadParameter("which runs? see 'nacre runs ls'", param_hint="RUN…")
    found = nacre.instances.get(name)
    if found.app is not InstanceApp.TENSORBOARD:
        raise Conflict(f"{name} is no TensorBoard: open it with 'nacre instance open {name}'")
    return nacre.instances.start(found.id)


def _stop(nacre: Client, runs: list[str], name: str | None) -> None:
    if runs:
        raise typer.BadParameter("--stop takes --name, or stops all of yours", param_hint="RUN…")
    if name is not None:
        chosen = [nacre.instances.get(name)]
    else:
        me = nacre.users.me().name
        chosen = [found for found in nacre.instances.list() if found.user == me]
    chosen = [found for found in chosen if found.app is InstanceApp.TENSORBOARD]
    stopped = []
    for found in chosen:
        if found.temporary and found.state in AT_REST:
            nacre.instances.delete(found.id)
        elif found.state not in AT_REST:
            stopped.append(nacre.instances.stop(found.id))

    def render() -> None:
        for found in stopped:
            print_state(found)
        if not stopped:
            out.print("no TensorBoard of yours runs here")

    emit(stopped, render)
