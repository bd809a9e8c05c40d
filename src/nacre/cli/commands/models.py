"""``nacre model …``."""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError
from rich.markup import escape

from nacre.cli.app import as_json, client, emit, err, group, out, table
from nacre.errors import InvalidSpec
from nacre.schema.models import (
    ConversionState,
    Evaluation,
    EvaluationState,
    Model,
    ModelCreate,
    ModelRegister,
    ModelUpdate,
    ModelVersion,
    VersionUpdate,
)
from nacre.schema.serving import Signature, TensorSpec
from nacre.sdk.client import Client

T = TypeVar("T", bound=BaseModel)
models = group("model", "Models: register, look at, download.")
_INPUT = re.compile(r"\s*(\w[\w.-]*)\s*:\s*(\w+)\s*\[\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*\]\s*")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.add_typer(models)


def split_reference(text: str) -> tuple[str, str]:
    """``name``, ``name/3`` or ``name@alias`` → (name, version). A name may hold ``@`` before ``/3``."""
    bare = re.sub(r"^models:/", "", text)
    name, mark, version = bare.partition("/") if "/" in bare else _at_the_last(bare)
    if mark and not version:
        raise InvalidSpec(f"{text!r} is not a model version: write name/3 or name@alias")
    return name, version or "latest"


def _at_the_last(text: str) -> tuple[str, str, str]:
    name, mark, alias = text.rpartition("@")
    return (name, mark, alias) if name else (text, "", "")


def parse_input(text: str) -> TensorSpec:
    """``x:FP32[-1,1,28,28]`` → a tensor specification."""
    match = _INPUT.fullmatch(text)
    if match is None:
        raise InvalidSpec(f"{text!r} is not an input: write it like x:FP32[-1,1,28,28]")
    shape = [int(n) for n in match[3].split(",")]
    try:
        return TensorSpec.model_validate({"name": match[1], "datatype": match[2].upper(), "shape": shape})
    except ValueError as error:
        raise InvalidSpec(
            f"{match[2]!r} is no datatype: use FP32, FP64, INT64, UINT8, BOOL, BYTES, …"
        ) from error


