"""``nacre up``, ``down``, ``status``, ``doctor``: the server on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Annotated, Any

import typer
from rich.markup import escape

from nacre.cli.app import as_json, client, emit, err, options, out
from nacre.cli.commands.console import link
from nacre.cli.processes import end_replicas, start_time
from nacre.errors import Conflict, NacreError, Unavailable
from nacre.schema.server import CheckState, Diagnosis
from nacre.sdk.client import Client
from nacre.sdk.settings import find_connection, nacre_home

_START_SECONDS = 30.0


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("up")(up)
    app.command("server", hidden=True)(up)
    app.command("down")(down)
    app.command("status")(status)
    app.command("doctor")(doctor)
    app.command("check", hidden=True)(doctor)


def _running(file: str = "server.json") -> dict[str, Any] | None:
    """What the living server of this home wrote of itself."""
    try:
        found: dict[str, Any] = json.loads((nacre_home() / file).read_text())
        return found if start_time(int(found["pid"])) == found["start"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _owner() -> Client:
    """A client with the machine owner's token, whoever is signed in."""
    path = nacre_home() / "owner.json"
    try:
        kept = json.loads(path.read_text())
        return Client(kept["url"], kept["token"], project=kept["project"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unavailable(
            f"{path} cannot be read: 'nacre down' without --all, then 'nacre up', makes it anew"
        ) from error


def up(
    host: Annotated[str | None, typer.Option(help="address to listen on (default 127.0.0.1)")] = None,
    port: Annotated[int | None, typer.Option(help="console and API; +1 instances, +2 endpoints")] = None,
    content_port: Annotated[int | None, typer.Option(help="instances (default: port + 1)")] = None,
    inference_port: Annotated[int | None, typer.Option(help="endpoints (default: port + 2)")] = None,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="return once it is ready")] = False,
) -> None:
    """Start the server on this machine, and print a link that signs a browser in to its console.

    While it listens on loopback, whoever is at this machine may sign up; everybody else needs an
    invitation ('nacre user invite'). 'nacre settings set --sign-up' decides otherwise.
    """
    command = [sys.executable, "-m", "nacre.server"]
    given = {"host": host, "port": port, "content-port": content_port, "inference-port": inference_port}
    for name, value in given.items():
        if value is not None:
            command += [f"--{name}", str(value)]
    if not detach:
        os.execv(sys.executable, command)  # noqa: S606 - the server takes this process's place
    if (there := _running()) is not None:
        raise Conflict(
            f"nacre is already running (process {there['pid']}, {there['url']}): see 'nacre status'"
        )
    started = time.monotonic()
    process = subprocess.Popen(
        [*command, "--quiet"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    _wait_ready(process)
    there = _running()
    assert there is not None

    def render() -> None:
        out.print(f"nacre is up at {there['url']} after {time.monotonic() - started:.1f} s")
        with contextlib.suppress(NacreError), _owner() as owner:
            out.print(f"console, once, within ten minutes: {link(owner)}", markup=False)
        out.print(
            "next: [bold]nacre run train.py[/bold]   another link: [bold]nacre console[/bold]   "
            "stop it: [bold]nacre down[/bold]",
            style="dim",
        )

    emit(there, render)


def _wait_ready(process: subprocess.Popen[bytes]) -> None:
    """Until ``server.json`` names the process; its own last sentence when it ends before that."""
    assert process.stderr is not None
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        if (there := _running()) is not None and there["pid"] == process.pid:
            process.stderr.close()
            return
        if process.poll() is not None:
            lines = process.stderr.read().decode(errors="replace").strip().splitlines() or [
                "it wrote nothing"
            ]
            raise Unavailable(f"the server did not start: {lines[-1].removeprefix('error: ')}")
        time.sleep(0.02)
    process.terminate()
    raise Unavailable(
        f"the server was not ready after {_START_SECONDS:.0f} s: see {nacre_home() / 'server.log'}"
    )


def down(
    everything: Annotated[
        bool, typer.Option("--all", help="stop running jobs, instances and replicas of endpoints, too")
    ] = False,
    timeout: Annotated[float, typer.Option(help="seconds to wait")] = 30.0,
) -> None:
    """Stop the server of this machine, and its endpoints. Jobs and instances go on, and are found again by
    'nacre up'."""
    there = _running()
    if there is None:
        _end_model_server(timeout)
        out.print("nacre is not running on this home")
        return
    left = _stop_work(timeout) if everything else _going_on()
    os.kill(there["pid"], signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while start_time(there["pid"]) == there["start"]:
        if time.monotonic() > deadline:
            raise Unavailable(
                f"process {there['pid']} did not end within {timeout:.0f} s: kill it, then try again"
            )
        time.sleep(0.02)
    said = "; endpoints answer no more until 'nacre up'" if _end_model_server(timeout) else ""
    if everything:
        end_replicas(nacre_home() / "attempts", max(1.0, deadline - time.monotonic()))
    out.print(
        "nacre is down" + said + (f"; {left} go on and are found again by 'nacre up'" if left else "")
    )


def _going_on() -> str:
    try:
        with _owner() as owner:
            status = owner.server.status()
    except (NacreError, OSError):
        return ""
    counts = {"job": status.jobs_running, "instance": status.instances_running}
    return " and ".join(f"{n} {noun}{'s' if n > 1 else ''}" for noun, n in counts.items() if n)


def _stop_work(timeout: float) -> str:
    """Stop every job and instance that the owner can see, and wait for their ends."""
    with _owner() as owner:
        for project in owner.projects.list():
            for job in owner.jobs.list(project=project.name, active=True):
                owner.jobs.stop(job.name, project=project.name)
            for instance in owner.instances.list(project=project.name):
                if instance.state not in ("stopped", "failed"):
                    owner.instances.stop(instance.name, project=project.name)
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            status = owner.server.status()
            if not status.jobs_running and not status.instances_running:
                return ""
            time.sleep(0.1)
    return _going_on()


def _end_model_server(timeout: float) -> bool:
    """End the model server that a server of this home left serving; whether there was one."""
    file = "serving/modelserver.json"
    if (found := _running(file)) is None:
        return False
    os.kill(found["pid"], signal.SIGTERM)
    deadline = time.monotonic() + timeout
    while _running(file) and time.monotonic() < deadline:
        time.sleep(0.02)
    return True


def status() -> None:
    """Whether the server runs, and what runs on it."""
    there = _running()
    connection = find_connection() if there or (nacre_home() / "client.json").is_file() else None
    if connection is None:
        if as_json():
            emit({"running": False}, lambda: None)
        else:
            out.print("nacre is not running on this home: start it with [bold]nacre up[/bold]")
        raise typer.Exit(3)
    with client() as nacre:
        answer = nacre.server.status()

    def render() -> None:
        out.print(f"nacre {answer.version} at {connection.url}, up for {answer.uptime_s:.0f} s")
        out.print(
            f"{answer.jobs_running} jobs running, {answer.jobs_queued} waiting, "
            f"{answer.instances_running} instances, {answer.endpoints} endpoints"
        )
        out.print(
            f"database {answer.database}, isolation {answer.isolation}, model server {answer.model_server}"
        )

    emit(answer, render)


def doctor() -> None:
    """Check what the server and its machine give: disk, GPUs, isolation, ports, database and more.

    A server that runs on this home, or that --url names, is asked (administrators); without one, this
    machine is tried.
    """
    found = _asked() or _tried()

    def render() -> None:
        marks = {"ok": "[green]✓[/green]", "warning": "[yellow]![/yellow]", "problem": "[red]✗[/red]"}
        for check in found.checks:
            out.print(f"{marks[check.state]} {check.name}: {escape(check.message)}")
            if check.remedy:
                out.print(f"  → {escape(check.remedy)}")

    emit(found, render)
    if found.state is CheckState.PROBLEM:
        err.print("[red]some of this must be mended before Nacre works well[/red]")
        raise typer.Exit(1)


def _asked() -> Diagnosis | None:
    """What the server finds; null when none runs here, or it does not answer."""
    if options.url is not None:
        with client() as nacre:
            return nacre.server.doctor()
    if _running() is None:
        return None
    try:
        with _owner() as owner:
            return owner.server.doctor()
    except Unavailable as error:
        err.print(f"[yellow]the server runs, but does not answer ({escape(error.detail)})[/yellow]")
        return None


def _tried() -> Diagnosis:
    """What this machine gives, tried by the server's own check in another process."""
    done = subprocess.run([sys.executable, "-m", "nacre.server.doctor"], capture_output=True, check=False)
    if done.returncode not in (0, 1) or not done.stdout:
        raise Unavailable(f"the check itself failed: {done.stderr.decode(errors='replace').strip()[-400:]}")
    return Diagnosis.model_validate_json(done.stdout)
