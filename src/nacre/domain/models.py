"""Names of models, the files that belong to one, and the framework that they are of. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from nacre.errors import InvalidSpec
from nacre.schema.base import Name
from nacre.schema.launch import FileEntry
from nacre.schema.models import AliasName, ModelName

SIDECAR = ".signature.json"
WEIGHTS = ".data"
"""What ``torch.onnx`` adds to the name of an ONNX file for the weights that it keeps beside it."""
PROGRAM = "predict.py"
"""The file that makes a folder a model of the framework ``custom``."""
REQUIREMENTS = "requirements.txt"
_VERSION = re.compile(r"latest|v?\d+", re.IGNORECASE)
_NAME: TypeAdapter[str] = TypeAdapter(Name)
_MODEL: TypeAdapter[str] = TypeAdapter(ModelName)
_ALIAS: TypeAdapter[str] = TypeAdapter(AliasName)


def check_name(name: str) -> None:
    """Raise unless this can be the name of an endpoint.

    Raises:
        InvalidSpec: it cannot; the sentence says what can.
    """
    _checked(_NAME, name, "name")


def _checked(kind: TypeAdapter[str], value: str, field: str) -> None:
    try:
        kind.validate_python(value)
    except ValidationError as error:
        message = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
        raise InvalidSpec(message, fields=[{"field": field, "message": message}]) from error


def check_model(name: str) -> None:
    """Raise unless this can be the name of a model.

    Raises:
        InvalidSpec: it cannot; the sentence says what can.
    """
    _checked(_MODEL, name, "name")


def check_alias(alias: str) -> None:
    """Raise unless this can be an alias.

    Raises:
        InvalidSpec: it has odd characters, or already names a version.
    """
    _checked(_ALIAS, alias, "alias")
    if _VERSION.fullmatch(alias):
        raise InvalidSpec(f"{alias!r} cannot be an alias: it already names a version")


def job_word(model: str) -> str:
    """A model's name as a part of the name of a job: of the characters that those have."""
    return re.sub(r"[^a-z0-9._-]+", "-", model.lower()).strip("._-")[:40].rstrip("._-") or "model"


class Script(NamedTuple):
    """What a command runs: a file of the code (``train.py``), or a module of it (``pkg.train``)."""

    name: str
    module: bool


def find_script(commands: Sequence[str]) -> Script | None:
    """The training program among a job's commands: the first Python file, or the module after ``-m``."""
    for command in commands:
        try:
            words = shlex.split(command)
        except ValueError:  # a shell reads more than shlex does, such as here-documents
            words = command.split()
        python = False
        for at, word in enumerate(words):
            if word.endswith(".py"):
                return Script(word, module=False)
            python = python or word.rpartition("/")[2].startswith("python")
            if python and word == "-m" and at + 1 < len(words) and "torch.distributed" not in words[at + 1]:
                return Script(words[at + 1], module=True)
    return None


def select_files(files: Sequence[FileEntry], path: str) -> tuple[str, list[FileEntry]]:
    """The files of the artifact at ``path``: a file with its signature and weights beside it, or a whole
    folder; ``.`` is the folder of all of them.

    Returns the entry (the name of the file or folder) and the files, with paths from the entry's parent.

    Raises:
        InvalidSpec: nothing is there; the sentence names what is.
    """
    path = path.strip("/")
    if path in ("", ".") and files:
        return ".", list(files)
    own = (path, path + SIDECAR, path + WEIGHTS)
    chosen = [f for f in files if f.path in own or f.path.startswith(path + "/")]
    if not any(f.path == path or f.path.startswith(path + "/") for f in chosen):
        have = ", ".join(f.path for f in files[:8]) or "none"
        raise InvalidSpec(f"the run has no artifact {path!r}: it has {have}")
    parent = path.rpartition("/")[0]
    skip = len(parent) + 1 if parent else 0
    return path[skip:], [f.model_copy(update={"path": f.path[skip:]}) for f in chosen]


def detect_framework(
    entry: str, files: Sequence[FileEntry], suffixes: Mapping[str, tuple[str, ...]]
) -> str:
    """The framework that the entry's suffix, or a program or SavedModel inside it, tells.

    ``suffixes``: those of each framework's files.

    Raises:
        InvalidSpec: it cannot be told.
    """
    inside = within(entry, files)
    if PROGRAM in inside:
        return "custom"
    if "saved_model.pb" in inside:
        return "tensorflow"
    for framework, endings in suffixes.items():
        if endings and entry.lower().endswith(endings):
            return framework
    known = ", ".join(s for endings in suffixes.values() for s in endings)
    raise InvalidSpec(
        f"cannot tell the framework of {entry!r} ({known}, and folders with a predict.py or a "
        "saved_model.pb are known): give one of these, or name it with nacre model register --framework"
    )


def within(entry: str, files: Sequence[FileEntry]) -> dict[str, FileEntry]:
    """The files of the folder ``entry`` by their paths in it; none when it is a file."""
    prefix = "" if entry == "." else f"{entry}/"
    return {f.path.removeprefix(prefix): f for f in files if f.path.startswith(prefix)}
