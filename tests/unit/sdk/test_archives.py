"""Archives of strangers: unpacked inside their folder, or refused with a sentence."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from nacre.errors import InvalidSpec, NotFound
from nacre.sdk.archives import Limits, unpack


def tar(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def found(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


class TestUnpack:
    def test_zip(self, tmp_path: Path, out: Path) -> None:
        unpack(zipped(tmp_path / "a.zip", a=b"1", sub__b=b"2" * 10**6), out)
        assert found(out) == {"a": b"1", "sub/b": b"2" * 10**6}

    def test_tar_with_links_and_modes(self, tmp_path: Path, out: Path) -> None:
        archive = tar(
            tmp_path / "a.tar.gz",
            member("./", type=tarfile.DIRTYPE),
            member("./sub/run", b"#!", mode=0o755),
            member("./sub/plain", b"1", mode=0o4644),
            member("link", type=tarfile.SYMTYPE, linkname="sub/run"),
            member("sub/up", type=tarfile.SYMTYPE, linkname="../link"),
            member("hard", type=tarfile.LNKTYPE, linkname="./sub/run"),
        )
        unpack(archive, out)
        assert found(out) == {
            "hard": b"#!",
            "link": b"#!",
            "sub/plain": b"1",
            "sub/run": b"#!",
            "sub/up": b"#!",
        }
        assert os.access(out / "sub" / "run", os.X_OK)
        assert stat.S_IMODE((out / "sub" / "plain").stat().st_mode) == 0o644

    @pytest.mark.parametrize("kind", ["w", "w:bz2", "w:xz"])
    def test_other_compressions(self, tmp_path: Path, out: Path, kind: str) -> None:
        with tarfile.open(tmp_path / "a", kind) as archive:
            info, data = member("a", b"1")
            archive.addfile(info, io.BytesIO(data))
        unpack(tmp_path / "a", out)
        assert found(out) == {"a": b"1"}


class TestRefused:
    @pytest.mark.parametrize("name", ["../up", "a/../../up", "/abs", "a//b"])
    def test_paths_that_leave(self, tmp_path: Path, out: Path, name: str) -> None:
        with pytest.raises(InvalidSpec, match="plain relative path"):
            unpack(tar(tmp_path / "a.tar.gz", member(name, b"x")), out)
        with pytest.raises(InvalidSpec, match="plain relative path"):
            unpack(zipped(tmp_path / "a.zip", **{name: b"x"}), out)
        assert found(tmp_path / "out") == {}

    @pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "sub/../../outside"])
    def test_links_out(self, tmp_path: Path, out: Path, target: str) -> None:
        archive = tar(tmp_path / "a.tar.gz", member("link", type=tarfile.SYMTYPE, linkname=target))
        with pytest.raises(InvalidSpec, match="the link link leads out of the archive"):
            unpack(archive, out)

    def test_a_member_behind_a_link(self, tmp_path: Path, out: Path) -> None:
        archive = tar(
            tmp_path / "a.tar.gz",
            member("door", type=tarfile.SYMTYPE, linkname=str(tmp_path)),
            member("door/planted", b"x"),
        )
        with pytest.raises(InvalidSpec):
            unpack(archive, out)
        assert not (tmp_path / "planted").exists()

    def test_a_hard_link_to_what_is_not_there(self, tmp_path: Path, out: Path) -> None:
        archive = tar(tmp_path / "a.tar.gz", member("h", type=tarfile.LNKTYPE, linkname="/etc/passwd"))
        with pytest.raises(InvalidSpec):
            unpack(archive, out)

    def test_devices(self, tmp_path: Path, out: Path) -> None:
        with pytest.raises(InvalidSpec, match="device or pipe"):
            unpack(tar(tmp_path / "a.tar.gz", member("null", type=tarfile.CHRTYPE)), out)

    def test_a_bomb_by_ratio(self, tmp_path: Path, out: Path) -> None:
        bomb = zipped(tmp_path / "bomb.zip", zeros=bytes(100 * 2**20))
        with pytest.raises(
            InvalidSpec, match=r"bomb\.zip was not unpacked: .*times its size.*archive bomb"
        ):
            unpack(bomb, out)
        assert (out / "zeros").stat().st_size <= 64 * 2**20

    def test_a_bomb_by_bytes_whatever_it_says_of_itself(self, tmp_path: Path, out: Path) -> None:
        bomb = zipped(tmp_path / "bomb.zip", **{f"f{n}": os.urandom(1000) for n in range(20)})
        with pytest.raises(InvalidSpec, match="unpacks to more than"):
            unpack(bomb, out, Limits(bytes=5000))

    def test_a_bomb_by_count(self, tmp_path: Path, out: Path) -> None:
        bomb = zipped(tmp_path / "bomb.zip", **{f"f{n}": b"" for n in range(20)})
        with pytest.raises(InvalidSpec, match="more than 10 files"):
            unpack(bomb, out, Limits(files=10))

    def test_what_is_no_archive_or_damaged(self, tmp_path: Path, out: Path) -> None:
        (tmp_path / "text").write_text("hello")
        with pytest.raises(InvalidSpec, match="is not an archive"):
            unpack(tmp_path / "text", out)
        with pytest.raises(NotFound):
            unpack(tmp_path / "absent", out)
        good = tar(tmp_path / "good.tar.gz", member("a", os.urandom(10_000)))
        cut = tmp_path / "cut.tar.gz"
        cut.write_bytes(good.read_bytes()[:5000])
        with pytest.raises(InvalidSpec, match="damaged"):
            unpack(cut, out)
        spoilt = zipped(tmp_path / "spoilt.zip", a=b"hello" * 100)
        content = bytearray(spoilt.read_bytes())
        content[35] ^= 0xFF
        spoilt.write_bytes(content)
        with pytest.raises(InvalidSpec, match="damaged"):
            unpack(spoilt, out)
