"""``nacre deploy``, ``undeploy`` and ``nacre endpoint …``."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer
from rich.markup import escape

from nacre.cli.app import as_json, client, emit, err, group, out, table
from nacre.cli.attach import write_log
from nacre.cli.commands.deploy_path import resolve
from nacre.cli.commands.models import checked, signature_text
from nacre.cli.render import when
from nacre.errors import Conflict
from nacre.schema.endpoints import (
    Endpoint,
    EndpointDeploy,
    EndpointReplica,
    EndpointState,
    EndpointStats,
    ReplicaState,
    Revision,
)
from nacre.sdk.client import Client

endpoints = group("endpoint", "Endpoints: look at what serves.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("deploy")(deploy)
    app.command("undeploy")(undeploy)
    app.add_typer(endpoints)


def deploy(
    model: Annotated[
        str, typer.Argument(help="name, name/3 or name@3, name@alias; or a file or folder of a model")
    ],
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="endpoint (default: the model's name)")
    ] = None,
    traffic: Annotated[
        int | None,
        typer.Option(min=0, max=100, help="percent of the requests for this revision (default: all)"),
    ] = None,
    shadow: Annotated[
        int, typer.Option(min=0, max=100, help="percent of the requests that are copied to it")
    ] = 0,
    runtime: Annotated[
        str, typer.Option(help="auto, onnx (in the shared model server) or replicas")
    ] = "auto",
    type_name: Annotated[
        str | None, typer.Option("--type", help="instance type (default: cpu.small, or as before)")
    ] = None,
    min_replicas: Annotated[
        int | None, typer.Option("--min", help="least replicas; 0: idle to none")
    ] = None,
    max_replicas: Annotated[int | None, typer.Option("--max", help="most replicas")] = None,
    wait: Annotated[bool, typer.Option(help="wait until it answers")] = True,
) -> None:
    """Serve a model version at a URL; an endpoint that exists swaps without a failed request."""
    bounds = {"min_replicas": min_replicas, "max_replicas": max_replicas}
    scaling = {key: value for key, value in bounds.items() if value is not None}
    with client() as nacre:
        model_name, version = resolve(nacre, model, name)
        if wait and runtime != "replicas":
            version = str(nacre.models.wait(model_name, version).number)
        fields = {"model": model_name, "version": version, "traffic": traffic, "shadow": shadow}
        more = {"runtime": runtime, "type": type_name} | ({"scaling": scaling} if scaling else {})
        request = checked(EndpointDeploy, fields | more)
        found = nacre.endpoints.deploy(name or _endpoint_name(model_name), request)
        number = max(revision.number for revision in found.revisions)
        if not as_json():
            price = found.price_per_hour / 1_000_000
            err.print(
                f"[dim]{found.name} costs {price:.4f} {found.currency} an hour while it is deployed[/dim]"
            )
        if wait:
            found = settled(nacre, found.name, number)
    emit(found, lambda: show_endpoint(found))


def settled(nacre: Client, name: str, revision: int | None = None) -> Endpoint:
    """The endpoint once its last change is made, or ``revision`` answers.

    Raises:
        Conflict: it failed; the endpoint, as it is now, has been printed.
    """
    try:
        seen = (lambda _: None) if revision is None else _Waited(revision)
        return nacre.endpoints.wait(name, revision=revision, seen=seen)
    except Conflict:
        found = nacre.endpoints.get(name)
        emit(found, lambda: show_endpoint(found))
        raise


class _Waited:
    """Says what a new revision waits for, when it is something else than before."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._said: str | None = None

    def __call__(self, endpoint: Endpoint) -> None:
        revision = next((one for one in endpoint.revisions if one.number == self._number), None)
        if revision is None:
            return
        messages = [*(one.message for one in revision.replicas), revision.message]
        waits = [message for message in messages if message]
        if waits and waits[0] != self._said:
            self._said = waits[0]
            err.print(f"[dim]{escape(_first_line(waits[0]))}[/dim]")


def _endpoint_name(model: str) -> str:
    """The model's name; of one with other characters than an endpoint's name has, what is left of it."""
    return re.sub(r"[^a-z0-9._-]+", "-", model.lower()).strip("._-")[:64].rstrip("._-") or "model"


