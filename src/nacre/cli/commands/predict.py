"""``nacre predict``: ask an endpoint once, or a model for a whole dataset."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from nacre.cli.app import as_json, client, emit, err, out, table
from nacre.cli.commands.endpoints import endpoints
from nacre.cli.commands.models import checked, split_reference
from nacre.errors import InvalidSpec, RequestError
from nacre.schema.predictions import Batch, BatchCreate, WorkState
from nacre.sdk.inference import build_request


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("predict")(predict)


def predict(
    endpoint: Annotated[str | None, typer.Argument(help="none with --model")] = None,
    file: Annotated[
        str | None,
        typer.Argument(help="JSON: a nested list, an object by input, or a v2 request; - reads stdin"),
    ] = None,
    via_server: Annotated[
        bool,
        typer.Option("--via-server", help="through the API, where the endpoint's own URL is not reached"),
    ] = False,
    data: Annotated[
        str | None, typer.Option("--data", help="ask for every sample of this dataset, as a job")
    ] = None,
    into: Annotated[
        str | None, typer.Option("--out", help="the dataset that gets the answers as its next version")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="name, name/3 or name@alias, instead of an endpoint")
    ] = None,
    features: Annotated[
        str | None, typer.Option(help="arrays or columns for the model's inputs, with commas")
    ] = None,
    form: Annotated[str, typer.Option("--format", help="parquet or npz")] = "parquet",
    type_name: Annotated[str | None, typer.Option("--type", help="instance type of the job")] = None,
    wait: Annotated[bool, typer.Option(help="wait for the job's end")] = True,
) -> None:
    """Ask an endpoint; or, with --data and --out, its model for a whole dataset."""
    if data is None and model is None and into is None:
        _ask(endpoint, file, via_server=via_server)
        return
    if data is None or into is None:
        raise InvalidSpec("predictions for a dataset need --data DATASET and --out DATASET")
    if file is not None:
        raise InvalidSpec("give a file, or --data: not both")
    request: dict[str, Any] = {"data": data, "out": into, "format": form, "type": type_name}
    request["features"] = [name.strip() for name in features.split(",")] if features else []
    if model is not None:
        request["model"], request["version"] = split_reference(model)
    if endpoint is not None:
        request["endpoint"] = endpoint
    with client() as nacre:
        found = nacre.endpoints.batch(checked(BatchCreate, request))
        if wait:
            if not as_json():
                err.print(
                    f"[dim]{found.model}/{found.version} answers for {found.data} (job {found.job}) …[/dim]"
                )
            found = nacre.endpoints.wait_batch(found.id)
    emit(found, lambda: _show(found))
    if found.state == WorkState.FAILED:
        raise typer.Exit(1)


def _ask(endpoint: str | None, file: str | None, *, via_server: bool) -> None:
    if endpoint is None or file is None:
        raise InvalidSpec("name an endpoint and a file with its input, or --data and --out")
    try:
        content = json.loads(sys.stdin.read() if file == "-" else Path(file).read_text())
    except OSError as error:
        raise RequestError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        name = "the standard input" if file == "-" else file
        raise InvalidSpec(f"{name} is not JSON: {error}") from error
    with client() as nacre:
        found = nacre.endpoints.get(endpoint)
        signature = found.signature
        if signature is None and not any(one.answering for one in found.revisions):
            raise RequestError(f"endpoint {endpoint} is {found.state}: it has no signature yet")
        if signature is None and (signature := nacre.endpoints.signature(found)) is None:
            if via_server:
                raise RequestError(f"endpoint {endpoint} has code of its own: leave out --via-server")
            for text in nacre.endpoints.ask_code(found, content):
                sys.stdout.write(text)
                sys.stdout.flush()
            sys.stdout.write("\n")
            return
        request = build_request(signature, content)
        if via_server:
            answer = nacre.endpoints.predict(endpoint, request["inputs"]).model_dump(exclude_none=True)
        else:
            answer = nacre.endpoints.infer(found, request)

    def render() -> None:
        for tensor in answer["outputs"]:
            out.print(f"{tensor['name']}: {tensor['datatype']}{tensor['shape']}", markup=False)
            out.print(json.dumps(tensor["data"]), markup=False)

    emit(answer, render)


def _show(found: Batch) -> None:
    said = f"[bold]{found.model}/{found.version}[/bold] for {found.data}: "
    if found.state == WorkState.SUCCEEDED:
        out.print(f"{said}{found.samples:,} samples in [bold]{found.result}[/bold]")
        out.print(f"next: [bold]nacre data pull {found.result}[/bold]", style="dim")
        return
    out.print(f"{said}{found.state} {found.message or ''}")
    out.print(f"see its log: [bold]nacre logs {found.job}[/bold]", style="dim")


@endpoints.command("batches")
def list_batches() -> None:
    """List predictions for datasets, newest first."""
    with client() as nacre:
        found = nacre.endpoints.list_batches()
    emit(
        found,
        lambda: table(
            ("model", "data", "into", "state", "samples", "job"),
            (
                (
                    f"{b.model}/{b.version}",
                    b.data,
                    b.result or b.out,
                    b.state if b.message is None else f"{b.state}: {b.message}",
                    "" if b.samples is None else f"{b.samples:,}",
                    b.job,
                )
                for b in found
            ),
            empty="none yet: nacre predict ENDPOINT --data DATASET --out DATASET",
        ),
    )
