"""``nacre env``: environments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nacre.cli.app import as_json, client, emit, err, group, out, table
from nacre.cli.render import when
from nacre.errors import InvalidSpec
from nacre.schema.environments import Environment, EnvironmentState
from nacre.sdk.client import Client

app = group("env", "Environments: locked dependencies, built once and shared.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app)


Name = Annotated[str, typer.Argument(help="name or id of the environment")]


@app.command("ls")
def ls() -> None:
    """List the catalogue and the project's own environments."""
    with client() as nacre:
        found = list(nacre.environments.list())
    rows = [(e.name, _state(e), e.python, _size(e.size), e.description or _asked(e)) for e in found]
    emit(found, lambda: table(("NAME", "STATE", "PYTHON", "SIZE", "WHAT"), rows))


@app.command("show")
def show(name: Name) -> None:
    """Show an environment: what was asked for, what it was locked to, how it is."""
    with client() as nacre:
        found = nacre.environments.get(name)
    emit(found, lambda: _print(found))


@app.command("uses")
def uses(name: Name) -> None:
    """List the project's jobs and instances in an environment, the latest first."""
    with client() as nacre:
        found = nacre.environments.uses(name)
    kinds = (("instance", found.instances), ("job", found.jobs))
    rows = [
        (kind, one.name, one.state, one.user, when(one.created_at)) for kind, used in kinds for one in used
    ]
    empty = f"nothing in this project uses it yet: nacre run --environment {name} train.py"
    columns = ("KIND", "NAME", "STATE", "USER", "CREATED")
    emit(found, lambda: table(columns, rows, empty=empty))


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="a new name")],
    requirements: Annotated[
        Path | None,
        typer.Option("--requirements", "-r", exists=True, dir_okay=False, help="requirements.txt"),
    ] = None,
    pyproject: Annotated[
        Path | None, typer.Option("--pyproject", exists=True, dir_okay=False, help="pyproject.toml")
    ] = None,
    lock: Annotated[
        Path | None,
        typer.Option(
            "--lock", exists=True, dir_okay=False, help="uv.lock, pylock.toml, or hashed requirements"
        ),
    ] = None,
    python: Annotated[str | None, typer.Option("--python", help="minor version, such as 3.11")] = None,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="wait, and print the log")] = True,
) -> None:
    """Create an environment from requirements, a pyproject.toml or a lock, and build it."""
    with client() as nacre:
        found = nacre.environments.create(
            name,
            requirements=_text(requirements),
            pyproject=_text(pyproject),
            lock=_text(lock),
            python=python,
        )
        _after(nacre, found, follow)


@app.command("build")
def build(
    name: Name,
    upgrade: Annotated[bool, typer.Option("--upgrade", help="resolve again, to newer versions")] = False,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="wait, and print the log")] = True,
) -> None:
    """Build an environment now, if it is not there; try again one that failed."""
    with client() as nacre:
        _after(nacre, nacre.environments.build(name, upgrade=upgrade), follow)


@app.command("logs")
def logs(
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="until it is ready or failed")] = False,
) -> None:
    """Print the build log."""
    with client() as nacre:
        for line in nacre.environments.logs(name, follow=follow):
            out.print(line, markup=False)


@app.command("delete")
def delete(name: Name) -> None:
    """Delete an environment of the project."""
    with client() as nacre:
        nacre.environments.delete(name)
    if not as_json():
        out.print(f"deleted {name}")


def _text(path: Path | None) -> str | None:
    try:
        return None if path is None else path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InvalidSpec(f"{path} is not a text file") from error


def _after(nacre: Client, found: Environment, follow: bool) -> None:
    """Follow it to its end where that is wanted, print it, and exit with 1 when it failed."""
    if follow and found.state not in (EnvironmentState.READY, EnvironmentState.FAILED):
        for line in nacre.environments.logs(found.id, follow=True):
            (err if as_json() else out).print(line, markup=False, style="dim")
        found = nacre.environments.get(found.id)
    emit(found, lambda: _print_end(found))
    if found.state is EnvironmentState.FAILED:
        raise typer.Exit(1)


def _print_end(found: Environment) -> None:
    if found.state is EnvironmentState.READY:
        out.print(
            f"[green]ready[/green] {found.name} ({_size(found.size)}): "
            f"nacre run --environment {found.name} …"
        )
    elif found.state is EnvironmentState.FAILED:
        err.print(f"failed: {found.message}", markup=False, style="red")
    else:
        out.print(f"{found.state} {found.name}: follow it with 'nacre env logs -f {found.name}'")


def _print(found: Environment) -> None:
    facts = {
        "name": found.name,
        "id": found.id,
        "state": _state(found),
        "message": found.message,
        "description": found.description or None,
        "python": found.python,
        "digest": found.digest,
        "size": _size(found.size),
        "built in": None if found.build_seconds is None else f"{found.build_seconds:.1f} s",
    }
    for key, value in facts.items():
        if value:
            out.print(f"{key:<12} {value}", markup=False)
    out.print("\nrequirements")
    for line in found.requirements:
        out.print(f"  {line}", markup=False)
    if found.lock is not None:
        pinned = [line.split(" ")[0] for line in found.lock.splitlines() if line[:1].isalnum()]
        out.print(f"\nlocked to {len(pinned)} packages")
        for line in pinned:
            out.print(f"  {line}", markup=False)
    elif found.state is EnvironmentState.PENDING:
        out.print(f"\nnot resolved yet; build it with 'nacre env build {found.name}'", markup=False)


def _state(found: Environment) -> str:
    return f"{found.state} ({found.reason})" if found.reason else str(found.state)


def _asked(found: Environment) -> str:
    text = ", ".join(found.requirements)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _size(size: int | None) -> str | None:
    return None if size is None else f"{size / 1e6:,.0f} MB"
