"""``nacre endpoint traffic``, ``promote``, ``set`` and ``nacre rollback``: what changes of an endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from nacre.cli.app import client, emit
from nacre.cli.commands.endpoints import endpoints, settled, show_endpoint
from nacre.cli.commands.models import checked
from nacre.cli.prompts import seconds
from nacre.errors import InvalidSpec
from nacre.schema.endpoints import Endpoint, EndpointSettings, EndpointUpdate, Scaling
from nacre.schema.resources import parse_size
from nacre.sdk.client import Client

Wait = Annotated[bool, typer.Option(help="wait until it is so")]
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SCHEDULE = re.compile(r"(?:(\S+) )?(\d\d:\d\d)-(\d\d:\d\d) (\d+)(?:\.\.(\d+))?")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("rollback")(rollback)


@endpoints.command("traffic")
def traffic(
    endpoint: Annotated[str, typer.Argument()],
    shares: Annotated[list[str], typer.Argument(help="revision=percent, 100 together, such as 2=90 3=10")],
    shadow: Annotated[
        list[str] | None, typer.Option(help="revision=percent of the requests that are copied to it")
    ] = None,
    wait: Wait = True,
) -> None:
    """Share the requests between revisions; those that are not named get none."""
    with client() as nacre:
        found = nacre.endpoints.set_traffic(endpoint, _shares(shares), shadow=_shares(shadow or []))
        _show(nacre, found, wait)


@endpoints.command("promote")
def promote(
    endpoint: Annotated[str, typer.Argument()],
    revision: Annotated[int | None, typer.Option(help="default: the newest")] = None,
    wait: Wait = True,
) -> None:
    """Give a revision all of the requests."""
    with client() as nacre:
        _show(nacre, nacre.endpoints.promote(endpoint, revision), wait)


def rollback(
    endpoint: Annotated[str, typer.Argument()],
    to: Annotated[int | None, typer.Option(help="revision (default: one step back)")] = None,
    wait: Wait = True,
) -> None:
    """Go back to the revision that answered before."""
    with client() as nacre:
        _show(nacre, nacre.endpoints.rollback(endpoint, to), wait)


@endpoints.command("set")
def set_endpoint(
    endpoint: Annotated[str, typer.Argument()],
    min_replicas: Annotated[
        int | None, typer.Option("--min", help="least replicas; 0: idle to none")
    ] = None,
    max_replicas: Annotated[int | None, typer.Option("--max", help="most replicas")] = None,
    target: Annotated[float | None, typer.Option(help="requests under way in a replica")] = None,
    idle: Annotated[str | None, typer.Option(help="with --min 0: idle so long, such as 10m")] = None,
    schedule: Annotated[
        list[str] | None, typer.Option(help="'mon-fri 08:00-20:00 2..8' (UTC), several times; '' for none")
    ] = None,
    max_batch: Annotated[int | None, typer.Option(help="most rows in a run of the model")] = None,
    concurrency: Annotated[int | None, typer.Option(help="runs at once")] = None,
    queue: Annotated[int | None, typer.Option(help="requests that may wait; more are answered 503")] = None,
    timeout: Annotated[float | None, typer.Option(help="seconds, after which 504 is answered")] = None,
    memory: Annotated[str | None, typer.Option(help="of an ONNX model, such as 2GB")] = None,
    max_request: Annotated[str | None, typer.Option(help="largest request, such as 16MB")] = None,
    max_response: Annotated[str | None, typer.Option(help="largest answer")] = None,
    cors: Annotated[
        list[str] | None, typer.Option(help="origin whose pages may call it, several times; '' for none")
    ] = None,
    access_log: Annotated[
        float | None, typer.Option(min=0, max=1, help="part of the requests that are logged")
    ] = None,
    automatic: Annotated[
        bool | None, typer.Option("--rollback/--no-rollback", help="take a worse revision back by itself")
    ] = None,
    error_rate: Annotated[
        float | None, typer.Option(min=0, max=1, help="taken back when so much more of its requests fail")
    ] = None,
    latency_factor: Annotated[
        float | None, typer.Option(min=1, help="taken back when its p99 is so many times as long")
    ] = None,
    capture: Annotated[
        str | None, typer.Option(help="keep inputs and outputs in this dataset; --default capture: no more")
    ] = None,
    capture_share: Annotated[
        float | None, typer.Option(min=0, max=1, help="with --capture: of the requests; 0.01 by default")
    ] = None,
    capture_budget: Annotated[
        str | None, typer.Option(help="with --capture: until it has so many bytes; 100MB by default")
    ] = None,
    default: Annotated[
        list[str] | None,
        typer.Option(help="a field as the server has it, such as max_batch; several times"),
    ] = None,
) -> None:
    """Change how an endpoint scales and is called; what is not named stays."""
    scaling = {
        "min_replicas": min_replicas,
        "max_replicas": max_replicas,
        "target": target,
        "idle_s": seconds(idle, "--idle"),
        "schedules": None if schedule is None else [_schedule(one) for one in schedule if one],
    }
    rule = {"enabled": automatic, "error_rate": error_rate, "latency_factor": latency_factor}
    settings = {
        "max_batch": max_batch,
        "concurrency": concurrency,
        "queue": queue,
        "timeout_s": timeout,
        "memory_bytes": _size(memory, "--memory"),
        "max_request_bytes": _size(max_request, "--max-request"),
        "max_response_bytes": _size(max_response, "--max-response"),
        "cors_origins": None if cors is None else [one for one in cors if one],
        "access_log": access_log,
        "rollback": _named(rule) or None,
        "capture": _capture(capture, capture_share, capture_budget),
    }
    fields = {"scaling": _named(scaling), "settings": _named(settings)}
    for name in default or []:
        _reset(fields, name)
    with client() as nacre:
        found = nacre.endpoints.update(endpoint, checked(EndpointUpdate, _named(fields)))
        emit(found, lambda: show_endpoint(found))


def _show(nacre: Client, found: Endpoint, wait: bool) -> None:
    if wait:
        found = settled(nacre, found.name)
    emit(found, lambda: show_endpoint(found))


def _shares(words: Sequence[str]) -> dict[int, int]:
    found: dict[int, int] = {}
    for word in words:
        match = re.fullmatch(r"(\d{1,9})=(\d{1,3})%?", word)
        if match is None or int(match[2]) > 100:
            raise InvalidSpec(f"{word!r} is no share: write revision=percent, such as 3=10")
        found[int(match[1])] = int(match[2])
    return found


def _schedule(text: str) -> dict[str, Any]:
    match = _SCHEDULE.fullmatch(text.strip())
    if match is None:
        raise InvalidSpec(f"{text!r} is no schedule: write 'mon-fri 08:00-20:00 2..8' or '22:00-06:00 0'")
    days, begin, end, least, most = match.groups()
    return {
        "days": _days(days) if days else list(range(7)),
        "from_time": begin,
        "to_time": end,
        "min_replicas": int(least),
        "max_replicas": max(1, int(most or least)),
    }


def _days(text: str) -> list[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        if first not in _DAYS or (last and last not in _DAYS):
            raise InvalidSpec(f"{part!r} are no days: write mon, tue, wed, thu, fri, sat, sun, or mon-fri")
        start, end = _DAYS.index(first), _DAYS.index(last or first)
        found |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return sorted(found)


def _size(text: str | None, option: str) -> int | None:
    if text is None:
        return None
    try:
        return int(parse_size(text))
    except ValueError as error:
        raise InvalidSpec(f"{option}: {error}") from error


def _capture(dataset: str | None, share: float | None, budget: str | None) -> dict[str, Any]:
    fields = {"dataset": dataset, "share": share, "budget_bytes": _size(budget, "--capture-budget")}
    if dataset is None and _named(fields):
        raise InvalidSpec("name the dataset too: --capture DATASET")
    return _named(fields)


def _named(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, {})}


def _reset(fields: dict[str, dict[str, Any]], name: str) -> None:
    for part, kind in (("scaling", Scaling), ("settings", EndpointSettings)):
        if (field := kind.model_fields.get(name)) is not None:
            value = field.get_default(call_default_factory=True)
            fields[part][name] = value.model_dump() if isinstance(value, BaseModel) else value
            return
    known = ", ".join((*Scaling.model_fields, *EndpointSettings.model_fields))
    raise InvalidSpec(f"an endpoint has no {name}: it has {known}")
