"""``nacre model export``."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from nacre.cli.app import client, emit, out
from nacre.cli.commands.models import models, split_reference
from nacre.errors import InvalidSpec, RequestError
from nacre.schema.models import ExportLayout
from nacre.sdk.archives import unpack

_LOADED_BY = {
    "triton": "tritonserver --model-repository {folder}",
    "tfserving": "tensorflow_model_server --model_name={name} --model_base_path={base}",
    "mlflow": "mlflow models serve --model-uri {version}",
}


@models.command("export")
def export(
    model: Annotated[str, typer.Argument(help="name, name/3 or name@alias")],
    layout: Annotated[str, typer.Option("--layout", help="triton, tfserving or mlflow")],
    folder: Annotated[Path, typer.Option("--out", help="folder; versions may be added to what is there")],
) -> None:
    """Write a version as the model repository that Triton, TensorFlow Serving or MLflow loads."""
    if layout not in _LOADED_BY:
        raise InvalidSpec(f"{layout!r} is no layout: use {', '.join(_LOADED_BY)}")
    chosen: ExportLayout = layout  # type: ignore[assignment]
    name, version = split_reference(model)
    with client() as nacre:
        found = nacre.models.get_version(name, version)
        base = folder / found.model
        target = base / str(found.number)
        if target.exists():
            raise RequestError(f"{target} is there already: remove it first, or choose another folder")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".nacre-export-", dir=folder) as temporary:
            archive, unpacked = Path(temporary) / "tree.zip", Path(temporary) / "tree"
            with archive.open("wb") as stream:
                nacre.models.export(name, str(found.number), chosen, stream)
            unpack(archive, unpacked)
            _move(unpacked / found.model, base)
    files = sorted(str(p) for p in [*base.glob("*.pbtxt"), *target.rglob("*")] if p.is_file())

    def render() -> None:
        for file in files:
            out.print(file, markup=False)
        command = _LOADED_BY[layout].format(folder=folder, name=name, base=base.resolve(), version=target)
        out.print(f"load it with: {command}", style="dim", markup=False)

    emit({"folder": str(folder), "files": files}, render)


def _move(source: Path, target: Path) -> None:
    """Everything in ``source`` into ``target``; the version's folder as a whole, last."""
    target.mkdir(exist_ok=True)
    for item in sorted(source.iterdir(), key=Path.is_dir):
        item.replace(target / item.name)
