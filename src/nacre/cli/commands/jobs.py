"""``nacre ps``, ``logs``, ``stop``, ``show``, ``delete``: jobs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from nacre.cli.app import client, emit, out, table
from nacre.cli.attach import describe, exit_code, money, write_log
from nacre.cli.render import plain, size, when
from nacre.schema.jobs import FINAL_STATES, Job

JobName = Annotated[str, typer.Argument(help="name, id, or the id of its run")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("ps")(ps)
    app.command("logs")(logs)
    app.command("stop")(stop)
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
                    _length(job),
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


def _length(job: Job) -> str:
    if job.started_at is None:
        return ""
    seconds = int(((job.ended_at or datetime.now(UTC)) - job.started_at).total_seconds())
    hours, rest = divmod(max(seconds, 0), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


def logs(
    job: JobName,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="until the job has ended")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="only the last lines")] = None,
) -> None:
    """Print a job's log, byte for byte. Ctrl-C only ends the printing."""
    with client() as nacre:
        write_log(nacre.jobs.logs(job, follow=follow, tail=tail))


def stop(
    jobs: Annotated[list[str], typer.Argument(help="names or ids")],
    reason: Annotated[str | None, typer.Option("--reason", "-m", help="kept with the job")] = None,
) -> None:
    """Stop jobs: SIGTERM, then SIGKILL after their stop_duration. What they wrote is kept."""
    with client() as nacre:
        stopped = [nacre.jobs.stop(job, reason=reason) for job in jobs]

    def render() -> None:
        for job in stopped:
            out.print(describe(job))

    emit(stopped[0] if len(stopped) == 1 else stopped, render)


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


def render_job(job: Job) -> None:
    """A job for people: what it is, how it went, what it would take to do it again."""
    out.print(f"[bold]{plain(job.name)}[/bold] {describe(job).partition(': ')[2]}")
    rows: list[tuple[str, str]] = []
    if job.description:
        rows.append(("note", job.description))
    rows.append(("command", " && ".join(job.spec.commands)))
    record = job.record
    if record is not None:
        digest = f" {record.environment_digest[:12]}" if record.environment_digest else ""
        rows.append(("environment", f"{record.environment}{digest}"))
        rows += [(f"data {name}", reference) for name, reference in record.inputs.items()]
        if record.code:
            rows.append(("code", record.code[:12]))
        if record.secrets:
            rows.append(("secrets", ", ".join(record.secrets)))
    rows.append(("by", f"{job.user}, {when(job.created_at)}"))
    if job.started_at is not None:
        rows.append(("ran", f"{when(job.started_at)}, for {_length(job)}"))
    if job.state in FINAL_STATES:
        rows.append(("exit code", str(exit_code(job) if job.exit_code is None else job.exit_code)))
    rows.append(("cost", f"{money(job.cost, job.currency)} at {money(job.price_per_hour, job.currency)}/h"))
    for key, value in rows:
        out.print(f"  {key:12} {plain(value)}")
    for attempt in job.attempts if len(job.attempts) > 1 else []:
        why = f" ({attempt.reason})" if attempt.reason else ""
        out.print(f"  attempt {attempt.number}    {attempt.state}{why} {plain(attempt.message or '')}")
    peak = max((a.peak_memory or 0 for a in job.attempts), default=0)
    if peak:
        out.print(f"  {'peak memory':12} {size(peak)}")
    out.print(f"[dim]nacre logs {plain(job.name)} · again with nacre run --like {plain(job.name)}[/dim]")
