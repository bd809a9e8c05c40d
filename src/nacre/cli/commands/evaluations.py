"""``nacre evaluate``."""

from __future__ import annotations

from typing import Annotated

import typer

from nacre.cli.app import client, emit, out, table
from nacre.cli.commands.models import split_reference, summary
from nacre.schema.models import Evaluation, EvaluationCreate, EvaluationState


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(help="name, name/3 or name@alias")],
    data: Annotated[str, typer.Option("--data", help="a dataset, such as digits-test@1")],
    features: Annotated[str | None, typer.Option(help="array with the samples")] = None,
    label: Annotated[str | None, typer.Option(help="array or column with the labels")] = None,
    wait: Annotated[bool, typer.Option(help="wait for the result")] = True,
) -> None:
    """Measure a model version on a dataset: accuracy, macro precision, recall, F1, confusion matrix."""
    name, version = split_reference(model)
    request = EvaluationCreate(data=data, features=features, label=label)
    with client() as nacre:
        found_version = (
            nacre.models.wait(name, version) if wait else nacre.models.get_version(name, version)
        )
        found = nacre.evaluations.create(name, str(found_version.number), request)
        if wait:
            found = nacre.evaluations.wait(found.id)
    emit(found, lambda: _show_evaluation(found))
    if found.state == EvaluationState.FAILED:
        raise typer.Exit(1)


def _show_evaluation(found: Evaluation) -> None:
    out.print(f"[bold]{found.model}/{found.version}[/bold] on {summary(found)}")
    if found.labels and found.confusion and len(found.labels) <= 30:
        table(
            ("truth", *found.labels),
            (
                (label, *(n or "·" for n in row))
                for label, row in zip(found.labels, found.confusion, strict=True)
            ),
        )
        out.print("rows: the truth; columns: what the model called it", style="dim")
    if found.state == EvaluationState.FAILED:
        out.print(f"see its log: [bold]nacre logs {found.job}[/bold]", style="dim")
