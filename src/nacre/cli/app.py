"""What every command shares: options, the client, output, errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import typer
from pydantic import BaseModel, TypeAdapter
from rich.console import Console
from rich.table import Table

from nacre.sdk.client import Client
from nacre.sdk.settings import find_connection

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


@dataclass
class Options:
    """The options before the command: ``nacre --output json --project vision ps``."""

    output: str = "text"
    project: str | None = None
    url: str | None = None


options = Options()


def client() -> Client:
    """A client for the server, token and project that the options and the environment tell."""
    connection = find_connection(url=options.url, project=options.project)
    return Client(connection.url, connection.token, project=connection.project)


def as_json() -> bool:
    """Whether ``--output json`` was given."""
    return options.output == "json"


def emit(thing: Any, render: Callable[[], None]) -> None:
    """Print the API's object as JSON when asked to, else call ``render``."""
    if as_json():
        kind = type(thing) if isinstance(thing, BaseModel) else Any
        sys.stdout.write(TypeAdapter(kind).dump_json(thing, indent=2).decode() + "\n")
    else:
        render()


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]], *, empty: str = "nothing yet") -> None:
    """A borderless table; ``empty`` says which command makes the first one."""
    listed = [[("" if cell is None else str(cell)) for cell in row] for row in rows]
    if not listed:
        out.print(f"[dim]{empty}[/dim]")
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # an id is there to be copied: in one piece, however narrow the terminal is
        grid.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in listed:
        grid.add_row(*row)
    out.print(grid)


def group(name: str, text: str) -> typer.Typer:
    """A command group, such as ``nacre data``."""
    return typer.Typer(name=name, help=text, no_args_is_help=True)
