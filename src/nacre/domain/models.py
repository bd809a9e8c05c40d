"""Which framework a model's files are of, and which of them belong to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from nacre.errors import InvalidSpec
from nacre.schema.launch import FileEntry

SIDECAR = ".signature.json"


def select_files(files: Sequence[FileEntry], path: str) -> tuple[str, list[FileEntry]]:
    """The files of the artifact at ``path``: a file with its signature beside it, or a whole folder.

    Returns the entry (the name of the file or folder) and the files, with paths from the entry's parent.

    Raises:
        InvalidSpec: nothing is there; the sentence names what is.
    """
    path = path.strip("/")
    chosen = [f for f in files if f.path in (path, path + SIDECAR) or f.path.startswith(path + "/")]
    if not any(f.path != path + SIDECAR for f in chosen):
        have = ", ".join(f.path for f in files[:8]) or "none"
        raise InvalidSpec(f"the run has no artifact {path!r}: it has {have}")
    parent = path.rpartition("/")[0]
    skip = len(parent) + 1 if parent else 0
    return path[skip:], [f.model_copy(update={"path": f.path[skip:]}) for f in chosen]


def detect_framework(
    entry: str, files: Sequence[FileEntry], suffixes: Mapping[str, tuple[str, ...]]
) -> str:
    """The framework that the entry's suffix, or a SavedModel inside it, tells.

    ``suffixes``: those of each framework's files.

    Raises:
        InvalidSpec: it cannot be told.
    """
    if any(f.path.endswith("/saved_model.pb") for f in files):
        return "tensorflow"
    for framework, endings in suffixes.items():
        if endings and entry.lower().endswith(endings):
            return framework
    known = ", ".join(s for endings in suffixes.values() for s in endings)
    raise InvalidSpec(
        f"cannot tell the framework of {entry!r} ({known} are known): name it with --framework"
    )
