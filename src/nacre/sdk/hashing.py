"""Digests of local files, in parallel, each read only once as long as it stays as it is."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

from blake3 import blake3

from nacre.errors import InvalidSpec
from nacre.sdk.files import LocalFile

_CHUNK = 4 * 2**20
_SETTLED_NS = 2 * 10**9
_KEPT_DAYS = 90
_THREADS = min(8, os.cpu_count() or 1)


class HashCache:
    """(path, size, times of change, inode) → digest, in ``<folder>/hashes.db``.

    Shared by all processes of a user. It only saves time: when it cannot be read or written, everything
    is hashed again. A file changed less than two seconds before it was hashed is not remembered, since a
    second change within the clock's resolution would go unseen.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / "hashes.db"

    def find(self, files: Iterable[LocalFile]) -> dict[Path, str]:
        """The digests known of files that are as they were."""
        found: dict[Path, str] = {}
        with suppress(sqlite3.Error, OSError), closing(self._open()) as db:
            wanted = iter(files)
            while chunk := {str(f.path): f for f in islice(wanted, 500)}:
                marks = ",".join("?" * len(chunk))
                query = (
                    f"SELECT path, size, mtime, ctime, inode, digest FROM hashes WHERE path IN ({marks})"  # noqa: S608
                )
                for path, *key, digest in db.execute(query, list(chunk)):
                    file = chunk[path]
                    if key == [file.size, file.mtime_ns, file.ctime_ns, file.inode]:
                        found[file.path] = digest
        return found

    def keep(self, digests: dict[LocalFile, str], hashed_ns: int) -> None:
        """Remember digests computed after ``hashed_ns`` (epoch nanoseconds)."""
        day = hashed_ns // (86400 * 10**9)
        rows = [
            (str(f.path), f.size, f.mtime_ns, f.ctime_ns, f.inode, digest, day)
            for f, digest in digests.items()
            if max(f.mtime_ns, f.ctime_ns) < hashed_ns - _SETTLED_NS
        ]
        if rows:
            with suppress(sqlite3.Error, OSError), closing(self._open()) as db, db:
                db.execute("DELETE FROM hashes WHERE day < ?", (day - _KEPT_DAYS,))
                db.executemany("INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def forget(self, file: LocalFile) -> None:
        """The digest was wrong."""
        with suppress(sqlite3.Error, OSError), closing(self._open()) as db, db:
            db.execute("DELETE FROM hashes WHERE path = ?", (str(file.path),))

    def _open(self) -> sqlite3.Connection:
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        db = sqlite3.connect(self._file, timeout=10)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=OFF")
            db.execute(
                "CREATE TABLE IF NOT EXISTS hashes (path TEXT PRIMARY KEY, size INTEGER, "
                "mtime INTEGER, ctime INTEGER, inode INTEGER, digest TEXT, day INTEGER) WITHOUT ROWID"
            )
        except sqlite3.DatabaseError as error:
            db.close()
            if not isinstance(error, sqlite3.OperationalError):
                self._file.unlink(missing_ok=True)  # not a database: start anew next time
            raise
        return db


def hash_files(
    files: list[LocalFile], cache: HashCache | None = None, hashed: Callable[[int], None] | None = None
) -> dict[LocalFile, str]:
    """The BLAKE3 digest of each file. ``hashed(bytes)`` is told of bytes that were really read.

    Raises:
        Conflict: a file changed while it was read.
        InvalidSpec: a file cannot be read.
    """
    known = cache.find(files) if cache else {}
    digests = {f: known[f.path] for f in files if f.path in known}
    left = [f for f in files if f.path not in known]
    started = time.time_ns()
    fresh: dict[LocalFile, str] = {}
    lock = threading.Lock()

    def work(group: list[LocalFile]) -> None:
        mine = {file: _hash(file, hashed) for file in group}
        with lock:
            fresh.update(mine)

    try:
        with ThreadPoolExecutor(_THREADS, "hash") as pool:
            futures = [pool.submit(work, group) for group in _groups(left)]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        if cache:
            cache.keep(fresh, started)
    return digests | fresh


def _groups(files: list[LocalFile]) -> Iterator[list[LocalFile]]:
    """Small files together, so that a thread has something to do; a large one alone."""
    group: list[LocalFile] = []
    size = 0
    for file in files:
        group.append(file)
        size += file.size
        if size >= _CHUNK or len(group) >= 200:
            yield group
            group, size = [], 0
    if group:
        yield group


def _hash(file: LocalFile, hashed: Callable[[int], None] | None) -> str:
    hasher = blake3(max_threads=blake3.AUTO if file.size > 2 * _CHUNK else 1)
    buffer = memoryview(bytearray(min(_CHUNK, file.size + 1)))
    try:
        with file.path.open("rb", buffering=0) as stream:
            while count := stream.readinto(buffer):
                hasher.update(buffer[:count])
                if hashed:
                    hashed(count)
    except FileNotFoundError:
        raise file.changed() from None
    except OSError as error:
        raise InvalidSpec(f"{file.name} cannot be read: {error.strerror}", path=file.name) from error
    file.check()
    return str(hasher.hexdigest())
