"""A job on the terminal."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from nacre.cli.app import out
from nacre.cli.render import plain, size, when
from nacre.schema.jobs import FINAL_STATES, Job, JobState, Replica
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


def isolation(record: dict[str, Any]) -> str:
    """What stood between the work and the machine, in a line."""
    sandbox = str(record.get("sandbox", "none"))
    if sandbox == "none":
        parts = ["no sandbox", "the server's user" if record.get("uid") is None else "own uid"]
    else:
        parts = ["bubblewrap", "own uid" if sandbox == "bwrap-root" else "own user namespace"]
    ways: dict[str, list[str]] = {}
    for name in ("memory", "processes", "cpu", "disk"):
        if record.get(name):
            ways.setdefault(str(record[name]), []).append(name)
    parts += [f"{way} {'/'.join(names)}" for way, names in ways.items()]
    parts += [f"network {record.get('network', 'full')}", *(["seccomp"] if record.get("seccomp") else [])]
    return f"{record.get('level', 'unknown')} ({', '.join(parts)})"


def _replica(replica: Replica) -> str:
    """Where it is, what it has and how it does, in a line."""
    gpus = ", ".join(
        f"GPU {i}" if part == 1 else f"{part:g} of GPU {i}" for i, part in replica.gpus.items()
    )
    why = f" ({replica.reason})" if replica.reason else ""
    peak = f", peak memory {size(replica.peak_memory)}" if replica.peak_memory else ""
    return f"{replica.state}{why} on {plain(replica.node)}{f', {gpus}' if gpus else ''}{peak}"


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
    record_of = next((a.isolation for a in reversed(job.attempts) if a.isolation), None)
    if record_of is not None:
        rows.append(("isolation", isolation(record_of)))
        rows += [("", sentence) for sentence in record_of.get("missing", [])]
    for key, value in rows:
        out.print(f"  {key:12} {plain(value)}")
    for attempt in job.attempts if len(job.attempts) > 1 else []:
        why = f" ({attempt.reason})" if attempt.reason else ""
        out.print(f"  attempt {attempt.number}    {attempt.state}{why} {plain(attempt.message or '')}")
    replicas = job.attempts[-1].replicas if job.attempts else []
    for replica in replicas if len(replicas) > 1 else []:
        out.print(f"  replica {replica.rank}    {_replica(replica)}")
    peak = max((a.peak_memory or 0 for a in job.attempts), default=0)
    if peak:
        out.print(f"  {'peak memory':12} {size(peak)}")
    out.print(f"[dim]nacre logs {plain(job.name)} · again with nacre run --like {plain(job.name)}[/dim]")
