"""What work uses, read from its control groups, from ``/proc`` and from the GPUs' driver. Imported late."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, NamedTuple

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Process(NamedTuple):
    """What counts of ``/proc/PID/stat``; ``cpu_s`` with children that have ended and were waited for."""

    pid: int
    dead: bool
    cpu_s: float
    rss_bytes: int


class Reading(NamedTuple):
    """Counters since the work began, and what it holds now; None: not known."""

    cpu_s: float | None = None
    read_bytes: int | None = None
    written_bytes: int | None = None
    received_bytes: int | None = None
    sent_bytes: int | None = None
    memory_bytes: int | None = None
    processes: int | None = None


class Usage:
    """Of the processes below a shell, which are in these control groups (``Groups.paths``), if any.

    CPU time is the groups' count, else the sum over the processes, living and waited for. Memory is the
    working set: what is in use, without file cache that lies idle; without a group the sum of what is
    resident. Bytes of files are those that really went to or came from storage. Bytes of network are those
    of the work's own network namespace; one that it shares with this process says nothing about it.
    """

    def __init__(
        self, shell: int, groups: dict[str, str], *, own_network: bool, proc: str = "/proc"
    ) -> None:
        self._shell = shell
        self._proc = proc
        self._own_network = own_network
        self._inside: int | None = None
        folders = list(dict.fromkeys(groups[key] for key in ("kill", "cpu", "memory") if key in groups))
        self._cpu = _first(folders, "cpuacct.usage") or _first(folders, "cpu.stat", "usage_usec")
        self._io = _first(folders, "io.stat")
        self._memory = groups.get("memory")

    def now(self) -> Reading:
        """All of it, while the work runs."""
        tree = self._tree()
        living = [one for one in tree if not one.dead and one.pid != self._shell]
        read, written = self._storage(tree)
        received, sent = self._network(living)
        memory = self._working_set()
        if memory is None and living:
            memory = sum(one.rss_bytes for one in living)
        cpu = self._group_cpu()
        if cpu is None and tree:
            cpu = sum(one.cpu_s for one in tree)
        return Reading(cpu, read, written, received, sent, memory, len(living))

    def after(self) -> Reading:
        """What is still known when all of it has ended: the groups are there until they are removed."""
        read, written = self._storage([])
        return Reading(cpu_s=self._group_cpu(), read_bytes=read, written_bytes=written)

    def _tree(self) -> list[Process]:
        """The shell and everything below it, the dead that nobody waited for too."""
        found = []
        waiting = [self._shell]
        while waiting:
            pid = waiting.pop()
            one = self._stat(pid)
            if one is not None:
                found.append(one)
                waiting += self._children(pid)
        return found

    def _stat(self, pid: int) -> Process | None:
        data = _read(f"{self._proc}/{pid}/stat")
        words = data[data.rfind(")") + 2 :].split()
        if len(words) < 22:
            return None
        ticks = sum(int(word) for word in words[11:15])
        return Process(pid, words[0] in "ZX", ticks / _TICK, int(words[21]) * _PAGE)

    def _children(self, pid: int) -> list[int]:
        """Every thread has children of its own."""
        try:
            threads = os.listdir(f"{self._proc}/{pid}/task")
        except OSError:
            return []
        found = []
        for thread in threads:
            found += [int(w) for w in _read(f"{self._proc}/{pid}/task/{thread}/children").split()]
        return found

    def _group_cpu(self) -> float | None:
        if self._cpu is None:
            return None
        text = _read(self._cpu)
        if self._cpu.endswith("cpuacct.usage"):
            return int(text) / 1e9 if text.strip().isdigit() else None
        used = _field(text, "usage_usec")
        return None if used is None else used / 1e6

    def _working_set(self) -> int | None:
        if self._memory is None:
            return None
        for total, idle in (
            ("memory.current", "inactive_file"),
            ("memory.usage_in_bytes", "total_inactive_file"),
        ):
            used = _read(f"{self._memory}/{total}").strip()
            if used.isdigit():
                return max(0, int(used) - (_field(_read(f"{self._memory}/memory.stat"), idle) or 0))
        return None

    def _storage(self, tree: list[Process]) -> tuple[int | None, int | None]:
        if self._io is not None:
            words = _read(self._io).split()
            return _sum(words, "rbytes="), _sum(words, "wbytes=")
        counts = [_read(f"{self._proc}/{one.pid}/io") for one in tree]
        read = [_field(text, "read_bytes:") for text in counts]
        written = [_field(text, "write_bytes:") for text in counts]
        return _known(read), _known(written)

    def _network(self, living: list[Process]) -> tuple[int | None, int | None]:
        if not self._own_network:
            return None, None
        own = self._namespace("self")
        pids = [one.pid for one in reversed(living)]
        if self._inside in pids:
            pids.insert(0, self._inside)
        self._inside = next((pid for pid in pids if self._namespace(pid) not in (None, own)), None)
        if self._inside is None:
            return None, None
        rows = [
            line.split(":")[1].split()
            for line in _read(f"{self._proc}/{self._inside}/net/dev").splitlines()[2:]
        ]
        return sum(int(row[0]) for row in rows), sum(int(row[8]) for row in rows)

    def _namespace(self, pid: int | str) -> str | None:
        try:
            return os.readlink(f"{self._proc}/{pid}/ns/net")
        except OSError:
            return None


class Gpus:
    """Devices by their indices on this node, through NVML; of each all, whoever uses it."""

    def __init__(self, indices: list[int]) -> None:
        self._nvml: Any = None
        self._handles: list[Any] = []
        if not indices:
            return
        try:
            nvml = import_module("pynvml")
            nvml.nvmlInit()
        except Exception:  # no package, no driver, or not the one it was made for: then nothing is known
            return
        self._nvml = nvml
        self._handles = [self._try(nvml.nvmlDeviceGetHandleByIndex, index) for index in indices]

    def now(self) -> list[dict[str, float]]:
        """``GpuSample`` of each; without what the driver does not tell."""
        return [{} if handle is None else self._one(handle) for handle in self._handles]

    def _one(self, handle: Any) -> dict[str, float]:
        nvml, found = self._nvml, {}
        busy = self._try(nvml.nvmlDeviceGetUtilizationRates, handle)
        memory = self._try(nvml.nvmlDeviceGetMemoryInfo, handle)
        power = self._try(nvml.nvmlDeviceGetPowerUsage, handle)
        if busy is not None:
            found["percent"] = busy.gpu
        if memory is not None:
            found["memory_bytes"] = memory.used
            found["memory_percent"] = round(100 * memory.used / memory.total, 2) if memory.total else 0.0
        if power is not None:
            found["power_watts"] = power / 1000
        return found

    def _try(self, call: Any, argument: object) -> Any:
        try:
            return call(argument)
        except self._nvml.NVMLError:
            return None


def _first(folders: list[str], name: str, needs: str = "") -> str | None:
    """The file of this name in the first folder where it has the word."""
    paths = (f"{folder}/{name}" for folder in folders)
    return next((path for path in paths if os.path.exists(path) and needs in _read(path)), None)


def _field(text: str, name: str) -> int | None:
    """The number in the line that begins with this word."""
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == name:
            return int(words[1])
    return None


def _sum(words: list[str], prefix: str) -> int:
    return sum(int(word[len(prefix) :]) for word in words if word.startswith(prefix))


def _known(counts: list[int | None]) -> int | None:
    """Their sum; None when none is known."""
    found = [count for count in counts if count is not None]
    return sum(found) if found else None


def _read(path: str) -> str:
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read()
    except OSError:
        return ""
    return (data or b"").decode("ascii", "replace")
