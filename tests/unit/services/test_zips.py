"""ZIPs that are made while they are sent."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from typing import BinaryIO

import pytest

from nacre.errors import NotFound, Unavailable
from nacre.schema.launch import FileEntry
from nacre.services import zips

MOMENT = datetime(2026, 5, 4, 3, 2, 0, tzinfo=UTC)


def entry(path: str, size: int, mark: str = "a") -> FileEntry:
    return FileEntry(path=path, size=size, digest=mark * 64)


class Zeros(io.RawIOBase):
    """So many zeros, from no memory."""

    def __init__(self, size: int) -> None:
        self.left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        size = min(self.left, size)
        self.left -= size
        return bytes(size)


def opener(files: dict[str, bytes]) -> object:
    def opened(digest: str) -> BinaryIO:
        if digest not in files:
            raise NotFound(f"no blob {digest[:4]}")
        return io.BytesIO(files[digest])

    return opened


def test_it_holds_the_files() -> None:
    files = {"a" * 64: b"one" * 1000, "b" * 64: b"", "c" * 64: "ü".encode()}
    entries = [entry("m/a.bin", 3000, "a"), entry("m/leer", 0, "b"), entry("m/ü/模型.txt", 2, "c")]
    data = b"".join(zips.zipped(entries, opener(files), MOMENT))  # type: ignore[arg-type]
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert opened.testzip() is None
        assert {i.filename: opened.read(i) for i in opened.infolist()} == {
            "m/a.bin": b"one" * 1000,
            "m/leer": b"",
            "m/ü/模型.txt": "ü".encode(),
        }
        assert opened.infolist()[0].date_time == (2026, 5, 4, 3, 2, 0)
        assert {i.compress_type for i in opened.infolist()} == {zipfile.ZIP_STORED}


def test_nothing_is_an_empty_archive() -> None:
    data = b"".join(zips.zipped([], opener({}), MOMENT))  # type: ignore[arg-type]
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == []


def test_what_is_missing_is_said_before_the_first_byte() -> None:
    with pytest.raises(NotFound):
        zips.zipped([entry("m", 3, "a")], opener({}), MOMENT)  # type: ignore[arg-type]


def test_what_breaks_in_the_middle_leaves_no_whole_archive() -> None:
    files = {"a" * 64: b"one"}
    sent: list[bytes] = []
    pieces = zips.zipped([entry("m", 4)], opener(files), MOMENT)  # type: ignore[arg-type]
    with pytest.raises(Unavailable, match="m has 3 bytes where 4 belong"):
        sent.extend(pieces)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(b"".join(sent)))


def test_pieces_stay_small_and_files_may_be_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 2**20)
    size = 5 * 2**20
    pieces = list(zips.zipped([entry("big", size)], lambda _: Zeros(size), MOMENT))  # type: ignore[arg-type, return-value]
    assert max(map(len, pieces)) < 2 * 2**20
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as opened:
        assert opened.testzip() is None
        assert opened.getinfo("big").file_size == size
        assert opened.getinfo("big").create_version >= zipfile.ZIP64_VERSION
