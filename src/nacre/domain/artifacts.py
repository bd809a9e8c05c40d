"""Files of runs and logged models: paths, what lies over what, what a folder shows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from nacre.errors import InvalidSpec
from nacre.schema.launch import FileEntry
from nacre.schema.manifests import path_fault

MAX_PATH = 1024


def check_path(path: str) -> str:
    """The path, when a file may have it.

    Raises:
        InvalidSpec: it is empty, absolute, too long, or has ``.``, ``..``, a backslash or a NUL in it.
    """
    fault = path_fault(path)
    if fault is None and "\\" in path:
        fault = "has a backslash in it: write '/' between folders"
    if fault is None and len(path) > MAX_PATH:
        fault = f"is too long: {MAX_PATH} characters at most"
    if fault is not None:
        raise InvalidSpec(f"the path {path[:200]!r} {fault}", path=path[:200])
    return path


def check_folder(path: str) -> str:
    """The folder without slashes around it; empty for that of everything.

    Raises:
        InvalidSpec: as for :func:`check_path`.
    """
    if path.startswith("/"):
        raise InvalidSpec(f"the path {path[:200]!r} is absolute: it begins below the run's own folder")
    bare = path.rstrip("/")
    return "" if bare in ("", ".") else check_path(bare)


def parents(path: str) -> Iterator[str]:
    """Every folder that the file lies in, the nearest first."""
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def overlay(base: Iterable[FileEntry], above: Iterable[FileEntry]) -> list[FileEntry]:
    """The files of both, sorted by path. Of two of one path the one above is seen; one above also hides a
    folder of its name, and the files that its own folders are named like."""
    top = {entry.path: entry for entry in above}
    folders = {folder for path in top for folder in parents(path)}
    seen = [
        entry
        for entry in base
        if entry.path not in top
        and entry.path not in folders
        and not any(folder in top for folder in parents(entry.path))
    ]
    return sorted((*seen, *top.values()), key=lambda entry: entry.path)


@dataclass(frozen=True)
class Child:
    """What a folder shows: a file with its length, or a folder. ``path`` is from the owner's root."""

    path: str
    size: int | None

    @property
    def folder(self) -> bool:
        """Whether it is a folder."""
        return self.size is None


def children(files: Iterable[FileEntry], folder: str) -> list[Child]:
    """What lies directly in a folder, sorted; nothing when there is no such folder."""
    start = len(folder) + 1 if folder else 0
    found: dict[str, Child] = {}
    for entry in files:
        if folder and not entry.path.startswith(folder + "/"):
            continue
        name, below, _ = entry.path[start:].partition("/")
        path = entry.path[:start] + name
        found.setdefault(path, Child(path, None if below else entry.size))
    return [found[path] for path in sorted(found)]
