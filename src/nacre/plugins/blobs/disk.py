"""What a disk can answer, as errors that say what to do."""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3

from nacre.errors import Unavailable

_CHUNK = 2**19
_MANY = 16
_SYNCFS = getattr(ctypes.CDLL(None), "syncfs", None)

_SENTENCES = {
    errno.ENOSPC: "the disk of the blob store ({root}) is full: free some space on it, or delete datasets "
    "with 'nacre data delete'",
    errno.EDQUOT: "the disk quota of the blob store ({root}) is used up: raise it, or delete datasets with "
    "'nacre data delete'",
    errno.EROFS: "the disk of the blob store ({root}) is read-only: mount it writable",
    errno.EMFILE: "the server has too many files open: raise its limit (ulimit -n) and try again",
}


@contextmanager
def disk(root: Path) -> Iterator[None]:
    """Turn errors of the operating system into ``Unavailable`` with a sentence."""
    try:
        yield
    except OSError as error:
        sentence = _SENTENCES.get(error.errno or 0, f"the blob store ({{root}}) cannot be used: {error}")
        raise Unavailable(sentence.replace("{root}", str(root))) from error


def write_all(fd: int, data: bytes, offset: int | None = None) -> None:
    """Write every byte, at ``offset`` or where the file's position is."""
    view = memoryview(data)
    while view:
        if offset is None:
            count = os.write(fd, view)
        else:
            count = os.pwrite(fd, view, offset)
            offset += count
        view = view[count:]


def hash_range(hasher: blake3, fd: int, start: int, end: int) -> None:
    """Feed the bytes from ``start`` to ``end``. Not by mapping: a bad sector would kill the server."""
    buffer = memoryview(bytearray(min(_CHUNK, max(1, end - start))))
    while start < end:
        count = os.preadv(fd, [buffer[: min(len(buffer), end - start)]], start)
        if not count:
            return
        hasher.update(buffer[:count])
        start += count


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_files(folder: Path, paths: list[Path]) -> None:
    """Make files or folders durable, all of them on the file system of ``folder``.

    For many of them the whole file system is synced at once: 0.04 ms a file instead of 0.3 ms, since the
    journal is committed once.
    """
    if len(paths) >= _MANY and _SYNCFS is not None:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            if _SYNCFS(fd) == 0:
                return
        finally:
            os.close(fd)
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
