"""The command ``nacre``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from nacre import __version__
from nacre.cli.app import err, options
from nacre.cli.commands import (
    console,
    data,
    drift,
    endpoint_changes,
    endpoints,
    environments,
    evaluations,
    events,
    experiments,
    imports,
    instances,
    jobs,
    lineage,
    login,
    model_exports,
    model_files,
    models,
    predict,
    previews,
    projects,
    queue,
    resources,
    run,
    runs,
    secrets,
    server,
    settings,
    tensorboard,
    tokens,
    usage,
    users,
    views,
)
from nacre.errors import NacreError

app = typer.Typer(
    name="nacre",
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


console.register(app)
data.register(app)
app.add_typer(environments.app)
endpoints.register(app)
endpoint_changes.register(app)
predict.register(app)
drift.register(app)
evaluations.register(app)
events.register(app)
app.add_typer(experiments.app)
app.add_typer(imports.app)
app.add_typer(instances.app)
jobs.register(app)
lineage.register(app)
login.register(app)
models.register(app)
model_files.register(app)
model_exports.register(app)
projects.register(app)
run.register(app)
resources.register(app)
previews.register(runs.app)
queue.register(app)
app.add_typer(runs.app)
secrets.register(app)
server.register(app)
settings.register(app)
tensorboard.register(app)
tokens.register(app)
usage.register(app)
users.register(app)
app.add_typer(views.app)


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 a Nacre error, 2 wrong usage, 130 interrupted."""
    try:
        app()
    except NacreError as error:
        err.print(f"[red]error:[/red] {error.detail}")
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
