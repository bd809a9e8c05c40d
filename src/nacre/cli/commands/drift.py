"""``nacre endpoint drift``."""

from __future__ import annotations

from typing import Annotated

import typer

from nacre.cli.app import client, emit, out, table
from nacre.cli.commands.endpoints import endpoints
from nacre.schema.predictions import Drift, DriftCreate, WorkState

_SHOWN = 10
_MEANING = {
    "stable": "as the training data (below 0.1)",
    "moderate": "a moderate shift (0.1 to 0.25)",
    "drifted": "drifted from the training data (0.25 or more)",
    "unclear": "too few samples to tell",
}


@endpoints.command("drift")
def drift(
    endpoint: Annotated[str, typer.Argument()],
    captured: Annotated[
        str | None, typer.Option("--captured", help="dataset of inputs; what it captured last by default")
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", help="training data; what the model used by default")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="arrays or columns of the reference, with commas")
    ] = None,
    past: Annotated[bool, typer.Option("--list", help="show the reports that there are")] = False,
    wait: Annotated[bool, typer.Option(help="wait for the job's end")] = True,
) -> None:
    """Compare what an endpoint was asked with what its model was trained on."""
    named = [name.strip() for name in features.split(",")] if features else []
    with client() as nacre:
        if past:
            _list(nacre.endpoints.list_drift(endpoint))
            return
        request = DriftCreate(captured=captured, reference=reference, features=named)
        found = nacre.endpoints.drift(endpoint, request)
        if wait:
            found = nacre.endpoints.wait_drift(endpoint, found.id)
    emit(found, lambda: _show(found))
    if found.state == WorkState.FAILED:
        raise typer.Exit(1)


def _list(reports: list[Drift]) -> None:
    def row(one: Drift) -> tuple[str, ...]:
        worst = one.result.worst if one.result else None
        measured = f"{worst.feature} {worst.psi:.4f}" if worst else ""
        said = one.result.verdict if one.result else one.message or ""
        return f"{one.created_at:%Y-%m-%d %H:%M}", one.captured, one.reference, one.state, said, measured

    columns = ("made", "captured", "reference", "state", "verdict", "worst")
    emit(reports, lambda: table(columns, map(row, reports), empty="none yet: nacre endpoint drift NAME"))


def _show(found: Drift) -> None:
    out.print(f"[bold]{found.endpoint}[/bold]: {found.captured} against {found.reference}")
    if found.result is None:
        out.print(f"{found.state} {found.message or ''}".strip(), markup=False)
        out.print(f"see its log: [bold]nacre logs {found.job}[/bold]", style="dim")
        return
    result = found.result
    worst = sorted(result.features, key=lambda one: -one.psi)[:_SHOWN]
    table(("feature", "PSI"), ((one.feature, f"{one.psi:.4f}") for one in worst))
    if len(result.features) > _SHOWN:
        out.print(f"and {len(result.features) - _SHOWN} others below", style="dim")
    counts = f"{result.captured_samples:,} against {result.reference_samples:,} samples"
    out.print(f"{result.verdict}: {_MEANING[result.verdict]}; {counts}", markup=False)
