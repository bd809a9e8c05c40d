"""Following a job: its log on standard output, what happens to it on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator

from nacre.cli.app import err
from nacre.cli.render import plain
from nacre.cli.render.jobs import describe, exit_code
from nacre.errors import NacreError, Unavailable
from nacre.schema.jobs import FINAL_STATES, Job
from nacre.schema.usage import money
from nacre.sdk.client import Client

_WAIT_S = 30.0
_PATIENCE_S = 120.0


def attach(nacre: Client, job: Job) -> int:
    """Follow a job to its end; the exit code for this program.

    Ctrl-C leaves the job running and says how to come back.
    """
    try:
        return exit_code(_follow(nacre, job))
    except KeyboardInterrupt:
        err.print(
            f"\ndetached: [bold]{job.name}[/bold] goes on\n"
            f"come back with [bold]nacre logs -f {job.name}[/bold], "
            f"stop it with [bold]nacre stop {job.name}[/bold]"
        )
        return 0
    except Unavailable as error:
        err.print(f"[red]error:[/red] {plain(error.detail)}")
        err.print(
            f"[bold]{job.name}[/bold] goes on without the server: "
            f"come back with [bold]nacre logs -f {job.name}[/bold]"
        )
        return 1


def write_log(chunks: Iterator[bytes]) -> None:
    """Write bytes as they are, at once."""
    for chunk in chunks:
        sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()


def _follow(nacre: Client, job: Job) -> Job:
    failed: list[NacreError] = []

    def log() -> None:
        try:
            write_log(nacre.jobs.logs(job.id, follow=True))
        except NacreError as error:
            failed.append(error)

    thread = threading.Thread(target=log, daemon=True, name="log")
    thread.start()
    seen = ""
    while True:
        line = describe(job)
        if line != seen:
            err.print(f"[dim]{line}[/dim]")
            seen = line
        if job.state in FINAL_STATES:
            break
        job = _next(nacre, job)
    while thread.is_alive():
        thread.join(0.5)  # in pieces, so that Ctrl-C is heard
    if failed:
        err.print(f"[yellow]the log is incomplete:[/yellow] {plain(failed[0].detail)}")
    job = nacre.jobs.get(job.id)
    err.print(f"[dim]cost {money(job.cost, job.currency)} · nacre show {job.name}[/dim]")
    return job


def _next(nacre: Client, job: Job) -> Job:
    """The job after its next change, or after a while; a server that restarts is waited for.

    Raises:
        Unavailable: it has been away for too long.
    """
    deadline: float | None = None
    while True:
        try:
            return nacre.jobs.get(job.id, unless=f"{job.state}:{job.reason or ''}", wait_s=_WAIT_S)
        except Unavailable:
            if deadline is None:
                deadline = time.monotonic() + _PATIENCE_S
                err.print("[dim]the server is away: waiting for it; the job goes on[/dim]")
            if time.monotonic() > deadline:
                raise
            time.sleep(0.3)
