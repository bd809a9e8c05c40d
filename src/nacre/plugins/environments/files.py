"""Locks between builders, and permissions of what they built."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nacre.ports.environments import Log


@contextmanager
def locked(path: Path, log: Log) -> Iterator[int]:
    """Hold a file's lock, against threads and processes; gives its descriptor.

    A child that inherits the descriptor goes on holding the lock when this process is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log("waiting for another builder of the same environment")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def open_to_all(folder: Path) -> int:
    """Let everybody read and only the owner write; returns the size in bytes, as on disk."""
    folder.chmod(0o755)
    size = 0
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = os.path.join(parent, name)
            found = os.lstat(path)
            size += found.st_blocks * 512
            if stat.S_ISLNK(found.st_mode):
                continue
            now = stat.S_IMODE(found.st_mode)
            runs = 0o111 if now & 0o100 else 0
            then = (now | 0o444 | runs) & ~0o7022
            if then != now:
                os.chmod(path, then)
    return size
