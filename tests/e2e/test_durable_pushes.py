"""Pushes: many at once, some killed, the server killed: one copy on disk, and every version is whole."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from pathlib import Path

import pytest
from real_server import MakeServer, Server, wait_until

from nacre.ports.blobs import PART_BYTES

pytestmark = pytest.mark.slow

MIB = 2**20
SIZE = 96 * MIB
PARALLEL = 4


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A large file and some small ones."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "large.bin").write_bytes(os.urandom(SIZE))
    for number in range(50):
        (folder / f"small-{number}.bin").write_bytes(os.urandom(1000))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def on_disk(folder: Path) -> int:
    """Bytes that the files below take. What vanishes meanwhile takes none."""
    total = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_blocks * 512 if path.is_file() else 0
    return total


def sent(server: Server) -> int:
    """Bytes of the large file that have arrived, in parts."""
    return on_disk(server.home / "blobs" / "staging")


def assert_whole(server: Server, data: Path, names: list[str], tmp_path: Path) -> None:
    for name in names:
        server.run("data", "pull", name, tmp_path / name)
        assert contents(tmp_path / name) == contents(data)
    assert on_disk(server.home / "blobs") < 1.1 * SIZE


def test_ten_pushes_of_the_same_data_of_which_one_is_killed_leave_one_copy(
    make_server: MakeServer, data: Path, tmp_path: Path
) -> None:
    server = make_server()
    pushes = [server.popen("data", "push", data, "--name", f"copy-{n}") for n in range(10)]
    wait_until("something has arrived", lambda: sent(server) > MIB, every_s=0.005)
    victim = pushes.pop(3)
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=10)
    for push in pushes:
        _, said = push.communicate(timeout=120)
        assert push.returncode == 0, said
    server.run("data", "push", data, "--name", "copy-3")
    assert [d.versions for d in server.client().data.list().items] == [[1]] * 10
    assert_whole(server, data, ["copy-0", "copy-3", "copy-9"], tmp_path)
    assert sent(server) == 0


def test_a_push_goes_on_while_the_server_is_killed(
    make_server: MakeServer, data: Path, tmp_path: Path
) -> None:
    server = make_server()
    pushes = [server.popen("data", "push", data, "--name", f"copy-{n}") for n in range(2)]
    wait_until("something has arrived", lambda: sent(server) > MIB, every_s=0.005)
    server.kill9()
    server.start()
    for push in pushes:
        _, said = push.communicate(timeout=120)
        assert push.returncode == 0, said
    assert_whole(server, data, ["copy-0", "copy-1"], tmp_path)


def test_a_push_that_was_killed_sends_only_the_rest(make_server: MakeServer, data: Path) -> None:
    server = make_server()
    push = server.popen("data", "push", data, "--name", "digits")
    wait_until("much has arrived", lambda: sent(server) > SIZE * 3 / 4, every_s=0.002)
    push.send_signal(signal.SIGKILL)
    push.communicate(timeout=10)
    server.kill9()
    server.start()
    had = sent(server)  # of which some parts may be halves
    lacked: list[int] = []
    server.client().data.push(data, "digits", progress=_Lacking(lacked))
    assert sum(lacked) <= SIZE - had + PARALLEL * PART_BYTES + 50 * 1000 < SIZE


class _Lacking:
    """Notes how much the server says it lacks."""

    def __init__(self, lacked: list[int]) -> None:
        self._lacked = lacked
        self._lock = threading.Lock()

    def found(self, files: int, size: int) -> None: ...

    def hashed(self, size: int) -> None: ...

    def lacking(self, size: int) -> None:
        with self._lock:
            self._lacked.append(size)

    def sent(self, size: int) -> None: ...
