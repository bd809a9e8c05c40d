"""Blobs as files: processes, kills, damage, full disks, leftovers."""

from __future__ import annotations

import errno
import io
import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from nacre.errors import InvalidSpec, NotFound, Unavailable
from nacre.plugins.blobs import disk, staging
from nacre.plugins.blobs.files import FileBlobs
from nacre.ports.blobs import PART_BYTES, blob_path, part_ranges
from nacre.testing.blobs import digest_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


def put(store: FileBlobs, data: bytes) -> str:
    digest = digest_of(data)
    store.put(digest, io.BytesIO(data))
    return digest


def files_below(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


class TestFiles:
    def test_a_blob_is_a_read_only_file_where_launchers_look(self, root: Path) -> None:
        digest = put(FileBlobs(root), b"hello")
        path = blob_path(root, digest)
        assert path.read_bytes() == b"hello"
        assert path.stat().st_mode & 0o777 == 0o444

    def test_putting_again_keeps_the_file_that_trees_are_linked_to(self, root: Path) -> None:
        store = FileBlobs(root)
        digest = put(store, b"hello")
        inode = blob_path(root, digest).stat().st_ino
        put(store, b"hello")
        store.put_many([(digest, b"hello")])
        assert blob_path(root, digest).stat().st_ino == inode

    def test_nothing_is_left_in_staging(self, root: Path) -> None:
        store = FileBlobs(root)
        put(store, b"hello")
        with pytest.raises(InvalidSpec):
            store.put(digest_of(b"a"), io.BytesIO(b"b"))
        assert files_below(root / "staging") == []

    def test_a_part_that_comes_after_the_last_one_leaves_nothing_in_staging(self, root: Path) -> None:
        store = FileBlobs(root)
        data = os.urandom(PART_BYTES + 10)
        digest = digest_of(data)
        first, last = ((offset, data[offset : offset + size]) for offset, size in part_ranges(len(data)))
        assert not store.put_part(digest, len(data), *first)
        assert store.put_part(digest, len(data), *last)
        assert store.put_part(digest, len(data), *first)
        assert files_below(root / "staging") == []

    def test_a_folder_that_another_sender_removes_just_now_is_made_anew(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = FileBlobs(root)
        data = os.urandom(PART_BYTES + 10)
        digest = digest_of(data)
        assert not store.put_part(digest, len(data), 0, data[:PART_BYTES])
        really, removed = os.mkdir, []

        def mkdir(path: Path, mode: int = 0o777) -> None:
            try:
                really(path, mode)
            except FileExistsError:
                removed.append(path)
                shutil.rmtree(path)
                raise

        monkeypatch.setattr(os, "mkdir", mkdir)
        assert not store.put_part(digest, len(data), PART_BYTES, data[PART_BYTES:])
        assert len(removed) == 1
        monkeypatch.undo()
        assert store.put_part(digest, len(data), 0, data[:PART_BYTES])
        assert store.verify(digest)

    def test_a_blob_that_was_removed_is_taken_again_in_parts(self, root: Path) -> None:
        store = FileBlobs(root)
        data = os.urandom(PART_BYTES + 10)
        digest = digest_of(data)
        for _ in range(2):
            parts = [(offset, data[offset : offset + size]) for offset, size in part_ranges(len(data))]
            assert [store.put_part(digest, len(data), *part) for part in parts] == [False, True]
            assert blob_path(root, digest).read_bytes() == data
            store.delete(digest)

    def test_a_digest_is_never_a_path(self, root: Path) -> None:
        store = FileBlobs(root)
        for wrong in ("../../etc/passwd", "a" * 63, "A" * 64, "", "a" * 63 + "/"):
            for ask in (store.open, store.size, store.verify, store.delete):
                with pytest.raises(InvalidSpec):
                    ask(wrong)

    def test_a_store_is_found_again(self, root: Path) -> None:
        digest = put(FileBlobs(root), b"hello")
        assert list(FileBlobs(root).digests()) == [digest]


class TestDamage:
    def test_a_truncated_blob_is_moved_aside_when_it_is_opened(self, root: Path) -> None:
        store = FileBlobs(root)
        digest = put(store, b"hello world")
        path = blob_path(root, digest)
        path.chmod(0o644)
        os.truncate(path, 5)
        with pytest.raises(Unavailable, match=rf"{digest}.*{root}/corrupt/{digest}.0.*push the data again"):
            store.open(digest)
        assert store.missing([digest]) == [digest]
        assert (root / "corrupt" / f"{digest}.0").read_bytes() == b"hello"

    def test_a_blob_that_was_written_to_is_not_served(self, root: Path) -> None:
        store = FileBlobs(root)
        digest = put(store, b"hello world")
        path = blob_path(root, digest)
        path.chmod(0o644)
        path.write_bytes(b"hellO world")
        with pytest.raises(Unavailable, match="damaged"):
            store.size(digest)
        put(store, b"hello world")
        with store.open(digest) as stream:
            assert stream.read() == b"hello world"

    def test_decay_that_changes_no_time_is_found_by_verify(self, root: Path) -> None:
        store = FileBlobs(root)
        digest = put(store, b"hello world")
        path = blob_path(root, digest)
        stat = path.stat()
        path.chmod(0o644)
        path.write_bytes(b"hellO world")
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        assert not store.verify(digest)
        with pytest.raises(Unavailable):
            store.open(digest)

    def test_a_good_blob_with_another_time_is_sealed_again(self, root: Path) -> None:
        store = FileBlobs(root)
        digest = put(store, b"hello")
        os.utime(blob_path(root, digest))
        with store.open(digest) as stream:
            assert stream.read() == b"hello"
        assert blob_path(root, digest).stat().st_mtime < time.time() - 10**8


class TestDisk:
    @pytest.mark.parametrize(
        ("number", "sentence"),
        [(errno.ENOSPC, "is full: free some space"), (errno.EROFS, "read-only"), (errno.EDQUOT, "quota")],
    )
    def test_a_disk_that_refuses_is_a_sentence(
        self, root: Path, monkeypatch: pytest.MonkeyPatch, number: int, sentence: str
    ) -> None:
        store = FileBlobs(root)

        def refuse(*_: object) -> None:
            raise OSError(number, os.strerror(number))

        for module in (disk, staging):
            monkeypatch.setattr(f"{module.__name__}.write_all", refuse)
        monkeypatch.setattr("nacre.plugins.blobs.files.write_all", refuse)
        with pytest.raises(Unavailable, match=sentence):
            put(store, b"hello")
        with pytest.raises(Unavailable, match=sentence):
            store.put_many([(digest_of(b"a"), b"a")])
        with pytest.raises(Unavailable, match=sentence):
            store.put_part(digest_of(bytes(20)), 20, 0, bytes(20))
        assert list(store.digests()) == []
        assert [path for path in files_below(root / "staging") if path.name.startswith("put-")] == []

    def test_a_full_disk_for_real(self, tmp_path: Path) -> None:
        folder = tmp_path / "small"
        folder.mkdir()
        mount = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder], capture_output=True, check=False
        )
        if mount.returncode != 0:
            pytest.skip("this user may not mount")
        try:
            store = FileBlobs(folder / "blobs")
            small = put(store, b"fits")
            with pytest.raises(Unavailable, match="is full"):
                put(store, os.urandom(6 * 2**20))
            assert list(store.digests()) == [small]
            assert files_below(folder / "blobs" / "staging") == []
        finally:
            subprocess.run(["umount", folder], check=True)


