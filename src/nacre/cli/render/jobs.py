"""A job on the terminal."""

from __future__ import annotations

from datetime import UTC, datetime

from nacre.cli.app import out
from nacre.cli.render import plain, size, when
from nacre.schema.jobs import FINAL_STATES, Job, JobState
from nacre.schema.usage import money


def exit_code(job: Job) -> int:
    """The job's own exit code; 1 when it did not succeed and left none."""
    if job.state is JobState.SUCCEEDED:
        return 0
    return job.exit_code or 1


def describe(job: Job) -> str:
    """The state in a line, with its reason and message."""
    line = f"{plain(job.name)}: {job.state}"
    if job.reason:
        line += f" ({plain(job.reason)})"
    if job.message:
        line += f": {plain(job.message)}"
    return line


def length(job: Job) -> str:
    """How long it ran, or has run; empty before it started."""
    if job.started_at is None:
        return ""
    seconds = int(((job.ended_at or datetime.now(UTC)) - job.started_at).total_seconds())
    hours, rest = divmod(max(seconds, 0), 3600)
    minutes, seconds = divmod(rest, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{seconds:02}s" if minutes else f"{seconds}s"


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
        rows.append(("ran", f"{when(job.started_at)}, for {length(job)}"))
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
