"""``nacre ps``, ``logs``, ``stop``, ``show``, ``delete``: jobs."""

from __future__ import annotations

from typing import Annotated

import typer

from nacre.cli.app import client, emit, out, table
from nacre.cli.attach import write_log
from nacre.cli.render import plain, when
from nacre.cli.render.jobs import describe, length, render_job
from nacre.cli.render.runs import render_run
from nacre.errors import NotFound
from nacre.schema.usage import money

JobName = Annotated[str, typer.Argument(help="name, id, or the id of its run")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("ps")(ps)
    app.command("logs")(logs)
    app.command("stop")(stop)
    app.command("show")(show)
    app.command("delete")(delete)


def ps(
    everything: Annotated[bool, typer.Option("--all", "-a", help="also those that have ended")] = False,
    limit: Annotated[int, typer.Option("--limit", "-l", min=1)] = 50,
) -> None:
    """List jobs that have not ended, newest first."""
    with client() as nacre:
        jobs = nacre.jobs.list(active=not everything, limit=limit)

    def render() -> None:
        table(
            ("name", "state", "started", "for", "cost", "user", ""),
            [
                (
                    f"[bold]{plain(job.name)}[/bold]",
                    job.state,
                    when(job.started_at, never=""),
                    length(job),
                    money(job.cost, job.currency),
                    plain(job.user),
                    plain(job.message or job.description),
                )
                for job in jobs
            ],
            empty="no jobs: start one with 'nacre run train.py'"
            if everything
            else "no job runs or waits: 'nacre ps -a' shows those that have ended",
        )

    emit(jobs, render)


def logs(
    job: JobName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="until the job has ended")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="only the last lines")] = None,
    replica: Annotated[int, typer.Option("--replica", min=0, help="whose log, by rank")] = 0,
) -> None:
    """Print a job's log, byte for byte. Ctrl-C only ends the printing."""
    with client() as nacre:
        write_log(nacre.jobs.logs(job, follow=follow, tail=tail, replica=replica))


def stop(
    jobs: Annotated[list[str], typer.Argument(help="names or ids")],
    reason: Annotated[str | None, typer.Option("--reason", "-m", help="kept with the job")] = None,
    checkpoint: Annotated[
        bool,
        typer.Option(
            "--checkpoint", help="give them 10 minutes to save their state, and wait until they have"
        ),
    ] = False,
    grace: Annotated[
        str | None, typer.Option("--grace", help="from SIGTERM to SIGKILL, such as 30s or 1h")
    ] = None,
) -> None:
    """Stop jobs: SIGTERM, then SIGKILL after their stop_duration. What they wrote is kept.

    A job that was stopped goes on from its checkpoints as a new one: nacre run --resume NAME.
    """
    with client() as nacre:
        grace = grace or ("10m" if checkpoint else None)
        stopped = [nacre.jobs.stop(job, reason=reason, grace=grace) for job in jobs]
        if checkpoint:
            stopped = [nacre.jobs.wait(job.id) for job in stopped]

    def render() -> None:
        for job in stopped:
            out.print(describe(job))

    emit(stopped[0] if len(stopped) == 1 else stopped, render)


def show(
    name: Annotated[
        str, typer.Argument(help="a job or run: name, id, or start of a run's id", metavar="NAME")
    ],
) -> None:
    """Show a job or a run: how it went, params, metrics with small plots, what it left."""
    with client() as nacre:
        try:
            job = nacre.jobs.get(name)
        except NotFound:
            run = nacre.runs.get(name)
            emit(run, lambda: render_run(nacre, run))
            return

        def render() -> None:
            render_job(job)
            out.print()
            render_run(nacre, nacre.runs.get(job.run))

        emit(job, render)


def delete(
    jobs: Annotated[list[str], typer.Argument(help="names or ids of jobs that have ended")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="do not ask")] = False,
) -> None:
    """Delete ended jobs with their logs, checkpoints and runs. What they cost stays on record."""
    if not yes:
        typer.confirm(f"delete {', '.join(jobs)}, with logs and runs?", abort=True)
    with client() as nacre:
        for job in jobs:
            nacre.jobs.delete(job)
            out.print(f"deleted {plain(job)}")