class TestLeftovers:
    def test_what_nobody_wrote_to_for_a_day_goes(self, root: Path) -> None:
        store = FileBlobs(root)
        digest = digest_of(b"x")
        store.put_part(digest, PART_BYTES + 1, 0, bytes(PART_BYTES))
        (root / "staging" / "put-1-dead").write_bytes(b"half")
        store.sweep(time.time() - 24 * 3600)
        assert len(files_below(root / "staging")) == 3
        store.sweep(time.time() + 60)
        assert list((root / "staging").iterdir()) == []
        assert len(store.parts(digest, PART_BYTES + 1)) == 2

    def test_parts_survive_a_restart(self, root: Path) -> None:
        data = os.urandom(3 * PART_BYTES)
        digest, ranges = digest_of(data), part_ranges(3 * PART_BYTES)
        for offset, length in (ranges[2], ranges[0]):
            FileBlobs(root).put_part(digest, len(data), offset, data[offset : offset + length])
        again = FileBlobs(root)
        assert again.parts(digest, len(data)) == [ranges[1]]
        offset, length = ranges[1]
        assert again.put_part(digest, len(data), offset, data[offset : offset + length])
        assert again.verify(digest)

    def test_a_writer_that_died_before_the_check_is_finished_by_the_next(self, root: Path) -> None:
        data = os.urandom(PART_BYTES + 7)
        digest = digest_of(data)
        store = FileBlobs(root)
        store.put_part(digest, len(data), 0, data[:PART_BYTES])
        place = next((root / "staging").glob("parts-*"))
        with (place / "data").open("r+b") as file:  # the last part was kept, its writer died then
            file.seek(PART_BYTES)
            file.write(data[PART_BYTES:])
        (place / "done").write_bytes(b"\1\1")
        assert FileBlobs(root).parts(digest, len(data)) == [(PART_BYTES, 7)]
        assert FileBlobs(root).put_part(digest, len(data), PART_BYTES, data[PART_BYTES:])
        assert store.verify(digest)

    def test_a_kept_part_is_never_written_again(self, root: Path) -> None:
        data = os.urandom(PART_BYTES + 7)
        digest = digest_of(data)
        store = FileBlobs(root)
        store.put_part(digest, len(data), 0, data[:PART_BYTES])
        store.put_part(digest, len(data), 0, bytes(PART_BYTES))
        assert store.put_part(digest, len(data), PART_BYTES, data[PART_BYTES:])
        assert store.verify(digest)


