"""The attempt folder: paths, locks, small files that are there whole or not at all, and the events."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from typing import Any


class Failure(Exception):
    """The work cannot go on; becomes the exit event. ``message`` is a sentence for people."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class Fenced(Exception):
    """The server says that this attempt is no longer the current one."""


class Folder:
    """Names inside one attempt folder."""

    def __init__(self, root: str) -> None:
        self.root = root
        self._lock: int | None = None

    def path(self, *names: str) -> str:
        """A path below the folder."""
        return os.path.join(self.root, *names)

    def lock(self) -> bool:
        """Become the only launcher of this folder, until this process ends. False: there is one."""
        self._lock = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def has(self, name: str) -> bool:
        """Whether the name is there; a symbolic link counts as there."""
        return os.path.lexists(self.path(name))

    def read_json(self, name: str) -> dict[str, Any] | None:
        """A small JSON object; None when absent or unreadable."""
        try:
            with open(self.path(name), encoding="utf-8") as file:
                value = json.load(file)
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def write_json(self, name: str, value: dict[str, Any]) -> None:
        """Replace a small JSON file by rename. Raises OSError."""
        write_file(self.path(name), json.dumps(value).encode())


class Note:
    """A small JSON file that a full disk may refuse for a while."""

    def __init__(self, folder: Folder, name: str, value: dict[str, Any]) -> None:
        self._folder = folder
        self._name = name
        self._value = value
        self._written = False

    def write(self) -> None:
        """Write it, unless that has been done or the disk refuses it."""
        if not self._written:
            try:
                self._folder.write_json(self._name, self._value)
            except OSError:
                return
            self._written = True


def write_file(path: str, data: bytes, mode: int = 0o600, owner: int | None = None) -> None:
    """Write a file under a temporary name and rename it into place. Raises OSError."""
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fchmod(fd, mode)
        if owner is not None:
            os.fchown(fd, owner, owner)
    finally:
        os.close(fd)
    os.rename(temporary, path)


class Events:
    """``events.jsonl``: appended whole lines. A line that the disk refused is kept and tried again."""

    def __init__(self, folder: Folder) -> None:
        self._path = folder.path("events.jsonl")
        self._waiting = b""
        self._lock = threading.Lock()
        self._fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self.types: list[tuple[str, str | None]] = []
        self._repair()

    def _repair(self) -> None:
        """Cut off half a line that a killed launcher left; it was never sent."""
        size = os.fstat(self._fd).st_size
        data = os.pread(self._fd, size, 0)
        whole = data.rfind(b"\n") + 1
        if whole != size:
            os.ftruncate(self._fd, whole)
        for line in data[:whole].splitlines():
            event = json.loads(line)
            self.types.append((event["type"], event.get("state")))

    @property
    def ended(self) -> bool:
        """Whether the exit event, the last line, is written."""
        return any(kind == "exit" for kind, _ in self.types)

    def seen(self, kind: str, state: str | None = None) -> bool:
        """Whether such an event is written already, also by an earlier launcher."""
        return (kind, state) in self.types

    def add(self, kind: str, **fields: Any) -> None:
        """Append one event; fields that are None are left out, and ``time_ms`` is now unless given."""
        event: dict[str, Any] = {"time_ms": time.time_ns() // 1_000_000, "type": kind}
        event.update({name: value for name, value in fields.items() if value is not None})
        self.types.append((kind, fields.get("state")))
        with self._lock:
            self._waiting += json.dumps(event).encode() + b"\n"
        self.flush()

    def state(self, state: str, **fields: Any) -> None:
        """Append a state event, once."""
        if not self.seen("state", state):
            self.add("state", state=state, **fields)

    def flush(self) -> bool:
        """Write what waits; False while the disk refuses it."""
        with self._lock:
            while self._waiting:
                try:
                    written = os.write(self._fd, self._waiting)
                except OSError:
                    return False
                self._waiting = self._waiting[written:]
        return True
