"""What the command prints reaches the log; a disk that takes nothing costs bytes that are counted."""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from launcher_host import Host, wait_for

from nacre.launcher import processes, pump

NOTICE = re.compile(rb"\n?\[nacre\] ([\d,]+) bytes of the log are missing here: [^\n]+\.\n")
LINE = b"%015d\n"


def lines(count: int, start: int = 0) -> bytes:
    return b"".join(LINE % n for n in range(start, start + count))


def missing(log: bytes, printed: bytes) -> int:
    """How many bytes the notices of a log say are missing; each of them, and all else, is checked."""
    at = lost = end = 0
    for found in NOTICE.finditer(log):
        piece = log[end : found.start()]
        if found[0].startswith(b"\n") and printed[at + len(piece) : at + len(piece) + 1] == b"\n":
            piece += b"\n"  # the newline is the line's own
        assert printed[at : at + len(piece)] == piece
        gone = int(found[1].replace(b",", b""))
        at += len(piece) + gone
        lost += gone
        end = found.end()
    assert log[end:] == printed[at:]
    return lost


class Disk:
    """Stands for the log: takes bytes while there is room."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log = b""
        self.room = 0
        monkeypatch.setattr("posix.write", self.write)

    def write(self, fd: int, data: bytes | bytearray) -> int:
        assert fd == 1
        if not self.room:
            raise OSError(28, "No space left on device")
        taken = bytes(data[: self.room])
        self.room -= len(taken)
        self.log += taken
        return len(taken)


@given(
    pieces=st.lists(st.tuples(st.integers(1, 90), st.integers(0, 400)), min_size=1, max_size=30),
    end=st.sampled_from([b"\n", b".", b"\r"]),
)
def test_every_byte_is_in_the_log_or_counted(pieces: list[tuple[int, int]], end: bytes) -> None:
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(pump, "_MOST", 200)
        monkeypatch.setattr(pump, "_LONGEST_LINE", 40)
        disk = Disk(monkeypatch)
        kept: pump.Kept | None = None
        printed = b""
        for length, room in pieces:
            data = (b"%08d" % len(printed) + bytes(b"x" * 90))[: length - 1] + end
            printed += data
            if kept is None:
                kept = pump.Kept(data)
            else:
                kept.add(data)
            disk.room = room
            if kept.write():
                kept = None
        disk.room = 1 << 20
        assert kept is None or kept.write()
        missing(disk.log, printed)


def test_whole_lines_are_lost_and_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch)
    printed = lines(400_000)
    kept = pump.Kept(printed[7:65536])
    disk.log = printed[:7]
    for at in range(65536, len(printed), 65536):
        kept.add(printed[at : at + 65536])
    assert not kept.write()
    disk.room = 1 << 30
    assert kept.write()
    assert missing(disk.log, printed) > 4_000_000
    assert disk.log.endswith(printed[-400_000:])
    for line in NOTICE.sub(b"\n", disk.log).split():
        assert re.fullmatch(rb"\d{15}", line)


# The program

Limit = Callable[[subprocess.Popen[bytes], int], None]


@pytest.fixture
def limit() -> Limit:
    """Lets a process write a file up to so many bytes: to it, that is a disk that takes no more."""

    def set_to(process: subprocess.Popen[bytes], size: int) -> None:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    return set_to


@pytest.fixture
def copier(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with (tmp_path / "log").open("ab") as log:
        argv = [sys.executable, "-I", "-S", pump.__file__]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=log, stderr=log, bufsize=0)
    yield process
    process.kill()
    process.communicate()


def give(process: subprocess.Popen[bytes], data: bytes) -> None:
    assert process.stdin is not None
    view = memoryview(data)
    while view:
        view = view[process.stdin.write(view) :]


def finish(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None
    process.stdin.close()
    return process.wait(20)


def test_a_disk_that_is_full_for_a_while_holds_nobody_up(
    copier: subprocess.Popen[bytes], limit: Limit, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    first, second, third = lines(10), lines(1_000_000, 10), lines(3, 2_000_000)
    give(copier, first)
    wait_for(lambda: log.stat().st_size == len(first))
    limit(copier, len(first) + 5)
    give(copier, second)  # far more than what is kept
    limit(copier, resource.RLIM_INFINITY)
    wait_for(lambda: log.read_bytes().endswith(second[-16:]))
    give(copier, third)
    assert finish(copier) == 0
    assert 10_000_000 < missing(log.read_bytes(), first + second + third) < len(second)
    assert b"missing here: it was not taken: File too large.\n" in log.read_bytes()


def test_a_short_want_of_room_costs_nothing(
    copier: subprocess.Popen[bytes], limit: Limit, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    printed = lines(20_000)
    give(copier, printed[:160])
    wait_for(lambda: log.stat().st_size == 160)
    limit(copier, 165)
    give(copier, printed[160:])
    wait_for(lambda: log.stat().st_size == 165)
    limit(copier, resource.RLIM_INFINITY)
    assert finish(copier) == 0
    assert log.read_bytes() == printed


def test_the_end_waits_for_room(copier: subprocess.Popen[bytes], limit: Limit, tmp_path: Path) -> None:
    log = tmp_path / "log"
    give(copier, b"a\n")
    wait_for(lambda: log.stat().st_size == 2)
    limit(copier, 2)
    give(copier, b"the end\n")
    assert copier.stdin is not None
    copier.stdin.close()
    with pytest.raises(subprocess.TimeoutExpired):
        copier.wait(0.5)
    limit(copier, resource.RLIM_INFINITY)
    assert copier.wait(20) == 0
    assert log.read_bytes() == b"a\nthe end\n"


def test_asked_to_end_it_writes_what_it_has(
    copier: subprocess.Popen[bytes], limit: Limit, tmp_path: Path
) -> None:
    """Something may hold the pipe open for ever."""
    log = tmp_path / "log"
    give(copier, b"a\n")
    wait_for(lambda: log.stat().st_size == 2)
    limit(copier, 2)
    give(copier, b"the end\n")
    wait_for(lambda: _catches_sigterm(copier.pid))
    copier.terminate()
    with pytest.raises(subprocess.TimeoutExpired):
        copier.wait(0.5)
    limit(copier, resource.RLIM_INFINITY)
    assert copier.wait(20) == 0
    assert log.read_bytes() == b"a\nthe end\n"


def _catches_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    [caught] = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_log_that_is_removed_is_waited_for_no_more(
    copier: subprocess.Popen[bytes], limit: Limit, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    give(copier, b"a\n")
    wait_for(lambda: log.stat().st_size == 2)
    limit(copier, 2)
    give(copier, b"b\n")
    log.unlink()
    assert copier.wait(20) == 0


# In a launch

PRINTS = "import os\nfor i in range(40): os.write(1, b'%015d\\n' % i * 4096)\nraise SystemExit(7)"


def test_a_command_is_not_ended_by_a_log_that_takes_nothing(plain: Host) -> None:
    plain.spec("sh", "-c", 'echo up; until [ -e go ]; do sleep 0.02; done; exec python3 -c "$0"', PRINTS)
    launcher = plain.start()
    wait_for(lambda: "up\n" in plain.log())
    noted = (plain.folder / "workload.json").read_text()
    [pid] = map(int, re.findall(r'"pump": (\d+)', noted))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (3, resource.RLIM_INFINITY))
    (plain.folder / "work" / "go").touch()
    wait_for((plain.folder / "exit").exists)
    assert (plain.folder / "exit").read_text() == "7\n"
    assert processes.stat(pid) is not None
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    assert launcher.wait(30) == 0
    assert plain.exit_event()["exit_code"] == 7
    printed = b"up\n" + b"".join(b"%015d\n" % i * 4096 for i in range(40))
    assert missing(plain.api.channel("log"), printed) > 0


FULL = """
import errno, os, sys
from nacre.launcher import __main__
opened, room = os.open, sys.argv.pop(1)
def full(path, *rest, **more):
    if "launcher.json" in str(path) and not os.path.exists(room):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return opened(path, *rest, **more)
os.open = full
sys.exit(__main__.main(sys.argv[1:]))
"""


def test_who_the_launcher_is_is_noted_when_there_is_room(plain: Host, tmp_path: Path) -> None:
    plain.spec("sh", "-c", "echo up; until [ -e go ]; do sleep 0.02; done")
    room = tmp_path / "room"
    launcher = plain.start(program=["-c", FULL, str(room)])
    wait_for(lambda: "up\n" in plain.log())
    noted = plain.folder / "launcher.json"
    assert not noted.exists()
    room.touch()
    wait_for(noted.exists)
    found = processes.stat(launcher.pid)
    assert found is not None
    assert noted.read_text() == f'{{"pid": {launcher.pid}, "start": {found.start}}}'
    (plain.folder / "work" / "go").touch()
    assert launcher.wait(20) == 0
