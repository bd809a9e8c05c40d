"""Blobs as plain files.

    <root>/ab/abcdef…            complete blobs: mode 0444, never rewritten
    <root>/staging/put-…         a blob that is being written
    <root>/staging/parts-…       the parts of a large blob (see ``staging.py``)
    <root>/corrupt/abcdef….n     what no longer hashed to its name

A complete blob's modification time is the fixed instant ``SEALED_NS``. Whoever truncates a blob or writes
to it changes that, so one ``stat`` tells an untouched file from one that must be hashed before it is
served again. Only decay of the disk itself goes unseen by it; ``verify`` finds that.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from blake3 import blake3

from nacre.errors import InvalidSpec, NotFound, Unavailable
from nacre.plugins.blobs.disk import disk, fsync_folder, hash_range, sync_files, write_all
from nacre.plugins.blobs.staging import Staging
from nacre.ports.blobs import BatchBlobs, Blobs, LocalBlobs, PartialBlobs, StagedBlob, StagingBlobs

log = logging.getLogger("nacre.blobs")

SEALED_NS = 315_619_200 * 10**9
"""1980-01-02 UTC: no clock sets it by itself, and archives can express it."""
STALE_S = 24 * 3600
_SWEEP_EVERY_S = 3600
_CHUNK = 2**20
_DIGEST = re.compile(r"[0-9a-f]{64}")


class FileBlobs(Blobs, LocalBlobs, PartialBlobs, BatchBlobs, StagingBlobs):
    """Blobs in a folder of this host, shared by any number of threads and processes.

    Leftovers of writers that died are removed a day after they were last written to.
    """

    def __init__(self, root: Path) -> None:
        self._root = Path(root)
        self._prefix = str(self._root)
        self._corrupt = self._root / "corrupt"
        self._staging_root = self._root / "staging"
        with disk(self._root):
            for folder in (self._corrupt, self._staging_root):
                folder.mkdir(parents=True, exist_ok=True)
            for number in range(256):
                (self._root / f"{number:02x}").mkdir(exist_ok=True)
            fsync_folder(self._root)
        self._staging = Staging(
            self._staging_root, self._publish, lambda digest: self._present(digest) is not None
        )
        self._swept = float("-inf")
        self._sweeping = threading.Lock()
        self._sweep_if_due()

    @property
    def root(self) -> Path:
        return self._root

    def missing(self, digests: list[str]) -> list[str]:
        with disk(self._root):
            return [digest for digest in digests if self._present(digest) is None]

    def put(self, digest: str, source: BinaryIO) -> int:
        path = self._path(digest)
        self._sweep_if_due()
        with disk(self._root):
            there = self._present(digest) is not None
        if there:
            return _hash_stream(digest, source, lambda _chunk: None)
        with self._temporary() as (fd, name):
            size = _hash_stream(digest, source, lambda chunk: self._write(fd, chunk))
            with disk(self._root):
                self._seal(fd)
                os.fsync(fd)
                self._link(name, path)
                fsync_folder(path.parent)
        return size

    @contextmanager
    def stage(self, source: BinaryIO) -> Iterator[StagedBlob]:
        self._sweep_if_due()
        with self._temporary() as (fd, name):
            hasher, size = blake3(), 0
            while chunk := source.read(_CHUNK):
                hasher.update(chunk)
                size += len(chunk)
                self._write(fd, chunk)
            digest = str(hasher.hexdigest())
            yield _Staged(digest, size, lambda: self._publish_staged(digest, fd, name))

    def _publish_staged(self, digest: str, fd: int, name: Path) -> None:
        with disk(self._root):
            if self._present(digest) is None:
                self._publish(digest, fd, name)

    def _write(self, fd: int, chunk: bytes) -> None:
        with disk(self._root):
            write_all(fd, chunk)

    def put_many(self, items: list[tuple[str, bytes]]) -> None:
        for digest, data in items:
            if blake3(data).hexdigest() != digest:
                raise _mismatch(digest)
        unique = dict(items)
        with disk(self._root):
            absent = [digest for digest in unique if self._present(digest) is None]
            written: list[Path] = []
            try:
                for digest in absent:
                    written.append(self._temporary_name())
                    self._write_sealed(written[-1], unique[digest])
                sync_files(self._staging_root, written)
                for name, digest in zip(written, absent, strict=True):
                    self._link(name, self._path(digest))
            finally:
                for name in written:
                    name.unlink(missing_ok=True)
            sync_files(self._root, list({self._path(digest).parent for digest in absent}))

    def _write_sealed(self, name: Path, data: bytes) -> None:
        fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            write_all(fd, data)
            self._seal(fd)
        finally:
            os.close(fd)

    def open(self, digest: str) -> BinaryIO:
        path = self._path(digest)
        with disk(self._root):
            if self._present(digest) is None:
                raise self._absent(digest)
            try:
                return path.open("rb")
            except FileNotFoundError:
                raise self._absent(digest) from None

    def size(self, digest: str) -> int:
        with disk(self._root):
            found = self._present(digest)
        if found is None:
            raise self._absent(digest)
        return found.st_size

    def verify(self, digest: str) -> bool:
        path = self._path(digest)
        with disk(self._root):
            try:
                with path.open("rb") as stream:
                    before = os.fstat(stream.fileno())
                    hasher = blake3()
                    hash_range(hasher, stream.fileno(), 0, before.st_size)
            except FileNotFoundError:
                raise self._absent(digest) from None
            if hasher.hexdigest() == digest:
                if before.st_mtime_ns != SEALED_NS:
                    path.chmod(0o444)
                    os.utime(path, ns=(SEALED_NS, SEALED_NS))
                return True
            self._set_aside(digest, before.st_ino)
            return False

    def delete(self, digest: str) -> None:
        with disk(self._root):
            self._path(digest).unlink(missing_ok=True)

    def digests(self) -> Iterator[str]:
        for number in range(256):
            with disk(self._root):
                names = os.listdir(self._root / f"{number:02x}")
            yield from (name for name in names if _DIGEST.fullmatch(name))

    def parts(self, digest: str, size: int, sender: str = "") -> list[tuple[int, int]]:
        self._path(digest)
        self._sweep_if_due()
        with disk(self._root):
            return self._staging.missing(digest, size, sender)

    def put_part(self, digest: str, size: int, offset: int, data: bytes, sender: str = "") -> bool:
        self._path(digest)
        with disk(self._root):
            return self._staging.put(digest, size, sender, offset, data)

    def _publish(self, digest: str, fd: int, name: Path) -> None:
        """Make a whole, verified, staged file the blob of its digest."""
        path = self._path(digest)
        self._seal(fd)
        os.fsync(fd)
        self._present(digest)  # sets a damaged one aside, so that ours takes its place
        self._link(name, path)
        fsync_folder(path.parent)

    def _path(self, digest: str) -> Path:
        if not _DIGEST.fullmatch(digest):
            raise InvalidSpec(f"{digest[:80]!r} is not a digest: 64 hexadecimal digits, in lower case")
        return Path(f"{self._prefix}/{digest[:2]}/{digest}")  # blob_path, parsed once: this is hot

    def _present(self, digest: str) -> os.stat_result | None:
        path = self._path(digest)
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        if found.st_mtime_ns == SEALED_NS:
            return found
        try:
            return found if self.verify(digest) else None
        except NotFound:
            return None

    def _absent(self, digest: str) -> NotFound | Unavailable:
        aside = sorted(self._corrupt.glob(f"{digest}.*"))
        if aside:
            return Unavailable(
                f"the blob {digest} was damaged on disk, so it was moved to {aside[-1]} and is not served: "
                "push the data again to replace it",
                digest=digest,
                corrupt=True,
            )
        return NotFound(f"there is no blob {digest}", digest=digest)

    def _set_aside(self, digest: str, inode: int) -> None:
        path = self._path(digest)
        for number in range(1000):
            target = self._corrupt / f"{digest}.{number}"
            if target.exists():
                continue
            try:
                if path.stat().st_ino != inode:
                    return  # somebody else set it aside and a good copy has come since
                path.rename(target)
            except FileNotFoundError:
                return
            log.error("blob %s does not hash to its name any more: moved to %s", digest, target)
            return

    def _seal(self, fd: int) -> None:
        os.fchmod(fd, 0o444)
        os.utime(fd, ns=(SEALED_NS, SEALED_NS))

    def _link(self, name: Path, path: Path) -> None:
        """Publish, keeping the file that is there: trees may be hard-linked to it."""
        try:
            os.link(name, path)
        except FileExistsError:
            return
        except PermissionError:  # a file system without hard links
            name.rename(path)

    def _temporary_name(self) -> Path:
        return Path(f"{self._prefix}/staging/put-{os.getpid()}-{secrets.token_hex(8)}")

    @contextmanager
    def _temporary(self) -> Iterator[tuple[int, Path]]:
        name = self._temporary_name()
        with disk(self._root):
            fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            yield fd, name
        finally:
            os.close(fd)
            name.unlink(missing_ok=True)

    def _sweep_if_due(self) -> None:
        if time.monotonic() - self._swept < _SWEEP_EVERY_S or not self._sweeping.acquire(blocking=False):
            return
        try:
            self._swept = time.monotonic()
            self.sweep(time.time() - STALE_S)
        finally:
            self._sweeping.release()

    def sweep(self, before: float) -> None:
        """Remove what unfinished writers left and nobody wrote to since ``before`` (epoch seconds)."""
        with disk(self._root):
            for entry in sorted(self._staging_root.iterdir()):
                try:
                    # ctime too: a sealed file that is about to be published has an old mtime
                    stats = [path.stat() for path in (entry, *(entry.iterdir() if entry.is_dir() else ()))]
                except FileNotFoundError:
                    continue
                if max(max(stat.st_mtime, stat.st_ctime) for stat in stats) >= before:
                    continue
                if entry.is_dir():
                    shutil.rmtree(entry, ignore_errors=True)
                else:
                    entry.unlink(missing_ok=True)


class _Staged(StagedBlob):
    def __init__(self, digest: str, size: int, publish: Callable[[], None]) -> None:
        self.digest, self.size, self._publish = digest, size, publish

    def publish(self) -> None:
        self._publish()


def _hash_stream(digest: str, source: BinaryIO, take: Callable[[bytes], None]) -> int:
    hasher, size = blake3(), 0
    while chunk := source.read(_CHUNK):
        hasher.update(chunk)
        size += len(chunk)
        take(chunk)
    if hasher.hexdigest() != digest:
        raise _mismatch(digest)
    return size


def _mismatch(digest: str) -> InvalidSpec:
    return InvalidSpec(f"the bytes sent do not hash to {digest}: send them again", digest=digest)
