"""``nacre model pull``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nacre.cli.app import client, emit, out
from nacre.cli.commands.models import models, split_reference
from nacre.errors import RequestError
from nacre.schema.launch import FileEntry
from nacre.sdk.pull import pull_files


@models.command("pull")
def pull(
    model: Annotated[str, typer.Argument(help="name, name/3 or name@alias")],
    folder: Annotated[
        Path, typer.Argument(help="where to; default: a folder of the model's name")
    ] = Path(),
    onnx: Annotated[bool, typer.Option("--onnx", help="the converted form instead")] = False,
    force: Annotated[bool, typer.Option("--force", help="write into a folder that holds files")] = False,
    archive: Annotated[
        Path | None,
        typer.Option("--zip", metavar="FILE", help="all files and the ONNX form as one ZIP instead"),
    ] = None,
) -> None:
    """Download a version's files."""
    name, version = split_reference(model)
    if archive is not None:
        _pull_archive(name, version, archive, force=force)
        return
    folder = folder if folder != Path() else Path(name)
    with client() as nacre:
        found = nacre.models.files(name, version)
        wanted: list[FileEntry] = list(found.files)
        if onnx:
            if found.onnx is None:
                raise RequestError(
                    f"{name}/{found.version.number} has no ONNX form: {found.version.conversion}"
                )
            wanted = [found.onnx]
        pull_files(nacre.transport, nacre.project, found.version.manifest, wanted, folder, force=force)

    def render() -> None:
        for entry in wanted:
            out.print(f"{folder / entry.path}  {entry.size:,} bytes")

    emit(found, render)


def _pull_archive(name: str, version: str, target: Path, *, force: bool) -> None:
    """A ZIP that is whole, or none: it gets its name when its last byte is there."""
    if target.exists() and not force:
        raise RequestError(f"{target} is there already: choose another name, or --force")
    partial = target.with_name(f".{target.name}.part")
    try:
        with client() as nacre, partial.open("wb") as stream:
            size = nacre.models.archive(name, version, stream)
        partial.replace(target)
    except OSError as error:
        raise RequestError(f"cannot write {target}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)
    emit({"file": str(target), "size": size}, lambda: out.print(f"{target}  {size:,} bytes", markup=False))
