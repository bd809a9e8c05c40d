"""The command ``nacre``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nacre import __version__
from nacre.cli.app import err, options
from nacre.cli.lazy import LazyGroup
from nacre.errors import NacreError

app = typer.Typer(
    name="nacre",
    cls=LazyGroup,
    help="A deep-learning cloud that you own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(value: bool) -> None:
    if value:
        sys.stdout.write(f"nacre {__version__}\n")
        raise typer.Exit


@app.callback()
def _options(
    output: Annotated[str, typer.Option("--output", "-o", help="text or json")] = "text",
    project: Annotated[str | None, typer.Option("--project", "-p", envvar="NACRE_PROJECT")] = None,
    url: Annotated[str | None, typer.Option("--url", envvar="NACRE_URL", help="server")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    if output not in ("text", "json"):
        raise typer.BadParameter("use text or json", param_hint="--output")
    options.output, options.project, options.url = output, project, url


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a Nacre error, 2 wrong usage, 130 interrupted."""
    try:
        app()
    except NacreError as error:
        err.print(f"[red]error:[/red] {error.detail}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
