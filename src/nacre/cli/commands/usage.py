"""``nacre cost``: what was used, what it cost, and what the month will cost."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.markup import escape

from nacre.cli.app import client, emit, group, options, out, table
from nacre.cli.render import when
from nacre.errors import InvalidSpec
from nacre.schema.resources import parse_duration
from nacre.schema.usage import Cost, CostLine, Forecast, money

usage = group("usage", "What was used, apart from money.")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("cost")(cost)
    app.add_typer(usage)


def cost(
    by: Annotated[str, typer.Option(help="any of project,user,kind,day,subject")] = "project,kind",
    since: Annotated[str | None, typer.Option(help="7d, 12h, or a date such as 2026-03-01 (UTC)")] = None,
    until: Annotated[str | None, typer.Option(help="the same")] = None,
    top: Annotated[
        int | None, typer.Option(min=1, max=1000, help="so many lines, the dearest first")
    ] = None,
    forecast: Annotated[bool, typer.Option("--forecast", help="what this month will cost")] = False,
    records: Annotated[bool, typer.Option("--records", help="every allocation of the project")] = False,
) -> None:
    """Show what was used and what it cost, up to now. All your projects, unless -p names one."""
    start, end = moment(since), moment(until)
    with client() as connected:
        if forecast:
            ahead = connected.usage.forecast(project=options.project)
            emit(ahead, lambda: _show_forecast(ahead))
            return
        if records:
            used = connected.usage.list(limit=None, since=start)
            currency = connected.usage.cost().currency
            rows = [
                (
                    record.kind,
                    escape(record.subject_name),
                    record.user,
                    when(record.started_at),
                    hours(record.seconds) if record.ended_at else f"{hours(record.seconds)} …",
                    money(record.price_per_hour, currency),
                    money(record.cost, currency),
                )
                for record in used
            ]
            columns = ("kind", "name", "by", "started", "time", "per hour", "cost")
            emit(used, lambda: table(columns, rows, empty="nothing was used yet"))
            return
        keys = [key.strip() for key in by.split(",") if key.strip()]
        found = connected.usage.cost(keys, since=start, until=end, project=options.project, top=top)
    emit(found, lambda: _show(found, keys))


@usage.command("requests")
def requests(
    since: Annotated[str | None, typer.Option(help="7d, 12h, or a date such as 2026-03-01 (UTC)")] = None,
    until: Annotated[str | None, typer.Option(help="the same")] = None,
) -> None:
    """Show what the project's endpoints answered, day by day."""
    with client() as connected:
        found = connected.usage.requests(since=moment(since), until=moment(until))

    def render() -> None:
        rows = [
            (
                line.day,
                escape(line.endpoint),
                str(line.requests),
                str(line.errors),
                str(line.samples),
                hours(line.seconds),
            )
            for line in found.lines
        ]
        columns = ("day", "endpoint", "requests", "errors", "samples", "request time")
        table(columns, rows, empty="no endpoint answered anything yet")
        if rows:
            out.print(f"[bold]{found.requests} requests, {hours(found.seconds)} of request time[/bold]")

    emit(found, render)


def _show(found: Cost, keys: list[str]) -> None:
    def row(line: CostLine) -> list[str]:
        named = [escape(str(_word(line, key))) for key in keys]
        return [*named, hours(line.seconds), money(line.cost, found.currency)]

    if keys:
        table([*keys, "time", "cost"], [row(line) for line in found.lines], empty="nothing was used yet")
    out.print(f"[bold]total {money(found.total, found.currency)}[/bold]")


def _word(line: CostLine, key: str) -> str | None:
    found: str | None = getattr(line, "subject_name" if key == "subject" else key)
    return found


def _show_forecast(ahead: Forecast) -> None:
    def amount(micros: int) -> str:
        return money(micros, ahead.currency)

    out.print(f"{ahead.month} (UTC) so far: {amount(ahead.spent)}")
    rows = [(amount(guess.total), guess.assumption) for guess in (ahead.by_running, ahead.by_recent)]
    table(("at its end", "if"), rows)
    out.print(f"{ahead.running} running for {amount(ahead.running_per_hour)} an hour", style="dim")


def hours(seconds: float) -> str:
    """A time for people: ``42.0s``, ``3m 20s``, ``5h 07m``."""
    whole = round(seconds)
    if seconds < 60:
        return f"{seconds:.1f}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    return f"{whole // 3600}h {whole % 3600 // 60:02}m"


def moment(text: str | None) -> datetime | None:
    """A date, a time, or how long ago; a time without a zone is UTC.

    Raises:
        InvalidSpec: it is none of them.
    """
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except ValueError:
        pass
    try:
        return datetime.now(UTC) - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        raise InvalidSpec(f"{text!r} is no time: write 7d, 12h or 2026-03-01") from None