def show_endpoint(found: Endpoint) -> None:
    """Print an endpoint and its latest revisions."""
    state = found.state if found.message is None else f"{found.state}: {_first_line(found.message)}"
    out.print(
        f"[bold]{found.name}[/bold]  {escape(state)}  {escape(found.model)}/{found.version}, {found.type}"
    )
    out.print(f"  url        {found.url}")
    out.print(f"  grpc       {found.grpc}")
    own_code = found.signature is None and any(one.answering for one in found.revisions)
    takes = "what its own code takes" if own_code else signature_text(found.signature)
    out.print(f"  signature  {takes}", markup=False)
    if found.requests is not None:
        latency = (
            f", p50 {found.latency_p50_ms:.2f} ms, p99 {found.latency_p99_ms:.2f} ms"
            if found.latency_p50_ms and found.latency_p99_ms
            else ""
        )
        out.print(f"  requests   {found.requests} ({found.errors} errors{latency})")
    for revision in found.revisions[:5]:
        out.print(f"  {_revision_line(revision)}", markup=False)
        for replica in revision.replicas:
            out.print(f"    {_replica_line(replica)}", markup=False)
    if changed := _changed(found):
        out.print(f"  set        {changed}", markup=False)
    out.print(f"  cost       {found.cost / 1_000_000:.6f} {found.currency}")
    if found.state == EndpointState.READY:
        out.print(f"next: [bold]{escape(_next(found))}[/bold]", style="dim", soft_wrap=True)


def _first_line(message: str) -> str:
    """What went wrong, without the end of a log that may follow it."""
    return message.partition("\n")[0]


def _changed(found: Endpoint) -> str:
    """What is not as the server has it by itself: ``timeout_s 5, max_batch 32``."""
    fields = found.scaling.model_dump(mode="json", exclude_defaults=True)
    fields |= found.settings.model_dump(mode="json", exclude_defaults=True)
    return ", ".join(f"{name} {_words(value)}" for name, value in fields.items())


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_words(one)}" for name, one in value.items()) + ")"
    return " ".join(map(_words, value)) if isinstance(value, list) else f"{value}"


def _next(found: Endpoint) -> str:
    newest = max(found.revisions, key=lambda one: one.number, default=None)
    if newest is not None and newest.state == "ready" and 0 < newest.traffic < 100:
        return f"nacre endpoint promote {found.name}, or nacre rollback {found.name}"
    return f"nacre predict {found.name} input.json"


def _revision_line(revision: Revision) -> str:
    """``revision 3  digits/7  ready  10 %  0 replicas``, with what is under way and why it failed."""
    words = [f"revision {revision.number} {revision.model}/{revision.version} {revision.state}"]
    if revision.traffic or revision.answering:
        going = "" if revision.traffic == revision.answering else f" (now {revision.answering} %)"
        words.append(f"{revision.traffic} %{going}")
    if revision.shadow:
        words.append(f"copies of {revision.shadow} %")
    if revision.runtime == "replicas":
        ready = sum(replica.state == ReplicaState.READY for replica in revision.replicas)
        words.append(f"{ready} of {revision.wanted_replicas} replicas")
    if revision.requests:
        p99 = f", p99 {revision.latency_p99_ms:.2f} ms" if revision.latency_p99_ms else ""
        words.append(f"{revision.requests} requests ({revision.errors} errors{p99})")
    return ", ".join(words) + (f": {_first_line(revision.message)}" if revision.message else "")


def _replica_line(replica: EndpointReplica) -> str:
    """``rep_7 queued: waits for 1 cpu``, with how long its start took."""
    words = f"{replica.id} {replica.state}"
    if replica.cold_start_s is not None and replica.state != ReplicaState.FAILED:
        words += f", started in {replica.cold_start_s:.1f} s"
    return words + (f": {_first_line(replica.message)}" if replica.message else "")


def undeploy(
    endpoint: Annotated[str, typer.Argument()], yes: Annotated[bool, typer.Option("--yes", "-y")] = False
) -> None:
    """Stop serving; requests in flight finish."""
    if not yes:
        typer.confirm(f"Stop serving {endpoint}? Its URL will answer 404.", abort=True)
    with client() as nacre:
        nacre.endpoints.delete(endpoint)
    emit({"deleted": endpoint}, lambda: out.print(f"{endpoint} no longer serves"))