def checked(kind: type[T], fields: dict[str, Any]) -> T:
    """A request from options.

    Raises:
        InvalidSpec: an option has a value that it cannot have.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        words = [str(part) for part in first["loc"] if isinstance(part, str)]
        where = words[-1] if len(words) > 1 else f"--{words[0]}" if words else "the request"
        raise InvalidSpec(f"{where}: {str(first['msg']).removeprefix('Value error, ')}") from error


def signature_text(signature: Signature | None) -> str:
    """``x: FP32[-1,1,8,8] → y: FP32[-1,10]``."""
    if signature is None:
        return "not known yet"

    def side(tensors: list[TensorSpec]) -> str:
        return ", ".join(f"{t.name}: {t.datatype}[{','.join(map(str, t.shape))}]" for t in tensors)

    return f"{side(signature.inputs)} → {side(signature.outputs)}"


@models.command("register")
def register_version(
    source: Annotated[str, typer.Argument(metavar="RUN:PATH", help="a run (or job) and its artifact")],
    name: Annotated[str, typer.Option("--name", "-n")],
    framework: Annotated[str | None, typer.Option(help="pytorch, keras, tensorflow, sklearn, onnx")] = None,
    environment: Annotated[str | None, typer.Option(help="to convert in; the run's own by default")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="x:FP32[-1,1,28,28] where the file does not tell")
    ] = None,
    alias: Annotated[str | None, typer.Option()] = None,
    message: Annotated[str, typer.Option("--message", "-m")] = "",
    wait: Annotated[bool, typer.Option(help="wait for the conversion to ONNX")] = True,
) -> None:
    """Register an artifact of a run as the next version of a model, and convert it to ONNX."""
    run, _, path = source.partition(":")
    request: dict[str, Any] = {
        "run": run,
        "path": path or None,
        "framework": framework,
        "environment": environment,
        "inputs": [parse_input(i).model_dump() for i in inputs] if inputs else None,
        "alias": alias,
        "description": message,
    }
    with client() as nacre:
        version = nacre.models.register(name, checked(ModelRegister, request))
        if wait:
            version = _follow(nacre, version)
    emit(version, lambda: _show_version(version))
    if version.conversion == ConversionState.FAILED:
        raise typer.Exit(1)


def _follow(nacre: Client, version: ModelVersion) -> ModelVersion:
    if not as_json():
        err.print(
            f"[dim]{version.model}/{version.number} is being converted to ONNX "
            f"(job {version.conversion_job}) …[/dim]"
        )
    return nacre.models.wait(version.model, str(version.number))


def _show_version(version: ModelVersion) -> None:
    aliases = f" ({', '.join(version.aliases)})" if version.aliases else ""
    named = f"[bold]{escape(version.model)}/{version.number}[/bold]{aliases}"
    out.print(f"{named}  {version.framework}, {version.size:,} bytes")
    if version.description:
        out.print(f"  {version.description}", markup=False)
    if version.tags:
        out.print(f"  tags       {_tags(version.tags)}", markup=False)
    state = version.conversion if version.message is None else f"{version.conversion}: {version.message}"
    out.print(f"  ONNX       {state}")
    out.print(f"  signature  {signature_text(version.signature)}", markup=False)
    lineage = version.lineage
    if lineage.run:
        out.print(f"  from       {lineage.job or lineage.run}:{lineage.path}", markup=False)
    for name, reference in lineage.data.items():
        out.print(f"  data       {name} = {reference}")
    if lineage.environment:
        out.print(f"  environment {lineage.environment} {(lineage.environment_digest or '')[:12]}")
    for evaluation in version.evaluations:
        out.print(f"  evaluation {summary(evaluation)}")
    if version.conversion == ConversionState.READY:
        out.print(f"next: [bold]nacre deploy {version.model} --name {version.model}[/bold]", style="dim")


def _tags(tags: dict[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in tags.items())


def summary(evaluation: Evaluation) -> str:
    """What an evaluation measured, in a line."""
    if evaluation.state != EvaluationState.SUCCEEDED:
        return f"{evaluation.data}: {evaluation.state} {evaluation.message or ''}"
    return (
        f"{evaluation.data}: accuracy {evaluation.accuracy:.4f}, precision {evaluation.precision:.4f}, "
        f"recall {evaluation.recall:.4f}, F1 {evaluation.f1:.4f} ({evaluation.samples} samples)"
    )


@models.command("ls")
def list_models() -> None:
    """List models."""
    with client() as nacre:
        found = nacre.models.list()
    emit(
        found,
        lambda: table(
            ("model", "versions", "aliases", "latest", "framework"),
            (
                (
                    m.name,
                    len(m.versions),
                    ", ".join(f"{a}→{n}" for a, n in m.aliases.items()),
                    f"{m.latest.number} ({m.latest.conversion})" if m.latest else "",
                    m.latest.framework if m.latest else "",
                )
                for m in found
            ),
            empty="no models yet: nacre model register RUN:model.pt --name NAME",
        ),
    )


@models.command("versions")
def list_versions(model: Annotated[str, typer.Argument()]) -> None:
    """List a model's versions and what their latest evaluation measured."""
    with client() as nacre:
        found = nacre.models.list_versions(model)

    emit(
        found,
        lambda: table(
            ("version", "aliases", "framework", "bytes", "ONNX", "accuracy"),
            (
                (
                    v.number,
                    ", ".join(v.aliases),
                    v.framework,
                    f"{v.size:,}",
                    v.conversion,
                    _latest_accuracy(v),
                )
                for v in found
            ),
            empty=f"no versions yet: nacre model register RUN:PATH --name {model}",
        ),
    )


def _latest_accuracy(version: ModelVersion) -> str:
    measured = (f"{e.accuracy:.4f} on {e.data}" for e in version.evaluations if e.accuracy is not None)
    return next(measured, "")


@models.command("show")
def show(
    model: Annotated[str, typer.Argument(help="name, name/3 or name@alias")],
    wait: Annotated[bool, typer.Option("--wait", help="wait for the conversion")] = False,
) -> None:
    """Show a version, its lineage and its evaluations."""
    name, version = split_reference(model)
    with client() as nacre:
        whole = nacre.models.get(name) if version == "latest" else None
        if whole is not None and not whole.versions:
            emit(whole, lambda: _show_model(whole))
            return
        found = nacre.models.wait(name, version) if wait else nacre.models.get_version(name, version)

    def render() -> None:
        if whole is not None and (whole.description or whole.tags):
            _show_model(whole)
        _show_version(found)

    emit(found, render)


