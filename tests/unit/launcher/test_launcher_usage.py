"""What work uses, from trees of control groups of both versions, and of real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from launcher_host import wait_for

from nacre.launcher.usage import Gpus, Usage

MB = 2**20

BUSY = """
import os, sys, time
kept = bytearray(60 << 20)
def burn(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end: pass
if os.fork() == 0:
    burn(0.3)
    os._exit(0)
os.wait()
burn(0.2)
with open(sys.argv[1], 'wb') as file:
    file.write(b'x' * (8 << 20)); file.flush(); os.fsync(file.fileno())
print('done', flush=True)
time.sleep(60)
"""

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a program below a shell that waits for it."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*argv: str) -> subprocess.Popen[bytes]:
        script = ["sh", "-c", '"$@"; exit $?', "sh", *argv]
        started.append(subprocess.Popen(script, stdout=subprocess.PIPE, start_new_session=True))
        return started[-1]

    yield begin
    for process in started:
        os.killpg(process.pid, 9)
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def group(folder: Path, **files: str) -> str:
    """A control group with these files; underscores of ``cpu_stat`` stand for dots."""
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return str(folder)


class TestGroups:
    def test_version_2(self, tmp_path: Path) -> None:
        path = group(
            tmp_path / "unified",
            cpu__stat="usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
            memory__current=f"{300 * MB}\n",
            memory__stat=f"anon {200 * MB}\nfile {100 * MB}\ninactive_file {90 * MB}\nactive_file 0\n",
            io__stat="8:0 rbytes=1000 wbytes=500 rios=3 wios=1 dbytes=0 dios=0\n8:16 rbytes=24 wbytes=12\n",
        )
        usage = Usage(2**22 + 1, {"kill": path, "memory": path}, own_network=False)
        now = usage.now()
        assert (now.cpu_s, now.memory_bytes) == (2.5, 210 * MB)
        assert (now.read_bytes, now.written_bytes) == (1024, 512)
        assert (now.received_bytes, now.sent_bytes) == (None, None)

    def test_version_1_with_cpu_and_cpuacct_together(self, tmp_path: Path) -> None:
        paths = {
            "cpu": group(tmp_path / "cpu", cpuacct__usage="1500000000\n", cpu__stat="nr_periods 0\n"),
            "memory": group(
                tmp_path / "memory",
                memory__usage_in_bytes=f"{64 * MB}\n",
                memory__stat=f"inactive_file 1\ntotal_inactive_file {24 * MB}\n",
            ),
            "pids": group(tmp_path / "pids"),
        }
        now = Usage(2**22 + 1, paths, own_network=False).now()
        assert (now.cpu_s, now.memory_bytes) == (1.5, 40 * MB)
        assert (now.read_bytes, now.written_bytes) == (None, None)

    def test_version_1_beside_the_unified_tree(self, tmp_path: Path) -> None:
        """Its CPU time is counted in the unified tree, whatever controllers are there."""
        paths = {
            "cpu": group(tmp_path / "cpu", cpu__stat="nr_periods 7\nnr_throttled 0\n"),
            "kill": group(tmp_path / "unified", cpu__stat="usage_usec 750000\n"),
        }
        usage = Usage(2**22 + 1, paths, own_network=False)
        assert usage.now().cpu_s == 0.75
        assert usage.after().cpu_s == 0.75

    def test_memory_is_never_less_than_nothing(self, tmp_path: Path) -> None:
        """The two files are read one after the other."""
        path = group(tmp_path / "g", memory__current="1000\n", memory__stat="inactive_file 5000\n")
        assert Usage(2**22 + 1, {"memory": path}, own_network=False).now().memory_bytes == 0

    def test_groups_that_are_gone_tell_nothing(self, tmp_path: Path) -> None:
        gone = str(tmp_path / "gone")
        now = Usage(2**22 + 1, {"kill": gone, "memory": gone, "cpu": gone}, own_network=True).now()
        assert now == (None, None, None, None, None, None, 0)


class TestProcesses:
    def test_without_groups_all_processes_below_the_shell_are_added_up(
        self, start: Start, tmp_path: Path
    ) -> None:
        shell = start(sys.executable, "-c", BUSY, str(tmp_path / "file"))
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"done\n"
        now = Usage(shell.pid, {}, own_network=True).now()
        assert now.processes == 1
        assert now.cpu_s is not None
        assert 0.45 < now.cpu_s < 3  # the child's too, which has ended
        assert now.memory_bytes is not None
        assert 60 * MB < now.memory_bytes < 120 * MB
        assert now.written_bytes is not None
        assert 8 * MB <= now.written_bytes < 10 * MB
        assert (now.received_bytes, now.sent_bytes) == (None, None)  # it has our network
        assert Usage(shell.pid, {}, own_network=True).after() == (None,) * 7

    def test_a_child_of_any_thread_is_found(self, start: Start) -> None:
        code = (
            "import subprocess, threading, time\n"
            "def run(): subprocess.Popen(['sleep', '60']); time.sleep(60)\n"
            "for _ in range(3): threading.Thread(target=run, daemon=True).start()\n"
            "time.sleep(60)\n"
        )
        shell = start(sys.executable, "-c", code)
        wait_for(lambda: Usage(shell.pid, {}, own_network=False).now().processes == 4)

    def test_the_dead_count_with_their_time_and_nothing_else(self, start: Start) -> None:
        code = (
            "import os, time\n"
            "if os.fork() == 0:\n"
            "    while time.process_time() < 0.3: pass\n"
            "    os._exit(0)\n"
            "time.sleep(60)\n"  # it is never waited for
        )
        shell = start(sys.executable, "-c", code)
        usage = Usage(shell.pid, {}, own_network=False)
        wait_for(lambda: usage.now().processes == 2)
        wait_for(lambda: usage.now().processes == 1)
        assert (usage.now().cpu_s or 0) > 0.25

    def test_a_network_of_its_own_is_counted_inside(self, start: Start) -> None:
        code = (
            "import socket, time\n"
            "a = socket.create_server(('127.0.0.1', 0))\n"
            "b = socket.create_connection(a.getsockname())\n"
            "c = a.accept()[0]\n"
            "for _ in range(100): b.sendall(b'x' * 50_000); c.recv(50_000, socket.MSG_WAITALL)\n"
            "print('done', flush=True); time.sleep(60)\n"
        )
        up = "import fcntl, os, socket, struct, sys\n" + (
            "with socket.socket() as s: fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', b'lo', 0x49))\n"
            "os.execv(sys.executable, [sys.executable, '-c', sys.argv[1]])"
        )
        unshare = ["unshare", "--user", "--map-root-user", "--net"]
        if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
            pytest.skip("no network namespace can be made here")
        shell = start(*unshare, sys.executable, "-c", up, code)
        assert shell.stdout is not None
        assert shell.stdout.readline() == b"done\n"
        now = Usage(shell.pid, {}, own_network=True).now()
        assert now.received_bytes is not None
        assert 5_000_000 <= now.received_bytes < 6_000_000
        assert now.sent_bytes == now.received_bytes
        assert Usage(shell.pid, {}, own_network=False).now().received_bytes is None


class Nvml(types.ModuleType):
    """A driver with two devices; the second is of a kind that says little."""

    class NVMLError(Exception): ...

    def __init__(self) -> None:
        super().__init__("pynvml")
        self.started = 0

    def nvmlInit(self) -> None:
        self.started += 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index > 1:
            raise self.NVMLError("Invalid Argument")
        return index

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> object:
        if handle == 1:
            raise self.NVMLError("Not Supported")
        return types.SimpleNamespace(gpu=87, memory=40)

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> object:
        return types.SimpleNamespace(total=80_000_000_000, used=20_000_000_000, free=60_000_000_000)

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        self.nvmlDeviceGetUtilizationRates(handle)
        return 350_500


class TestGpus:
    def test_each_device_in_the_replicas_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", Nvml())
        first = {
            "percent": 87,
            "memory_bytes": 20_000_000_000,
            "memory_percent": 25.0,
            "power_watts": 350.5,
        }
        second = {"memory_bytes": 20_000_000_000, "memory_percent": 25.0}
        assert Gpus([1, 0, 7]).now() == [second, first, {}]

    def test_nothing_is_loaded_without_gpus(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nvml = Nvml()
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        assert Gpus([]).now() == []
        assert nvml.started == 0

    def test_no_driver_is_no_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        nvml = Nvml()
        monkeypatch.setattr(nvml, "nvmlInit", lambda: (_ for _ in ()).throw(nvml.NVMLError("no driver")))
        monkeypatch.setitem(sys.modules, "pynvml", nvml)
        assert Gpus([0]).now() == []
        monkeypatch.setitem(sys.modules, "pynvml", None)
        assert Gpus([0]).now() == []
