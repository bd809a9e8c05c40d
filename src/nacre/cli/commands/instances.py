"""``nacre instance``: machines with JupyterLab."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from nacre.cli.app import as_json, client, emit, err, group, out, table
from nacre.cli.desktop import has_browser, open_browser
from nacre.cli.render import plain, when
from nacre.cli.terminal import attach_terminal
from nacre.errors import InvalidSpec, RequestError
from nacre.schema.instances import Instance, InstanceState, InstanceUrl
from nacre.schema.resources import parse_duration
from nacre.sdk.client import Client
from nacre.sdk.notebook import run_cell

app = group("instance", "Instances: machines with JupyterLab, a terminal and a home that stays.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app)


Name = Annotated[str, typer.Argument(help="name or id of the instance")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="until it runs")]
_START_SECONDS = 3600.0


@app.command("create")
def create(
    name: Annotated[
        str | None, typer.Argument(help="a new name; the environment's and a number else")
    ] = None,
    type_: Annotated[str, typer.Option("--type", help="see 'nacre offer'")] = "cpu.small",
    environment: Annotated[str, typer.Option("--env", help="see 'nacre env ls'")] = "base",
    data: Annotated[
        list[str] | None, typer.Option("--data", help="dataset at /data: digits, digits@3, train=digits@3")
    ] = None,
    idle_timeout: Annotated[str, typer.Option("--idle-timeout", help="stop after so long unused")] = "1h",
    secret: Annotated[list[str] | None, typer.Option("--secret", help="a secret to give it")] = None,
    start: Annotated[bool, typer.Option("--start/--no-start", help="start it at once")] = True,
    wait: Wait = True,
) -> None:
    """Create an instance and start it."""
    try:
        seconds = float(parse_duration(idle_timeout))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--idle-timeout") from error
    with client() as nacre:
        found = nacre.instances.create(
            name,
            type=type_,
            environment=environment,
            data=_data(data or []),
            idle_timeout=seconds,
            secrets=secret or [],
            start=start,
        )
        if not as_json():
            out.print(f"created {found.name} · {found.type} · {_price(found)}")
        _after(nacre, found, wait=wait and start)


@app.command("start")
def start(name: Name, wait: Wait = True) -> None:
    """Start an instance that has stopped; its home is as it was."""
    with client() as nacre:
        _after(nacre, nacre.instances.start(name), wait=wait)


@app.command("stop")
def stop(
    name: Name, wait: Annotated[bool, typer.Option("--wait/--no-wait", help="until it has stopped")] = True
) -> None:
    """Stop an instance; its home stays."""
    with client() as nacre:
        found = nacre.instances.stop(name)
        if wait and not found.temporary:
            found = watch(nacre, found)
    emit(found, lambda: print_state(found))


@app.command("open")
def open_(
    name: Name,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="open a browser here")] = True,
) -> None:
    """Open it: prints a URL that works once, within a minute, and opens a browser on a desktop."""
    with client() as nacre:
        found = nacre.instances.open(name)
    emit(found, lambda: print_url(found, browser=browser))


@app.command("terminal")
def terminal_(
    name: Name,
    terminal: Annotated[
        str | None, typer.Option("--terminal", help="one to come back to, by its name; a new one else")
    ] = None,
) -> None:
    """Open a terminal of it here: bash in its home. Exits with the shell's code.

    Return, ~, . leaves it, and the shell goes on.
    """
    with client() as nacre:
        code = attach_terminal(nacre, name, terminal)
    raise typer.Exit(code)


@app.command("ls")
def ls() -> None:
    """List the project's instances."""
    with client() as nacre:
        found = nacre.instances.list()
    rows = [
        (i.name, i.state, i.type, plain(i.environment), _idle(i), _price(i), _money(i.cost, i.currency))
        for i in found
    ]
    empty = "no instances yet: make one with 'nacre instance create NAME --env pytorch'"
    columns = ("NAME", "STATE", "TYPE", "ENVIRONMENT", "IDLE", "PRICE", "COST")
    emit(found, lambda: table(columns, rows, empty=empty))


@app.command("show")
def show(name: Name) -> None:
    """Show an instance: how it is, why, and what it has cost."""
    with client() as nacre:
        found = nacre.instances.get(name)
    emit(found, lambda: _print(found))


@app.command("logs")
def logs(
    name: Name, follow: Annotated[bool, typer.Option("--follow", "-f", help="until it has ended")] = False
) -> None:
    """Print its log since the latest start."""
    with client() as nacre:
        for line in nacre.instances.logs(name, follow=follow):
            out.print(line, markup=False)


