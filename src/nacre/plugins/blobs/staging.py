"""The parts of large blobs, until they are whole.

One folder per blob, size and sender::

    data    as long as the blob, with holes where parts are missing
    done    one byte per part: 0 missing, 1 kept; then one for the verdict: 1 published, 2 wrong

Who writes a part holds a lock on its byte of ``done`` from looking at the byte to setting it, so a part
that is done is never written again: not by another thread, process or host. That is why the bytes may be
hashed while later parts are still coming, and why nobody can change them after the check. Locks belong to
open file descriptions (OFD), so they also hold between threads, and end with their process.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import struct
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

from blake3 import blake3

from nacre.errors import InvalidSpec, Unavailable
from nacre.plugins.blobs.disk import hash_range, write_all
from nacre.ports.blobs import PART_BYTES, part_ranges

Publish = Callable[[str, int, Path], None]

_PUBLISHED, _WRONG = b"\1", b"\2"
_CATCH_UP_PARTS = 8
_HASHERS = 64
_FINISHED = 1024
_SENDER = re.compile(r"[A-Za-z0-9_-]{0,64}")


class _Progress:
    """How far one upload is hashed, in this process."""

    def __init__(self, inode: int) -> None:
        self.inode = inode
        self.lock = threading.Lock()
        self.hasher = blake3()
        self.parts = 0


class Staging:
    """Uploads under ``folder``; ``publish(digest, fd, path)`` makes a verified file the blob, and
    ``present(digest)`` tells whether it is there."""

    def __init__(self, folder: Path, publish: Publish, present: Callable[[str], bool]) -> None:
        self._folder = folder
        self._publish = publish
        self._present = present
        self._lock = threading.Lock()
        self._progress: OrderedDict[Path, _Progress] = OrderedDict()
        self._finished: OrderedDict[Path, None] = OrderedDict()

    def missing(self, digest: str, size: int, sender: str) -> list[tuple[int, int]]:
        """Ranges that are not kept yet; never empty, so that somebody comes to finish."""
        ranges = part_ranges(size)
        try:
            done = (self._place(digest, size, sender) / "done").read_bytes()
        except FileNotFoundError:
            return ranges
        left = [r for r, kept in zip(ranges, done.ljust(len(ranges), b"\0"), strict=False) if not kept]
        return left or ranges[-1:]

    def put(self, digest: str, size: int, sender: str, offset: int, data: bytes) -> bool:
        """Keep one part; verify and publish when it was the last one."""
        index = _index(size, offset, len(data))
        count = _count(size)
        place = self._place(digest, size, sender)
        for _ in range(10):
            if self._is_finished(place, digest):
                return True
            with contextlib.suppress(FileExistsError):  # exist_ok would look again, when it may be gone
                place.mkdir()
            try:
                with _opened(place, size) as (content, done):
                    self._keep(content, done, index, offset, data)
                    if b"\0" not in os.pread(done, count, 0):
                        return self._finish(digest, place, content, done, size)
                    if self._is_finished(place, digest):
                        self._drop(place)  # we were late, and have begun it anew
                        return True
                    self._hash(place, content, done, size, _CATCH_UP_PARTS)
                    return False
            except FileNotFoundError:
                continue  # another sender finished, and removed the folder, between two of our calls
            except PermissionError:
                self._drop(place)  # sealed by a process that died before it could remove the folder
        raise Unavailable(f"the parts of {digest} kept disappearing: send them again")

    def _place(self, digest: str, size: int, sender: str) -> Path:
        if not _SENDER.fullmatch(sender):
            raise InvalidSpec(f"{sender!r} is not a sender's name")
        return self._folder / f"parts-{digest}-{size}-{sender}"

    def _is_finished(self, place: Path, digest: str) -> bool:
        """Whether this sender has sent all of it to this process, and the blob is still there."""
        with self._lock:
            if place not in self._finished:
                return False
        return self._present(digest)

    def _keep(self, content: int, done: int, index: int, offset: int, data: bytes) -> None:
        _lock_byte(done, index)
        if os.pread(done, 1, index) == b"\1":
            return
        write_all(content, data, offset)
        os.fdatasync(content)
        write_all(done, b"\1", index)
        os.fdatasync(done)

    def _hash(self, place: Path, content: int, done: int, size: int, limit: int | None) -> _Progress:
        """Hash kept parts that continue what is hashed, ``limit`` of them at most.

        With a limit it returns at once when another thread is at it.
        """
        inode = os.fstat(content).st_ino
        with self._lock:
            progress = self._progress.get(place)
            if progress is None or progress.inode != inode:
                progress = self._progress[place] = _Progress(inode)
            self._progress.move_to_end(place)
            while len(self._progress) > _HASHERS:
                self._progress.popitem(last=False)
        if not progress.lock.acquire(blocking=limit is None):
            return progress
        try:
            kept = os.pread(done, _count(size), 0)
            until = kept.find(b"\0", progress.parts)
            until = len(kept) if until < 0 else until
            if limit is not None:
                until = min(until, progress.parts + limit)
            if until > progress.parts:
                hash_range(
                    progress.hasher, content, progress.parts * PART_BYTES, min(size, until * PART_BYTES)
                )
                progress.parts = until
        finally:
            progress.lock.release()
        return progress

    def _finish(self, digest: str, place: Path, content: int, done: int, size: int) -> bool:
        verdict_at = _count(size)
        _lock_byte(done, verdict_at)
        verdict = os.pread(done, 1, verdict_at)
        if verdict not in (_PUBLISHED, _WRONG):
            progress = self._hash(place, content, done, size, None)
            verdict = _PUBLISHED if progress.hasher.hexdigest() == digest else _WRONG
            if verdict == _PUBLISHED:
                self._publish(digest, content, place / "data")
            write_all(done, verdict, verdict_at)
            with self._lock:
                self._progress.pop(place, None)
                if verdict == _PUBLISHED:
                    self._finished[place] = None
                    if len(self._finished) > _FINISHED:
                        self._finished.popitem(last=False)
            self._drop(place)
        if verdict == _WRONG:
            raise InvalidSpec(
                f"the parts sent do not hash to {digest} together, so they were dropped: send the file "
                "again, and see that nothing writes to it meanwhile",
                digest=digest,
            )
        return True

    def _drop(self, place: Path) -> None:
        trash = self._folder / f"trash-{secrets.token_hex(8)}"
        with contextlib.suppress(FileNotFoundError):  # another process was faster
            place.rename(trash)
            shutil.rmtree(trash, ignore_errors=True)


def _count(size: int) -> int:
    return (size + PART_BYTES - 1) // PART_BYTES


def _index(size: int, offset: int, length: int) -> int:
    index, rest = divmod(offset, PART_BYTES)
    if rest or not 0 <= index < _count(size) or length != min(PART_BYTES, size - offset):
        raise InvalidSpec(
            f"({offset}, {length}) is not a part of a blob of {size} bytes: parts begin at multiples of "
            f"{PART_BYTES} and are that long, except the last one"
        )
    return index


@contextlib.contextmanager
def _opened(place: Path, size: int) -> Iterator[tuple[int, int]]:
    """Descriptors of ``data`` and ``done``, both of the same folder even while it is being replaced."""
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
    opened: list[int] = [folder]
    try:
        for name, length in (("data", size), ("done", _count(size))):
            fd = os.open(name, os.O_RDWR | os.O_CREAT, 0o600, dir_fd=folder)
            opened.append(fd)
            if os.fstat(fd).st_size < length:
                os.ftruncate(fd, length)
        yield opened[1], opened[2]
    finally:
        for fd in opened:
            os.close(fd)


def _lock_byte(fd: int, index: int) -> None:
    """Wait for the exclusive lock on one byte; closing ``fd`` ends it."""
    request = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, index, 1, 0)
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, request)
