"""``nacre experiment``: what runs are grouped in."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from nacre.cli.app import client, emit, err, group, table
from nacre.cli.render import when

app = group("experiment", "Experiments: what runs are grouped in.")


def register(parent: typer.Typer) -> None:
    """Add the group."""
    parent.add_typer(app)


Reference = Annotated[str, typer.Argument(help="name or id", metavar="EXPERIMENT")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="any text of up to 500 characters")],
    tag: Annotated[list[str] | None, typer.Option("--tag", help="KEY=VALUE, several times")] = None,
) -> None:
    """Make an experiment."""
    tags = {key: text for key, text in map(_tag, tag or []) if text is not None}
    with client() as connected:
        made = connected.experiments.create(name, tags=tags)
    emit(made, lambda: err.print(f"made {escape(made.name)} ({made.id})"))


@app.command("ls")
def ls(
    deleted: Annotated[bool, typer.Option("--deleted", help="those in the trash")] = False,
) -> None:
    """List experiments, the newest first."""
    with client() as connected:
        found = connected.experiments.list(deleted=deleted)
    emit(
        found,
        lambda: table(
            ("id", "name", "runs", "made", "changed"),
            [
                (one.id, escape(one.name), str(one.runs), when(one.created_at), when(one.updated_at))
                for one in found
            ],
            empty="the trash is empty" if deleted else "none yet: the first run makes one called default",
        ),
    )


@app.command("update")
def update(
    experiment: Reference,
    name: Annotated[str | None, typer.Option(help="a new name")] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="KEY=VALUE, or KEY to remove it; several times")
    ] = None,
) -> None:
    """Rename or tag an experiment."""
    with client() as connected:
        changed = connected.experiments.update(experiment, name=name, tags=dict(map(_tag, tag or [])))
    emit(changed, lambda: err.print(f"changed {escape(changed.name)}"))


@app.command("delete")
def delete(
    experiment: Reference,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Put an experiment and its runs into the trash."""
    with client() as connected:
        found = connected.experiments.get(experiment)
        if not yes:
            typer.confirm(f"Put {found.name} and its {found.runs} runs into the trash?", abort=True)
        connected.experiments.delete(found.id)
    err.print(f"{escape(found.name)} is in the trash: 'nacre experiment restore {found.id}' brings it back")


@app.command("restore")
def restore(experiment: Reference) -> None:
    """Bring an experiment and its runs back from the trash."""
    with client() as connected:
        found = connected.experiments.restore(experiment)
    emit(found, lambda: err.print(f"{escape(found.name)} is back, with {found.runs} runs"))


def _tag(text: str) -> tuple[str, str | None]:
    key, sign, value = text.partition("=")
    return key, value if sign else None