_WRITER = """
import sys
from pathlib import Path
from nacre.plugins.blobs.files import FileBlobs
from nacre.ports.blobs import part_ranges
root, source, digest = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
store, size = FileBlobs(root), source.stat().st_size
print("ready", flush=True)
sys.stdin.readline()
while digest in store.missing([digest]):
    for offset, length in store.parts(digest, size, "one"):
        with source.open("rb") as file:
            file.seek(offset)
            if store.put_part(digest, size, offset, file.read(length), "one"):
                break
        print(offset, flush=True)
"""


class TestProcesses:
    def test_ten_processes_one_of_them_killed_make_one_copy(self, root: Path, tmp_path: Path) -> None:
        source = tmp_path / "source"
        source.write_bytes(os.urandom(6 * PART_BYTES + 5))
        digest = digest_of(source.read_bytes())
        command = [sys.executable, "-c", _WRITER, str(root), str(source), digest]
        writers = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(10)
        ]
        try:
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == "ready\n"
            for writer in writers:
                assert writer.stdin is not None
                writer.stdin.write("go\n")
                writer.stdin.flush()
            assert writers[0].stdout is not None
            writers[0].stdout.readline()
            writers[0].kill()
            for writer in writers[1:]:
                writer.communicate(timeout=120)
            assert [writer.returncode for writer in writers[1:]] == [0] * 9
        finally:
            for writer in writers:
                writer.kill()
                writer.communicate()
        store = FileBlobs(root)
        assert list(store.digests()) == [digest]
        assert store.verify(digest)

    def test_open_descriptors_do_not_pile_up(self, root: Path) -> None:
        store = FileBlobs(root)
        before = len(os.listdir("/proc/self/fd"))
        for number in range(50):
            data = str(number).encode()
            put(store, data)
            with pytest.raises(NotFound):
                store.open(digest_of(data + b"absent"))
        assert len(os.listdir("/proc/self/fd")) <= before + 2
        assert threading.active_count() < 20
