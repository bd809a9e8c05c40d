"""Finds TensorBoard's event files below the folders of a command, and reads what is added to them.

The command owns these folders: links are not followed, and what is no plain file of its own is left alone.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterator
from typing import Any

from nacre.sdk.tfevents import Scalar, is_event_file, parse

_MOST_DEPTH, _MOST_ENTRIES, _MOST_FILES = 8, 20_000, 200
_CHUNK = 2**20
_SCAN_MIN_S, _SCAN_MAX_S = 2.0, 60.0
_SPLITS = frozenset(("train", "training", "validation", "valid", "val", "eval", "evaluation", "test"))
_PASSED = frozenset((".git", "node_modules", "__pycache__", ".venv", "venv", "site-packages"))


class _File:
    def __init__(self, fd: int, folder: str, offset: int) -> None:
        self.fd = fd
        self.folder = folder
        self.offset = offset
        self.ready = offset  # how far it had been written at the look before
        self.damaged = False


class EventFiles:
    """The event files of one attempt."""

    def __init__(
        self, roots: list[str], owners: set[int], since_s: float, state: dict[str, Any] | None
    ) -> None:
        """Look below ``roots`` for files of these users; leave out what was written before ``since_s``,
        such as files that came with the code. ``state``: of another one, to go on from there."""
        state = state or {}
        self._roots = roots
        self._owners = owners
        self._since_s = since_s
        self._base: str | None = state.get("base")
        self._prefixes: dict[str, str] = dict(state.get("prefixes") or {})
        self._read: dict[str, int] = dict(state.get("read") or {})
        self._files: dict[str, _File] = {}
        self._scan_at = 0.0

    def state(self) -> dict[str, Any]:
        """What another one needs to go on."""
        read = self._read | {name: file.offset for name, file in self._files.items()}
        return {"base": self._base, "prefixes": self._prefixes, "read": read}

    def look(self, *, now: bool = False) -> None:
        """Look for new files, when it is time or ``now``; what was written until here may be read."""
        if now or time.monotonic() >= self._scan_at:
            began = time.monotonic()
            self._scan()
            took = time.monotonic() - began
            self._scan_at = began + min(_SCAN_MAX_S, max(_SCAN_MIN_S, 200 * took))
        for file in self._files.values():
            size = os.fstat(file.fd).st_size
            if size < file.offset:  # it was begun anew
                file.offset, file.damaged = 0, False
            file.ready = size

    def read(self) -> Iterator[tuple[str, Scalar]]:
        """Key and point of what had been written at the last look."""
        for name, file in list(self._files.items()):
            yield from self._new(file)
            facts = os.fstat(file.fd)
            if facts.st_nlink == 0 and file.offset >= facts.st_size:
                os.close(file.fd)
                self._read[name] = file.offset
                del self._files[name]

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            os.close(file.fd)
        self._files.clear()

    def _new(self, file: _File) -> Iterator[tuple[str, Scalar]]:
        waiting = b""
        while not file.damaged:
            at = file.offset + len(waiting)
            data = os.pread(file.fd, min(_CHUNK, max(0, file.ready - at)), at)
            if not data:
                return
            found, used, file.damaged = parse(waiting + data)
            for scalar in found:
                key = self._key(file.folder, scalar.tag)
                if key and scalar.time_s >= self._since_s:
                    yield key, scalar
            waiting = (waiting + data)[used:]
            file.offset += used

    def _key(self, folder: str, tag: str) -> str:
        words = "".join(c for c in tag if c.isprintable())
        if not words:
            return ""
        prefix = "".join(c for c in self._prefix(folder) if c.isprintable())
        return (f"{prefix}/{words}" if prefix else words)[:250]

    def _prefix(self, folder: str) -> str:
        """What the keys of a folder begin with: nothing for the first writer's, the way from there or from
        what both lie in for the others'. It never changes, so neither do the names of curves."""
        found = self._prefixes.get(folder)
        if found is None:
            parent, _, last = folder.rpartition("/")
            if self._base is None:
                self._base = parent if last.lower() in _SPLITS else folder
            common = os.path.commonpath([self._base, folder])
            found = self._prefixes[folder] = "" if folder == common else os.path.relpath(folder, common)
        return found

    def _scan(self) -> None:
        found: list[tuple[str, str, int]] = []
        budget = [_MOST_ENTRIES]
        for root in self._roots:
            with contextlib.suppress(OSError):
                fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                self._walk(fd, root, 0, budget, found)
        found.sort(key=lambda entry: (_stamp(entry[1]), entry[0]))  # the first writer's folder first
        for folder, name, fd in found:
            identity = f"{os.fstat(fd).st_ino}:{folder}/{name}"
            self._prefix(folder)
            self._files[identity] = _File(fd, folder, self._read.pop(identity, 0))

    def _walk(
        self, fd: int, path: str, depth: int, budget: list[int], found: list[tuple[str, str, int]]
    ) -> None:
        """Note new event files below an open folder, which is closed."""
        try:
            with os.scandir(fd) as rows:
                for row in rows:
                    budget[0] -= 1
                    if budget[0] < 0:
                        return
                    if row.is_dir(follow_symlinks=False):
                        if depth < _MOST_DEPTH and row.name not in _PASSED:
                            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                            with contextlib.suppress(OSError):
                                inner = os.open(row.name, flags, dir_fd=fd)
                                self._walk(inner, f"{path}/{row.name}", depth + 1, budget, found)
                    elif is_event_file(row.name):
                        self._note(fd, path, row.name, row.inode(), found)
        except OSError:
            return
        finally:
            os.close(fd)

    def _note(
        self, parent: int, path: str, name: str, inode: int, found: list[tuple[str, str, int]]
    ) -> None:
        identity = f"{inode}:{path}/{name}"
        if identity in self._files or len(self._files) + len(found) >= _MOST_FILES:
            return
        try:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            fd = os.open(name, flags, dir_fd=parent)
        except OSError:
            return
        facts = os.fstat(fd)
        if stat.S_ISREG(facts.st_mode) and facts.st_uid in self._owners and facts.st_nlink == 1:
            found.append((path, name, fd))
        else:
            os.close(fd)


def _stamp(name: str) -> int:
    """When the file was begun, as its name says."""
    rest = name.rpartition("tfevents.")[2].split(".")[0]
    return int(rest) if rest.isdigit() else 0
