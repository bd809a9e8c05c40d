"""``nacre deploy``, ``predict``, ``undeploy`` and ``nacre endpoint …``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from nacre.cli.app import as_json, client, emit, err, group, out, table
from nacre.cli.commands.models import checked, signature_text, split_reference
from nacre.errors import InvalidSpec, RequestError
from nacre.schema.endpoints import Endpoint, EndpointDeploy, EndpointState, EndpointStats
from nacre.sdk.inference import build_request

endpoints = group("endpoint", "Endpoints: look at what serves.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("deploy")(deploy)
    app.command("predict")(predict)
    app.command("undeploy")(undeploy)
    app.add_typer(endpoints)


def deploy(
    model: Annotated[str, typer.Argument(help="name, name/3 or name@alias")],
    name: Annotated[
        str | None, typer.Option("--name", "-n", help="endpoint (default: the model's name)")
    ] = None,
    type_name: Annotated[str, typer.Option("--type", help="instance type")] = "cpu.small",
    wait: Annotated[bool, typer.Option(help="wait until it answers")] = True,
) -> None:
    """Serve a model version at a URL; an endpoint that exists swaps without a failed request."""
    model_name, version = split_reference(model)
    with client() as nacre:
        if wait:
            version = str(nacre.models.wait(model_name, version).number)
        request = checked(EndpointDeploy, {"model": model_name, "version": version, "type": type_name})
        found = nacre.endpoints.deploy(name or _endpoint_name(model_name), request)
        if not as_json():
            price = found.price_per_hour / 1_000_000
            err.print(
                f"[dim]{found.name} costs {price:.4f} {found.currency} an hour while it is deployed[/dim]"
            )
        if wait:
            found = nacre.endpoints.wait(found.name)
    emit(found, lambda: _show(found))
    if found.state == EndpointState.FAILED:
        raise typer.Exit(1)


def _endpoint_name(model: str) -> str:
    """The model's name; of one with other characters than an endpoint's name has, what is left of it."""
    return re.sub(r"[^a-z0-9._-]+", "-", model.lower()).strip("._-")[:64].rstrip("._-") or "model"


def _show(found: Endpoint) -> None:
    state = found.state if found.message is None else f"{found.state}: {found.message}"
    out.print(f"[bold]{found.name}[/bold]  {state}  {found.model}/{found.version}, {found.type}")
    out.print(f"  url        {found.url}")
    out.print(f"  signature  {signature_text(found.signature)}", markup=False)
    if found.requests is not None:
        latency = (
            f", p50 {found.latency_p50_ms:.2f} ms, p99 {found.latency_p99_ms:.2f} ms"
            if found.latency_p50_ms and found.latency_p99_ms
            else ""
        )
        out.print(f"  requests   {found.requests} ({found.errors} errors{latency})")
    for revision in found.revisions[:5]:
        said = f": {revision.message}" if revision.message else ""
        out.print(
            f"  revision {revision.number} {revision.model}/{revision.version} {revision.state}{said}"
        )
    out.print(f"  cost       {found.cost / 1_000_000:.6f} {found.currency}")
    if found.state == EndpointState.READY:
        out.print(f"next: [bold]nacre predict {found.name} input.json[/bold]", style="dim")


def predict(
    endpoint: Annotated[str, typer.Argument()],
    file: Annotated[
        str, typer.Argument(help="JSON: a nested list, an object by input, or a v2 request; - reads stdin")
    ],
    via_server: Annotated[
        bool,
        typer.Option("--via-server", help="through the API, where the endpoint's own URL is not reached"),
    ] = False,
) -> None:
    """Ask an endpoint."""
    try:
        content = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except OSError as error:
        raise RequestError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidSpec(f"{file} is not JSON: {error}") from error
    with client() as nacre:
        found = nacre.endpoints.get(endpoint)
        if found.signature is None:
            raise RequestError(f"endpoint {endpoint} is {found.state}: it has no signature yet")
        request = build_request(found.signature, content)
        if via_server:
            answer = nacre.endpoints.predict(endpoint, request["inputs"]).model_dump(exclude_none=True)
        else:
            answer = nacre.endpoints.infer(found, request)

    def render() -> None:
        for tensor in answer["outputs"]:
            out.print(f"{tensor['name']}: {tensor['datatype']}{tensor['shape']}", markup=False)
            out.print(json.dumps(tensor["data"]), markup=False)

    emit(answer, render)


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
    emit(found, lambda: _show(found))


@endpoints.command("stats")
def stats(endpoint: Annotated[str, typer.Argument()]) -> None:
    """Show what an endpoint answered in the last half hour, minute by minute."""
    with client() as nacre:
        found = nacre.endpoints.stats(endpoint)

    def render() -> None:
        if found.since is None:
            out.print("the model server does not run: nothing is counted")
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
