"""Samples of what work uses, lines of ``samples.jsonl``: ``ReplicaSample`` of ``nacre.schema.launch``.

The first after about a second, then one each 5 s, the last at the end. Work of hours is looked at more
seldom, down to each 30 s: a month of it is some 20 MB here.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from nacre.launcher import processes
from nacre.launcher.folder import Folder
from nacre.launcher.usage import Gpus, Reading, Usage

_SHARE = 250
"""So many times as long as a look took it waits for the next one: 0.4 % of a core at most."""
_SHORTEST_S = 1.0
"""The last sample is left out when there was one just before: rates would say nothing."""
_MOST_BYTES = 16 * 2**20
"""Of the file on the disk, where the server is away for weeks; what it has taken is given back."""


def interval_s(age_s: float) -> float:
    """Seconds between samples of work that has run for so long."""
    return min(30.0, max(5.0, age_s / 2000))


class Samples:
    """Of one launch. A launcher that goes on with it knows no rates at first."""

    def __init__(
        self,
        folder: Folder,
        usage: Usage,
        gpus: Gpus,
        *,
        start: int,
        extra_processes: int,
        disk: Callable[[], int | None],
    ) -> None:
        """``start``: of the work's shell, as in ``/proc``; ``disk``: bytes in the work's folders now.

        ``extra_processes``: the sandbox's own, which do not count.
        """
        self._usage = usage
        self._gpus = gpus
        self._start = start
        self._extra = extra_processes
        self._disk = disk
        self._fd = os.open(folder.path("samples.jsonl"), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        first = not self._repair()
        self._at = time.monotonic() - processes.elapsed_s(start)
        before = (self._at, 0) if first else None
        self._rates = {name: _Rate(before) for name in ("cpu", "read", "written")}

    def _repair(self) -> bool:
        """Cut off half a line of a launcher that was killed; whether there is any line."""
        size = os.fstat(self._fd).st_size
        tail = os.pread(self._fd, 64 * 2**10, max(0, size - 64 * 2**10))
        if not tail.endswith(b"\n"):
            os.ftruncate(self._fd, size - len(tail) + tail.rfind(b"\n") + 1)
        return os.fstat(self._fd).st_size > 0

    def run(self, ended: threading.Event) -> None:
        """Sample until the work has ended."""
        while True:
            began = time.thread_time()
            self.take()
            took = time.thread_time() - began
            if ended.wait(max(interval_s(processes.elapsed_s(self._start)), _SHARE * took)):
                break
        self.take(last=True)

    def take(self, *, last: bool = False) -> None:
        """Append a sample. ``last``: all of the work has ended, and holds nothing any more."""
        now = time.monotonic()
        if last and now - self._at < _SHORTEST_S:
            return
        reading = self._usage.after() if last else self._usage.now()
        sample = self._sample(reading, now)
        self._at = now
        if last and "cpu_percent" not in sample:
            return
        if not last and (gpus := self._gpus.now()):
            sample["gpus"] = gpus
        self._append(json.dumps(sample, separators=(",", ":")).encode() + b"\n")

    def _sample(self, reading: Reading, now: float) -> dict[str, Any]:
        cpu = self._rates["cpu"].since(reading.cpu_s, now)
        read = self._rates["read"].since(reading.read_bytes, now)
        written = self._rates["written"].since(reading.written_bytes, now)
        most = 100 * (os.cpu_count() or 1)  # a count of clock ticks may be a little ahead
        count = reading.processes
        sample = {
            "time_ms": time.time_ns() // 1_000_000,
            "cpu_percent": None if cpu is None else round(min(100 * cpu, most), 2),
            "memory_bytes": reading.memory_bytes,
            "disk_bytes": self._disk(),
            "disk_read_bytes_s": None if read is None else round(read),
            "disk_write_bytes_s": None if written is None else round(written),
            "network_receive_bytes": reading.received_bytes,
            "network_transmit_bytes": reading.sent_bytes,
            "processes": None if count is None else max(0, count - self._extra),
        }
        return {name: value for name, value in sample.items() if value is not None}

    def _append(self, line: bytes) -> None:
        """The whole line or nothing: a full disk costs samples and no more."""
        facts = os.fstat(self._fd)
        if facts.st_blocks * 512 > _MOST_BYTES:
            return
        try:
            written = os.write(self._fd, line)
        except OSError:
            return
        if written < len(line):
            os.ftruncate(self._fd, facts.st_size)


class _Rate:
    """Of a counter that sums over processes: one that nobody waited for yet may be missing for a moment."""

    def __init__(self, before: tuple[float, float] | None) -> None:
        """``before``: a time in seconds and the count then; None when nothing is known."""
        self._before = before
        self._dips = 0

    def since(self, count: float | None, now: float) -> float | None:
        """Per second since the count before; None when that, or this one, is not known."""
        if count is None:
            return None
        before = self._before
        if before is not None and count < before[1] and self._dips < 3:
            self._dips += 1
            return None
        self._before, self._dips = (now, count), 0
        if before is None or count < before[1] or now <= before[0]:
            return None
        return (count - before[1]) / (now - before[0])
