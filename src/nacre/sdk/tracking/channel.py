"""Inside a job: records go to the launcher's track file, and from there to the server."""

from __future__ import annotations

import atexit
import os
import threading
import warnings

_MOST_WAITING = 2**20


class TrackFile:
    """Appends each record at once, in one ``write`` to a file opened with ``O_APPEND``.

    So lines of threads, forks and DataLoader workers never mix, nothing is left in a buffer when the
    program crashes, and it does not matter whether the server is there.

    What a disk that is full or over its quota refuses waits in memory, 1 MiB of it at most: it goes before
    the next record, or at the program's end.
    """

    def __init__(self, path: str, run_id: str) -> None:
        self.run_id = run_id
        self._path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._lock = threading.Lock()
        self._waiting = b""
        self._refused = False
        self._lost = 0

    def write(self, lines: list[str]) -> None:
        """Append the lines. A disk that refuses them is said once, in a warning."""
        data = "\n".join(lines).encode() + b"\n"
        self._append(self._take() + data if self._waiting else data)

    def _append(self, data: bytes) -> None:
        try:
            written = os.write(self._descriptor, data)
            while written < len(data):
                # Somebody else may write next: end the torn line, and begin it anew.
                data = b"\n" + data[data.rfind(b"\n", 0, written) + 1 :]
                written = os.write(self._descriptor, data)
        except OSError as error:
            self._keep(data, error)

    def _take(self) -> bytes:
        with self._lock:
            data, self._waiting = self._waiting, b""
        return data

    def _keep(self, data: bytes, error: OSError) -> None:
        with self._lock:
            room = _MOST_WAITING - len(self._waiting)
            kept = data if len(data) <= room else data[: data.rfind(b"\n", 0, max(0, room)) + 1]
            self._waiting += kept
            self._lost += _count(data[len(kept) :])
            first, self._refused = not self._refused, True
        if first:
            atexit.register(self._finish)
            text = f"nacre: metrics cannot be written to {self._path}: {error.strerror}"
            warnings.warn(f"{text}; they wait, and the job goes on", RuntimeWarning, stacklevel=5)

    def _finish(self) -> None:
        """At the program's end: the last try, and what is lost."""
        self._append(self._take())
        lost = self._lost + _count(self._waiting)
        if lost:
            warnings.warn(f"nacre: {lost} records are lost", RuntimeWarning, stacklevel=2)

    def after_fork(self) -> None:
        """Children share the file. What waits is the parent's to write."""
        self._lock = threading.Lock()
        self._waiting, self._lost = b"", 0

    def end(self, state: str) -> None:
        """The job ends its run."""


def _count(data: bytes) -> int:
    return sum(1 for line in data.split(b"\n") if line)
