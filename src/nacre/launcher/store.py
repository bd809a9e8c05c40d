"""Where the launcher gets blobs: files of a store on this host, or the server by HTTP, kept in a cache."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from nacre.launcher.folder import Failure
from nacre.launcher.wire import Away, Refused, Server

SEALED_NS = 315_619_200 * 10**9
"""The modification time of whole, verified blobs in the file store: whoever writes to one changes it."""
_FICLONE = 0x40049409
_HEX = frozenset("0123456789abcdef")


class Entry:
    """One file of a manifest, its path checked."""

    def __init__(self, raw: Any, whose: str) -> None:
        try:
            self.path: str = raw["path"]
            self.size: int = int(raw["size"])
            self.digest: str = raw["digest"]
            self.executable = bool(raw.get("executable", False))
        except (KeyError, TypeError, ValueError):
            raise Failure("data_missing", f"The manifest of {whose} is not a manifest.") from None
        parts = self.path.split("/") if isinstance(self.path, str) else [""]
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            message = f"The manifest of {whose} names the path {self.path!r}, which may leave its folder."
            raise Failure("data_missing", message)
        check_digest(self.digest, whose)


def check_digest(digest: Any, whose: str) -> None:
    """Raise Failure for what is not 64 hexadecimal digits: it becomes part of a path."""
    if not (isinstance(digest, str) and len(digest) == 64 and _HEX.issuperset(digest)):
        raise Failure("data_missing", f"{digest!r}, named by {whose}, is not a digest.")


class Store:
    """Blobs by path on this host. ``check`` is called between files and may raise to end the wait."""

    def __init__(self, root: str, check: Callable[[], None]) -> None:
        self.root = root.rstrip("/")
        self.check = check
        self.copier = Copier()

    def path(self, digest: str) -> str:
        """What ``nacre.ports.blobs.blob_path`` says, without the 5 ms that importing pathlib takes."""
        return f"{self.root}/{digest[:2]}/{digest}"

    def file(self, digest: str, size: int | None, what: str) -> str:
        """Path of a blob; Failure ``data_missing`` when it is absent or damaged."""
        self.check()
        path = self.path(digest)
        if not os.path.exists(path):
            path = self.fetch(digest, what)
        if why := damage(path, digest, size):
            message = (
                f"{what} is damaged in the blob store: {why} ({digest}). Push the data again to replace it."
            )
            raise Failure("data_missing", message)
        return path

    def fetch(self, digest: str, what: str) -> str:
        """Bring a blob that is not here; Failure when that cannot be."""
        raise Failure("data_missing", f"{what} is missing from the blob store ({digest}).")

    def manifest(self, digest: str, whose: str) -> list[Entry]:
        """The files of a manifest, every path checked. Raises Failure."""
        check_digest(digest, whose)
        path = self.file(digest, None, f"The manifest of {whose}")
        try:
            with open(path, "rb") as file:
                files = json.load(file)["files"]
            return [Entry(item, whose) for item in files]
        except (ValueError, KeyError, TypeError):
            raise Failure("data_missing", f"The manifest of {whose} is not a manifest.") from None


class RemoteStore(Store):
    """Blobs fetched from the server into a cache folder, verified where blake3 can be imported."""

    def __init__(self, cache: str, server: Server, attempt: str, check: Callable[[], None]) -> None:
        super().__init__(cache, check)
        self._server = server
        self._attempt = attempt

    def fetch(self, digest: str, what: str) -> str:
        """Download the blob; waits for as long as the server is away."""
        pause = 0.05
        while True:
            self.check()
            try:
                return self._download(digest)
            except Refused as error:
                message = f"{what} could not be fetched ({digest}): {error.detail or error}."
                raise Failure("data_missing", message) from error
            except Away:
                time.sleep(pause)
                pause = min(2.0, pause * 2)

    def _download(self, digest: str) -> str:
        path = self.path(digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{os.getpid()}.tmp"
        hasher = _blake3()
        with open(temporary, "wb") as file:
            for piece in self._server.download(f"/api/v1/attempts/{self._attempt}/blobs/{digest}"):
                self.check()
                file.write(piece)
                if hasher is not None:
                    hasher.update(piece)
        if hasher is not None and hasher.hexdigest() != digest:
            os.unlink(temporary)
            raise Away("the bytes do not match their digest")
        os.chmod(temporary, 0o444)
        if hasher is not None:
            os.utime(temporary, ns=(SEALED_NS, SEALED_NS))
        os.rename(temporary, path)
        return path


def _blake3() -> Any:
    try:
        return import_module("blake3").blake3()
    except ImportError:
        return None


def damage(path: str, digest: str, size: int | None) -> str | None:
    """What is wrong with the file of a blob, as half a sentence; None when nothing is.

    It is read only when it was written to after the store sealed it. Raises OSError.
    """
    found = os.stat(path)
    if size is not None and found.st_size != size:
        return f"{found.st_size} bytes where {size} belong"
    hasher = None if found.st_mtime_ns == SEALED_NS else _blake3()
    if hasher is None:
        return None
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            hasher.update(piece)
    return None if hasher.hexdigest() == digest else "its bytes do not hash to its name any more"


class Copier:
    """Copies files that share their blocks where the file system can (reflink), else bytes."""

    def __init__(self) -> None:
        self._clones = True

    def copy(self, source: str, target: str, mode: int, owner: int | None) -> None:
        """Write a new file of its own. Raises OSError, also when ``target`` is there."""
        taken = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            made = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                self._fill(taken, made)
                os.fchmod(made, mode)
                if owner is not None:
                    os.fchown(made, owner, owner)
            finally:
                os.close(made)
        finally:
            os.close(taken)

    def _fill(self, taken: int, made: int) -> None:
        if self._clones:
            try:
                fcntl.ioctl(made, _FICLONE, taken)
            except OSError:
                self._clones = False
            else:
                return
        try:
            while os.copy_file_range(taken, made, 1 << 30):
                pass
        except OSError as error:
            if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            while chunk := os.read(taken, 1 << 20):
                view = memoryview(chunk)
                while view:
                    view = view[os.write(made, view) :]
