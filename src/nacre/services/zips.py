"""ZIP archives made while they are sent: stored, not compressed, and never whole in memory."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import BinaryIO

from nacre.errors import Unavailable
from nacre.schema.launch import FileEntry

_CHUNK = 2**20


class _Pipe(io.RawIOBase):
    """What is written and not yet sent. It cannot seek, so sizes and sums follow each file's bytes."""

    def __init__(self) -> None:
        self._held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: object, /) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        self._held += view
        return view.nbytes

    def take(self) -> bytes:
        taken = bytes(self._held)
        self._held.clear()
        return taken


def zipped(
    entries: Sequence[FileEntry], opened: Callable[[str], BinaryIO], moment: datetime
) -> Iterator[bytes]:
    """The archive's bytes, about a MiB at a time. ``opened`` gives a blob's stream by its digest; the first
    file is opened at once, so that what is missing is said before anything is sent.

    Raises:
        NotFound, Unavailable: a blob is not there, or not as long as it should be. In the middle of
            the bytes that ends them: no archive without its directory is taken for a whole one.
    """
    first = opened(entries[0].digest) if entries else None
    return _pieces(entries, opened, moment, first)


def _pieces(
    entries: Sequence[FileEntry],
    opened: Callable[[str], BinaryIO],
    moment: datetime,
    first: BinaryIO | None,
) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for entry in entries:
            with first or opened(entry.digest) as stream:
                first = None
                yield from _file(archive, pipe, entry, stream, moment)
    yield pipe.take()


def _file(
    archive: zipfile.ZipFile, pipe: _Pipe, entry: FileEntry, stream: BinaryIO, moment: datetime
) -> Iterator[bytes]:
    about = zipfile.ZipInfo(entry.path, moment.timetuple()[:6])
    about.external_attr = 0o644 << 16
    about.file_size = entry.size
    sent = 0
    with archive.open(about, "w", force_zip64=entry.size >= zipfile.ZIP64_LIMIT) as target:
        while piece := stream.read(_CHUNK):
            sent += len(piece)
            target.write(piece)
            yield pipe.take()
    if sent != entry.size:
        raise Unavailable(f"{entry.path} has {sent} bytes where {entry.size} belong: download it again")
