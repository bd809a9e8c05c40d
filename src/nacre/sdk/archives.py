"""Unpacking archives from strangers: nothing lands outside, and no bomb fills the disk."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from nacre.errors import InvalidSpec, NotFound
from nacre.schema.manifests import path_fault

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_CHUNK = 2**20
_RATIO_FROM = 64 * 2**20


@dataclass(frozen=True)
class Limits:
    """What an archive may unpack to. ``ratio`` is against its own size, and counts from 64 MiB on."""

    files: int = 1_000_000
    bytes: int = 200 * 2**30
    ratio: int = 200


class _Target:
    """The folder that is being filled, and how much came so far."""

    def __init__(self, archive: Path, folder: Path, limits: Limits) -> None:
        self.archive = archive
        self.folder = folder
        self._limits = limits
        self._packed = max(1, archive.stat().st_size)
        self._files = 0
        self._bytes = 0
        self._links: list[tuple[str, str]] = []

    def place(self, member: str) -> Path | None:
        """Where the member goes; null for the folder itself."""
        name = member.rstrip("/")
        while name.startswith("./"):
            name = name[2:].lstrip("/")
        if name in ("", "."):
            return None
        if fault := path_fault(name):
            raise InvalidSpec(f"{self.archive.name}: the path {member[:200]!r} {fault}", path=member[:200])
        self._files += 1
        if self._files > self._limits.files:
            raise self._bomb(f"it holds more than {self._limits.files:,} files")
        return self.folder / name

    def file(self, member: str, source: IO[bytes], executable: bool) -> None:
        """Write a member's bytes, counting them as they come: what the archive says is not believed."""
        path = self.place(member)
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as out:
            while chunk := source.read(_CHUNK):
                self._bytes += len(chunk)
                if self._bytes > self._limits.bytes:
                    raise self._bomb(f"it unpacks to more than {self._limits.bytes / 2**30:.0f} GiB")
                if self._bytes > max(_RATIO_FROM, self._limits.ratio * self._packed):
                    raise self._bomb(f"it unpacks to more than {self._limits.ratio} times its size")
                out.write(chunk)
        path.chmod(0o755 if executable else 0o644)

    def directory(self, member: str) -> None:
        """Make a folder."""
        path = self.place(member)
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)

    def link(self, member: str, target: str) -> None:
        """Remember a link. Links are made last, so that no member is written through one."""
        self._links.append((member, target))

    def make_links(self) -> None:
        """Make the links that stay inside."""
        for member, target in self._links:
            path = self.place(member)
            if path is None:
                continue
            parts: list[str] = []
            for part in [*PurePosixPath(member).parent.parts, *PurePosixPath(target).parts]:
                if part == ".." and parts:
                    parts.pop()
                elif part in ("..", "/"):
                    raise InvalidSpec(
                        f"{self.archive.name}: the link {member} leads out of the archive, to {target}: "
                        "pack what it names instead",
                        path=member,
                    )
                else:
                    parts.append(part)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(target)

    def _bomb(self, why: str) -> InvalidSpec:
        return InvalidSpec(
            f"{self.archive.name} was not unpacked: {why}, which looks like an archive bomb. If it is not, "
            "unpack it yourself and push the folder"
        )


def unpack(archive: Path, folder: Path, limits: Limits | None = None) -> None:
    """Unpack a .zip or .tar[.gz|.bz2|.xz] into an empty folder.

    Raises:
        NotFound: there is no such file.
        InvalidSpec: it is no archive, is damaged or encrypted, holds an unsafe path, a link out or a
            device, or unpacks to more than ``limits``.
    """
    if not archive.is_file():
        raise NotFound(f"there is no file {archive}")
    target = _Target(archive, folder, limits or Limits())
    with _sentences(archive):
        if zipfile.is_zipfile(archive):
            _unzip(archive, target)
        elif tarfile.is_tarfile(archive):
            _untar(archive, target)
        else:
            raise InvalidSpec(f"{archive.name} is not an archive: one of {', '.join(ENDINGS)} is expected")
        target.make_links()


def _unzip(archive: Path, target: _Target) -> None:
    with zipfile.ZipFile(archive) as source:
        for member in source.infolist():
            mode = member.external_attr >> 16
            name = member.filename if member.orig_filename == member.filename else member.orig_filename
            if member.is_dir():
                target.directory(name)
            elif stat.S_ISLNK(mode):
                target.link(name, _short(source.open(member)))
            else:
                with source.open(member) as stream:
                    target.file(name, stream, bool(mode & 0o100))


def _short(stream: IO[bytes]) -> str:
    with stream:
        return stream.read(4096).decode(errors="surrogateescape")


def _untar(archive: Path, target: _Target) -> None:
    hard: list[tuple[str, str]] = []
    with tarfile.open(archive) as source:
        for member in source:
            if member.isdir():
                target.directory(member.name)
            elif member.issym():
                target.link(member.name, member.linkname)
            elif member.islnk():
                hard.append((member.name, member.linkname))
            elif member.isreg():
                stream = source.extractfile(member)
                assert stream is not None
                with stream:
                    target.file(member.name, stream, bool(member.mode & 0o100))
            else:
                raise InvalidSpec(f"{archive.name}: {member.name} is a device or pipe: pack only files")
    for name, linked in hard:
        path = target.place(linked)
        if path is None or not path.is_file():
            raise InvalidSpec(f"{archive.name}: {name} is linked to {linked}, which is not in the archive")
        with path.open("rb") as stream:
            target.file(name, stream, bool(path.stat().st_mode & 0o100))


@contextmanager
def _sentences(archive: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InvalidSpec(f"{archive.name} is damaged: {error or 'it ends too early'}") from error
    except (RuntimeError, NotImplementedError) as error:  # zipfile: encrypted, unknown compression
        raise InvalidSpec(f"{archive.name} cannot be unpacked: {error}") from error
    except OSError as error:
        raise InvalidSpec(f"{archive.name} cannot be unpacked: {error.strerror or error}") from error
