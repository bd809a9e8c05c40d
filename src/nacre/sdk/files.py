"""The files of a folder as they are pushed: what is there, and whether it stayed as it was."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nacre.errors import Conflict, InvalidSpec, NotFound

Skip = Callable[[str, bool], bool]
"""``skip(relative path, is a folder)``: whether to leave it out."""


@dataclass(frozen=True)
class LocalFile:
    """A file, its path in the manifest, and the marks by which a change is noticed."""

    path: Path
    name: str
    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    executable: bool

    @classmethod
    def look(cls, path: Path, name: str) -> LocalFile:
        """The file as it is now.

        Raises:
            NotFound: there is none.
            InvalidSpec: it is not a regular file.
        """
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"there is no file {path}") from None
        except OSError as error:
            raise InvalidSpec(f"{path} cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(found.st_mode):
            raise InvalidSpec(f"{path} is not a file: only files and folders can be pushed", path=str(path))
        executable = bool(found.st_mode & 0o100)
        times = (found.st_mtime_ns, found.st_ctime_ns)
        return cls(path, name, found.st_size, *times, found.st_ino, executable)

    def changed(self) -> Conflict:
        """The error that says that somebody wrote to it."""
        return Conflict(
            f"{self.name} changed while it was being pushed, so nothing was committed: push again when "
            "nothing writes to it",
            path=self.name,
        )

    def check(self) -> None:
        """Raise ``Conflict`` when the file is not as it was."""
        try:
            same = LocalFile.look(self.path, self.name) == self
        except (NotFound, InvalidSpec):
            same = False
        if not same:
            raise self.changed()


def look_at(pairs: Iterable[tuple[Path, str]]) -> list[LocalFile]:
    """The files of (path, name in the manifest) pairs."""
    return [LocalFile.look(path, name) for path, name in pairs]


def walk(root: Path, *, skip: Skip | None = None, special: bool = False) -> Iterator[LocalFile]:
    """Every file below a folder, links followed as long as they stay inside it.

    Args:
        skip: leaves files and whole folders out, before they are looked at.
        special: pass over sockets, pipes and devices instead of refusing them.

    Raises:
        InvalidSpec: a link leaves the folder, leads nowhere or in a circle; a name is not UTF-8; a folder
            cannot be read.
    """
    real = os.path.realpath(root)
    yield from _walk(Path(real), "", (real,), skip or (lambda _path, _folder: False), special)


def _walk(
    folder: Path, prefix: str, chain: tuple[str, ...], skip: Skip, special: bool
) -> Iterator[LocalFile]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidSpec(f"the folder {folder} cannot be read: {error.strerror}") from error
    for entry in entries:
        name = prefix + entry.name
        try:
            name.encode()
        except UnicodeEncodeError:
            raise InvalidSpec(f"the name {os.fsencode(name)!r} is not UTF-8: rename the file") from None
        is_folder = entry.is_dir()
        if skip(name, is_folder):
            continue
        path = Path(entry.path)
        if entry.is_symlink():
            path = Path(_inside(path, name, chain[0]))
        if is_folder:
            real = os.path.realpath(path)
            if real in chain:
                raise InvalidSpec(f"the link {name} leads in a circle: remove it", path=name)
            yield from _walk(Path(real), name + "/", (*chain, real), skip, special)
        elif entry.is_file():
            yield LocalFile.look(path, name)
        elif not special:
            raise InvalidSpec(f"{name} is a socket, pipe or device: only files can be pushed", path=name)


def _inside(path: Path, name: str, root: str) -> str:
    try:
        real = os.path.realpath(path, strict=True)
    except OSError:
        raise InvalidSpec(
            f"the link {name} leads nowhere (to {path.readlink()}): remove it or put the file there",
            path=name,
        ) from None
    if real != root and not real.startswith(root.rstrip("/") + "/"):
        raise InvalidSpec(
            f"the link {name} leads out of the folder, to {real}: copy what it names into the folder, or "
            "leave the link out",
            path=name,
        )
    return real