@endpoints.command("ls")
def list_endpoints() -> None:
    """List endpoints."""
    with client() as nacre:
        found = nacre.endpoints.list()
    emit(
        found,
        lambda: table(
            ("endpoint", "state", "model", "type", "url"),
            ((e.name, e.state, f"{e.model}/{e.version}", e.type, e.url) for e in found),
            empty="no endpoints yet: nacre deploy MODEL --name NAME",
        ),
    )


@endpoints.command("show")
def show(endpoint: Annotated[str, typer.Argument()]) -> None:
    """Show an endpoint, its revisions and what it answered."""
    with client() as nacre:
        found = nacre.endpoints.get(endpoint)
    emit(found, lambda: show_endpoint(found))


@endpoints.command("replicas")
def replicas(endpoint: Annotated[str, typer.Argument()]) -> None:
    """List its replicas, newest first; those that ended, for an hour."""
    with client() as nacre:
        found = nacre.endpoints.replicas(endpoint)

    def words(replica: EndpointReplica) -> tuple[str, ...]:
        made = when(replica.created_at)
        return replica.id, str(replica.revision), replica.state, made, escape(replica.reason or "")

    columns = ("replica", "revision", "state", "made", "reason")
    emit(
        found,
        lambda: table(
            columns, map(words, found), empty=f"no replicas: see 'nacre endpoint show {endpoint}'"
        ),
    )


@endpoints.command("logs")
def logs(
    endpoint: Annotated[str, typer.Argument()],
    replica: Annotated[
        str | None, typer.Option(help="whose log, by id: see nacre endpoint replicas (default: the newest)")
    ] = None,
    revision: Annotated[int | None, typer.Option(help="that of one of its replicas")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="until the replica has ended")] = False,
    tail: Annotated[int | None, typer.Option("--tail", min=0, help="only the last lines")] = None,
) -> None:
    """Print what a replica's code printed, byte for byte. Ctrl-C only ends the printing."""

    def seen(found: str) -> None:
        err.print(f"[dim]replica {found}[/dim]")

    with client() as nacre:
        write_log(
            nacre.endpoints.logs(
                endpoint, replica=replica, revision=revision, follow=follow, tail=tail, seen=seen
            )
        )


@endpoints.command("stats")
def stats(
    endpoint: Annotated[str, typer.Argument()],
    revision: Annotated[int | None, typer.Option(help="only of this revision")] = None,
) -> None:
    """Show what an endpoint answered in the last half hour, minute by minute."""
    with client() as nacre:
        found = nacre.endpoints.stats(endpoint, revision=revision)

    def render() -> None:
        if found.since is None:
            away = "the model server does not run"
            out.print(
                f"{away}: nothing is counted"
                if revision is None
                else f"revision {revision} gets no requests, or {away}: nothing is counted"
            )
            return
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.errors_by_kind.items())
        total = f"{found.requests} requests, {found.errors} errors{f' ({kinds})' if kinds else ''}"
        out.print(f"{total} since {found.since:%Y-%m-%d %H:%M:%S} UTC")
        table(("minute (UTC)", "requests", "errors", "p50 ms", "p99 ms"), _minutes(found))

    emit(found, render)


def _minutes(found: EndpointStats) -> list[tuple[str, ...]]:
    """A row for each minute with requests: sums, and the worst of its intervals' percentiles."""
    rows: dict[str, list[int]] = {}
    for at, (begin, rate) in enumerate(zip(found.time, found.requests_per_s, strict=True)):
        if rate:
            rows.setdefault(f"{begin:%H:%M}", []).append(at)

    def total(rates: list[float | None], places: list[int]) -> int:
        return round(sum(rates[at] or 0 for at in places) * found.interval_s)

    def worst(values: list[float | None], places: list[int]) -> str:
        return f"{max(values[at] or 0 for at in places):.2f}"

    return [
        (
            minute,
            str(total(found.requests_per_s, places)),
            str(sum(total(rates, places) for rates in found.errors_per_s.values())),
            worst(found.latency_p50_ms, places),
            worst(found.latency_p99_ms, places),
        )
        for minute, places in rows.items()
    ]