def _show_model(model: Model) -> None:
    said = "" if model.versions else "  no versions yet: nacre model register RUN:PATH --name NAME"
    out.print(f"[bold]{escape(model.name)}[/bold]{said}")
    if model.description:
        out.print(f"  {model.description}", markup=False)
    if model.tags:
        out.print(f"  tags       {_tags(model.tags)}", markup=False)


@models.command("create")
def create(
    name: Annotated[str, typer.Argument()],
    message: Annotated[str, typer.Option("--message", "-m", help="what it is for")] = "",
    tags: Annotated[list[str] | None, typer.Option("--tag", help="KEY=VALUE")] = None,
) -> None:
    """Make a model that has no version yet; registering a version makes its model too."""
    request = checked(ModelCreate, {"name": name, "description": message, "tags": _parse_tags(tags)})
    with client() as nacre:
        found = nacre.models.create(name, description=request.description, tags=request.tags)
    emit(found, lambda: _show_model(found))


@models.command("update")
def update(
    model: Annotated[str, typer.Argument(help="name, or a version: name/3 or name@alias")],
    message: Annotated[str | None, typer.Option("--message", "-m", help="a new description")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="KEY=VALUE to set")] = None,
    untag: Annotated[list[str] | None, typer.Option("--untag", help="KEY to remove")] = None,
    rename: Annotated[str | None, typer.Option("--rename", help="a new name of the model")] = None,
) -> None:
    """Describe, tag or rename a model, or describe or tag a version."""
    fields: dict[str, Any] = {"tags": {**_parse_tags(tags), **dict.fromkeys(untag or [])}}
    if message is not None:
        fields["description"] = message
    name, version = split_reference(model)
    with client() as nacre:
        if name == re.sub(r"^models:/", "", model):
            if rename is not None:
                fields["name"] = rename
            changed = nacre.models.update(name, checked(ModelUpdate, fields))
            emit(changed, lambda: _show_model(changed))
            return
        if rename is not None:
            raise InvalidSpec("a version has no name of its own: rename the model")
        found = nacre.models.update_version(name, version, checked(VersionUpdate, fields))
        emit(found, lambda: _show_version(found))


def _parse_tags(tags: list[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in tags or []:
        key, mark, value = text.partition("=")
        if not key or not mark:
            raise InvalidSpec(f"{text!r} is not a tag: write KEY=VALUE")
        found[key] = value
    return found


@models.command("convert")
def convert(model: Annotated[str, typer.Argument()]) -> None:
    """Convert a version to ONNX again, after it failed."""
    name, version = split_reference(model)
    with client() as nacre:
        found = _follow(nacre, nacre.models.convert(name, version))
    emit(found, lambda: _show_version(found))
    if found.conversion == ConversionState.FAILED:
        raise typer.Exit(1)


@models.command("alias")
def alias(
    model: Annotated[str, typer.Argument(help="name/3")],
    name: Annotated[str, typer.Argument(metavar="ALIAS")],
) -> None:
    """Point an alias at a version."""
    with client() as nacre:
        target = nacre.models.get_version(*split_reference(model))
        found = nacre.models.set_alias(target.model, name, target.number)
    emit(found, lambda: out.print(f"{found.name}@{name} is now {found.name}/{target.number}"))


@models.command("unalias")
def unalias(model: Annotated[str, typer.Argument(metavar="MODEL@ALIAS")]) -> None:
    """Delete an alias; the version stays."""
    name, version = split_reference(model)
    with client() as nacre:
        nacre.models.delete_alias(name, version)
    emit({"deleted": model}, lambda: out.print(f"{model} is gone; the version stays"))


@models.command("delete")
def delete(
    model: Annotated[str, typer.Argument(help="a version (name/3), or the whole model (name)")],
    yes: Annotated[bool, typer.Option("--yes", "-y")] = False,
) -> None:
    """Delete a version, or a model with every version."""
    name, version = split_reference(model)
    whole = version == "latest" and "/" not in model and "@" not in model
    what = f"model {name} with all its versions" if whole else f"{name}/{version} with its evaluations"
    if not yes:
        typer.confirm(f"Delete {what}?", abort=True)
    with client() as nacre:
        if whole:
            nacre.models.delete(name)
        else:
            nacre.models.delete_version(name, version)
    emit({"deleted": model}, lambda: out.print(f"deleted {what}"))