@app.command("exec")
def exec_(
    name: Name,
    code: Annotated[str, typer.Argument(help="Python; '-' reads standard input, '@FILE' a file")],
    timeout: Annotated[float, typer.Option(help="seconds")] = 300.0,
) -> None:
    """Run Python in a fresh kernel of the instance and print what it prints."""
    with client() as nacre:
        try:
            text = run_cell(nacre, name, _code(code), timeout_s=timeout)
        except RequestError as error:
            if "traceback" not in error.extra:
                raise
            _write(error.extra["text"])
            err.print(error.extra["traceback"], markup=False)
            raise typer.Exit(1) from error
    emit({"text": text}, lambda: _write(text))


@app.command("delete")
def delete(
    name: Name, yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False
) -> None:
    """Delete an instance and its home, for good."""
    with client() as nacre:
        found = nacre.instances.get(name)
        if not yes:
            question = f"delete {found.name}? Its home, with every file and notebook in it, will be lost"
            typer.confirm(question, abort=True, err=True)
        nacre.instances.delete(found.id)
    if not as_json():
        out.print(f"deleted {plain(found.name)} and its home")


def _write(text: str) -> None:
    sys.stdout.write(text)


def _data(given: list[str]) -> dict[str, str]:
    """``digits@3`` mounts as ``digits``; ``train=digits@3`` as ``train``."""
    found = {}
    for item in given:
        name, equals, path = item.partition("=")
        found[name if equals else item.partition("@")[0]] = path if equals else item
    return found


def _code(given: str) -> str:
    if given == "-":
        return sys.stdin.read()
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSpec(f"{given[1:]} cannot be read: {error}") from error


def watch(nacre: Client, found: Instance) -> Instance:
    """Follow it until it runs or rests, saying what it waits for."""
    said = None
    for seen in nacre.instances.watch(found.id, timeout_s=_START_SECONDS):
        found = seen
        line = f"{seen.state}: {seen.message}" if seen.message else str(seen.state)
        moving = seen.state not in (InstanceState.RUNNING, InstanceState.FAILED, InstanceState.STOPPED)
        if moving and line != said:
            err.print(line, style="dim", markup=False)
            said = line
    return found


def _after(nacre: Client, found: Instance, *, wait: bool) -> None:
    """Wait where that is wanted, print it, and exit with 1 when it failed."""
    if wait:
        try:
            found = watch(nacre, found)
        except KeyboardInterrupt:
            err.print(f"it goes on starting: see 'nacre instance show {found.name}'")
            raise
    emit(found, lambda: print_state(found))
    if wait and found.state is not InstanceState.RUNNING:
        raise typer.Exit(1)


def print_state(found: Instance) -> None:
    if found.state is InstanceState.RUNNING:
        out.print(f"{found.name} is running · open it with [bold]nacre instance open {found.name}[/bold]")
        out.print(f"it stops after {_span(found.idle_timeout)} without work or visitors", style="dim")
    elif found.state is InstanceState.STOPPED:
        out.print(
            f"{found.name} has stopped · start it with [bold]nacre instance start {found.name}[/bold]"
        )
    elif found.temporary and found.state is InstanceState.STOPPING:
        out.print(f"{found.name} is stopping, and is deleted then")
    else:
        out.print(f"{found.name} is {found.state}{f' ({found.reason})' if found.reason else ''}")
        if found.message:
            out.print(found.message, markup=False)
        if found.state is InstanceState.FAILED:
            out.print(f"its log: [bold]nacre instance logs {found.name}[/bold]")


def print_url(found: InstanceUrl, *, browser: bool) -> None:
    out.print(found.url, markup=False)
    if browser and has_browser() and open_browser(found.url):
        err.print("opened in your browser", style="dim")
    else:
        err.print("open it in a browser within a minute; it works once", style="dim")


def _print(found: Instance) -> None:
    rows = [
        ("name", found.name),
        ("id", found.id),
        ("state", f"{found.state}{f' ({found.reason})' if found.reason else ''}"),
        ("message", plain(found.message) if found.message else None),
        ("type", found.type),
        ("environment", plain(found.environment)),
        ("runs", " ".join(found.runs)),
        ("data", ", ".join(f"/data/{name} = {version}" for name, version in found.data.items())),
        ("user", found.user),
        ("created", when(found.created_at)),
        ("started", when(found.started_at, never="")),
        ("idle", _idle(found)),
        ("price", _price(found)),
        ("cost", _money(found.cost, found.currency)),
    ]
    for key, value in rows:
        if value:
            out.print(f"[dim]{key:<12}[/dim] {value}")


def _idle(found: Instance) -> str:
    if found.idle_s is None:
        return ""
    return f"{_span(found.idle_s)} of {_span(found.idle_timeout)}"


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f}".removesuffix(".0") + " h"


def _price(found: Instance) -> str:
    return f"{found.price_per_hour / 1e6:.4f} {found.currency}/h"


def _money(micros: int, currency: str) -> str:
    return f"{micros / 1e6:.4f} {currency}"
