"""``nacre run``: submit a job and follow it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nacre.cli.app import as_json, client, emit, err, out
from nacre.cli.attach import attach
from nacre.cli.jobfile import Draft, from_command, from_file, from_job, inputs, variables
from nacre.cli.render import plain, size
from nacre.errors import InvalidSpec
from nacre.schema.jobs import Job, JobPlan
from nacre.schema.usage import money
from nacre.sdk.client import Client
from nacre.sdk.snapshot import push_snapshot, snapshot_files

_HELP = """Run a script as a job: `nacre run train.py -- --epochs 5`, or `nacre run -f job.yaml`.

The current folder (or --workdir) goes along as the code, without what .gitignore and .nacreignore name.
The log comes to standard output, changes of state to standard error. Ctrl-C leaves the job running.

Exit code: the job's own; 1 when it failed without one, was stopped, or could not be submitted; 2 for wrong
usage; 0 after Ctrl-C.
"""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run", help=_HELP, context_settings={"allow_interspersed_args": False})(run)


def run(
    script: Annotated[str | None, typer.Argument(help="a .py or .sh file, or a program")] = None,
    arguments: Annotated[list[str] | None, typer.Argument(help="given to the script")] = None,
    *,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="a job as YAML")] = None,
    like: Annotated[
        str | None,
        typer.Option("--like", help="do a job again, by name, id or run; options change it", metavar="JOB"),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n")] = None,
    note: Annotated[str | None, typer.Option("--message", "-m", help="a note, kept with the job")] = None,
    experiment: Annotated[str | None, typer.Option("--experiment")] = None,
    environment: Annotated[
        str | None, typer.Option("--environment", "-e", help="such as pytorch; see 'nacre env ls'")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data",
            "--input",
            help="digits, digits@1, NAME=digits@1; digits,as=keras:mnist where Keras looks",
            metavar="DATASET",
        ),
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", help="a variable: K=V, or K with the shell's value", metavar="K[=V]"),
    ] = None,
    secret: Annotated[list[str] | None, typer.Option("--secret", metavar="NAME")] = None,
    cpu: Annotated[float | None, typer.Option("--cpu")] = None,
    memory: Annotated[str | None, typer.Option("--memory", help="such as 4GB")] = None,
    gpu: Annotated[str | None, typer.Option("--gpu", help="a count, or H100:2")] = None,
    instance_type: Annotated[
        str | None, typer.Option("--type", help="a named shape; see 'nacre offer'")
    ] = None,
    max_duration: Annotated[str | None, typer.Option("--max-duration", help="such as 1h30m")] = None,
    max_restarts: Annotated[int | None, typer.Option("--max-restarts", help="after failures")] = None,
    replicas: Annotated[
        str | None, typer.Option("--replicas", help="that start together: a number, or 1..4")
    ] = None,
    processes: Annotated[
        int | None, typer.Option("--processes", min=1, help="of the command, in each replica")
    ] = None,
    distribution: Annotated[
        str | None,
        typer.Option("--distribution", help="pytorch, tensorflow, jax, keras, mxnet, mpi: how they meet"),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            "--resume",
            help="begin with the checkpoints of this job; alone: do it again from there",
            metavar="JOB",
        ),
    ] = None,
    priority: Annotated[str | None, typer.Option(help="low, normal or high")] = None,
    spot: Annotated[
        bool | None, typer.Option("--spot/--no-spot", help="cheaper; makes room for others, and comes back")
    ] = None,
    workdir: Annotated[Path | None, typer.Option("--workdir", help="the code folder")] = None,
    no_capture: Annotated[
        bool, typer.Option("--no-capture", help="track only what the program logs itself")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show plan and price, submit nothing")] = False,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="do not follow it")] = False,
) -> None:
    """See ``_HELP``."""
    with client() as nacre:
        if resume is not None and script is None and file is None:
            like = like or resume
        draft = _draft(nacre, script, arguments or [], file=file, like=like, folder=workdir)
        changes: dict[str, Any] = {
            "name": name,
            "description": note,
            "experiment_name": experiment,
            "environment": environment,
            "instance_type": instance_type,
            "max_duration": max_duration,
            "max_restarts": max_restarts,
            "replicas": replicas,
            "processes_per_replica": processes,
            "distribution": distribution and {"type": distribution},
            "resume_from": resume,
            "priority": priority,
            "spot": spot,
            "capture": "off" if no_capture else None,
        }
        if environment is not None:
            draft.fields.pop("environment_lock", None)
        _override(draft.fields, changes)
        _extend(draft.fields, "env", ("envs", "environment_variables"), variables(env or [], os.environ))
        _extend(draft.fields, "inputs", (), inputs(data or []))
        if secret:
            draft.fields["secrets"] = [*draft.fields.get("secrets", []), *secret]
        _resources(draft.fields, cpu=cpu, memory=memory, gpu=gpu, drop_type=instance_type is None)
        draft.spec()  # wrong usage is found before anything is sent
        code = bool(draft.folder)
        if draft.folder is not None:
            snapshot_files(draft.folder)
        plan = nacre.jobs.plan(draft.spec())
        if dry_run:
            emit(plan, lambda: _show_plan(plan, draft))
            raise typer.Exit(1 if plan.starts == "never" else 0)
        if plan.starts == "never":
            raise InvalidSpec(plan.message or "this job could never start")
        digest = (
            push_snapshot(nacre.transport, nacre.project, draft.folder).manifest if draft.folder else None
        )
        job = nacre.jobs.submit(draft.spec(digest if code else None))
        _announce(job, plan)
        if detach or as_json():
            emit(job, lambda: out.print(f"follow it with [bold]nacre logs -f {job.name}[/bold]"))
            return
        status = attach(nacre, job)
    sys.exit(status)


def _draft(
    nacre: Client,
    script: str | None,
    arguments: list[str],
    *,
    file: Path | None,
    like: str | None,
    folder: Path | None,
) -> Draft:
    if sum(given is not None for given in (script or like, file)) != 1:
        raise typer.BadParameter("give a script, or -f FILE, or --like JOB", param_hint="SCRIPT")
    if arguments and arguments[0] == "--":
        arguments = arguments[1:]
    if like is not None:
        return _again(nacre, like, script, arguments, folder)
    if file is not None:
        return from_file(file, folder)
    assert script is not None
    return from_command(script, arguments, folder or Path())


def _again(
    nacre: Client, like: str, script: str | None, arguments: list[str], folder: Path | None
) -> Draft:
    return from_job(nacre.jobs.get(like), script, arguments, folder)


def _override(fields: dict[str, Any], changes: dict[str, Any]) -> None:
    """Options win over the file, also over an alias there."""
    aliases = {
        "name": ("display_name",),
        "max_duration": ("limits",),
        "replicas": ("nodes", "num_nodes", "instance_count"),
        "processes_per_replica": ("process_count_per_instance", "nproc_per_node"),
    }
    for key, value in changes.items():
        if value is not None:
            for alias in aliases.get(key, ()):
                fields.pop(alias, None)
            fields[key] = value


def _extend(fields: dict[str, Any], key: str, aliases: tuple[str, ...], more: dict[str, Any]) -> None:
    if more:
        before = next((fields.pop(name) for name in (key, *aliases) if name in fields), None) or {}
        fields[key] = {**before, **more}


def _resources(
    fields: dict[str, Any], *, cpu: float | None, memory: str | None, gpu: str | None, drop_type: bool
) -> None:
    given = {"cpu": cpu, "memory": memory, "gpu": gpu}
    chosen = {key: value for key, value in given.items() if value is not None}
    if chosen:
        if drop_type:
            fields.pop("instance_type", None)
        fields["resources"] = {**(fields.get("resources") or {}), **chosen}


def _price(plan: JobPlan) -> str:
    text = f"{money(plan.price_per_hour, plan.currency)} per hour"
    if plan.max_cost is not None:
        text += f", at most {money(plan.max_cost, plan.currency)}"
    return text


def _announce(job: Job, plan: JobPlan) -> None:
    shape = job.spec.resources
    what = job.spec.instance_type or f"{shape.cpu:g} cpu, {size(shape.memory)}"
    gpus = f", {shape.gpu} GPU" if shape.gpu and not job.spec.instance_type else ""
    err.print(f"[bold]{plain(job.name)}[/bold]: {what}{gpus} at {_price(plan)}")


def _show_plan(plan: JobPlan, draft: Draft) -> None:
    spec = plan.spec
    rows: list[tuple[str, str]] = [("command", " && ".join(spec.commands))]
    if draft.folder is not None:
        files = snapshot_files(draft.folder)
        rows.append(
            ("code", f"{draft.folder.resolve()}: {len(files)} files, {size(sum(f.size for f in files))}")
        )
    rows += [
        (f"data {name}", f"{reference} as {called}" if (called := spec.inputs[name].as_) else reference)
        for name, reference in plan.inputs.items()
    ]
    shape = spec.resources
    rows += [
        ("environment", f"{spec.environment} ({plan.environment_state})"),
        *([("capture", "off")] if spec.capture == "off" else []),
        ("resources", spec.instance_type or f"{shape.cpu:g} cpu, {size(shape.memory)}, {shape.gpu} GPU"),
        ("price", _price(plan)),
        ("starts", f"{plan.starts}: {plan.message}" if plan.message else plan.starts),
    ]
    for key, value in rows:
        out.print(f"[bold]{key:12}[/bold] {plain(value)}")
