"""What commands ask for: never echoed, never an argument that other users of the machine could see."""

from __future__ import annotations

import sys

import typer

from nacre.schema.resources import parse_duration


def ask_hidden(what: str, *, twice: bool = False) -> str:
    """A password or a secret: typed unseen at a terminal, else the first line of standard input."""
    if sys.stdin.isatty():
        found: str = typer.prompt(what, hide_input=True, confirmation_prompt=twice, err=True)
        return found
    return sys.stdin.readline().rstrip("\r\n")


def seconds(text: str | None, option: str) -> int | None:
    """A duration such as ``12h`` or ``30d``, as whole seconds; null stays null."""
    if text is None:
        return None
    try:
        return int(parse_duration(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
