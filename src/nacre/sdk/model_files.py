"""The files of a model on this machine: a file with what lies beside it, or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nacre.errors import InvalidSpec, NotFound
from nacre.sdk.files import LocalFile, walk

SUFFIXES = (".onnx", ".keras", ".h5", ".pt2", ".pt", ".pth", ".skops", ".joblib", ".pkl", ".pickle")
_WHOLE = ("predict.py", "MLmodel", "saved_model.pb")
"""Each of them makes a folder one model."""
_BESIDE = (".signature.json", ".data")
"""What may lie beside a file: its signature, and the weights that torch.onnx keeps apart."""


@dataclass(frozen=True)
class ModelOnDisk:
    """``entry``: the model among the files, or ``.`` for the folder of all of them. ``name``: of the file,
    without its suffix, or of the folder."""

    name: str
    entry: str
    files: list[LocalFile]


def find_model(path: Path) -> ModelOnDisk:
    """What there is to send of a model.

    Raises:
        NotFound: there is nothing at ``path``.
        InvalidSpec: a folder that is no model, or holds several.
    """
    if path.is_file():
        return _file(path.resolve(), path.stem)
    if not path.is_dir():
        raise NotFound(f"there is no file or folder {path}")
    folder = path.resolve()
    if any((folder / name).is_file() for name in _WHOLE):
        files = list(walk(folder, skip=_by_the_way))
        return ModelOnDisk(folder.name, ".", files)
    models = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in SUFFIXES)
    if len(models) != 1:
        raise InvalidSpec(f"{path} {_fault(models)}")
    return _file(models[0], folder.name)


def _file(path: Path, name: str) -> ModelOnDisk:
    beside = [path.with_name(path.name + ending) for ending in _BESIDE]
    files = [LocalFile.look(p, p.name) for p in [path, *(p for p in beside if p.is_file())]]
    return ModelOnDisk(name, path.name, files)


def _fault(models: Sequence[Path]) -> str:
    if models:
        return f"holds several models ({', '.join(p.name for p in models[:5])}): name one of them"
    return (
        f"is not a model: no {', no '.join(_WHOLE)} in it, and no file that ends with {', '.join(SUFFIXES)}"
    )


def _by_the_way(path: str, folder: bool) -> bool:
    """Hidden things and what Python leaves behind."""
    name = path.rpartition("/")[2]
    return name.startswith(".") or (folder and name == "__pycache__")
