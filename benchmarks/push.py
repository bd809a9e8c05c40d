"""Pushing data against the limit: hashing and copying the same file, in the same run.

    python benchmarks/push.py [--mib 1024] [--files 10000] [--rounds 3] [--folder DIR]

The limit of a push is what no push can avoid: hash the file, copy it, and sync the copy to the disk. Each
round measures limit and push one after the other, so that other load on the machine meets both; the table
shows medians. A real server (the routes of blobs and data, SQLite, the file store) runs as a process of its
own on loopback.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from blake3 import blake3
from rich.console import Console
from rich.table import Table

from nacre.sdk.push import PushProgress
from nacre.sdk.resources.data import Data
from nacre.sdk.transport import Transport

_SETTLE_S = 2.2  # a file changed less than two seconds ago is not remembered by the client's cache


class _Sent(PushProgress):
    def __init__(self) -> None:
        self.bytes = 0
        self.read = 0

    def hashed(self, size: int) -> None:
        self.read += size

    def sent(self, size: int) -> None:
        self.bytes += size


@contextmanager
def server(folder: Path) -> Iterator[tuple[str, int]]:
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "nacre.testing.data_server", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        url, pid = process.stdout.readline().split()
        yield url, int(pid)
    finally:
        process.communicate(timeout=60)


def seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def write_random(path: Path, mib: int) -> None:
    with path.open("wb") as file:
        for _ in range(mib):
            file.write(os.urandom(2**20))
        file.flush()
        os.fsync(file.fileno())


def limit(source: Path, target: Path) -> None:
    blake3(max_threads=blake3.AUTO).update_mmap(source)
    shutil.copyfile(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def limit_many(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            blake3(path.read_bytes())
    shutil.copytree(source, target)
    os.sync()


def peak_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


class Bench:
    def __init__(self, work: Path, data: Data, rounds: int) -> None:
        self.work = work
        self.data = data
        self.rounds = rounds
        self.rows: list[tuple[str, float, float | None, int]] = []

    def push(self, path: Path, name: str) -> tuple[float, _Sent]:
        sent = _Sent()
        return seconds(lambda: self.data.push(path, name, progress=sent)), sent

    def large(self, mib: int) -> None:
        limits, pushes, agains, sent = [], [], [], _Sent()
        for number in range(self.rounds):
            source, copy = self.work / f"large{number}", self.work / "copy"
            write_random(source, mib)
            time.sleep(_SETTLE_S)
            limits.append(seconds(lambda s=source, c=copy: limit(s, c)))
            copy.unlink()
            took, sent = self.push(source, f"large{number}")
            pushes.append(took)
            took, again = self.push(source, f"large{number}")
            agains.append(took)
            assert again.bytes == again.read == 0
            source.unlink()
        best = statistics.median(limits)
        self.rows.append((f"hash + copy + sync, {mib} MiB (the limit)", best, None, 0))
        self.rows.append((f"push, {mib} MiB", statistics.median(pushes), best, sent.bytes))
        self.rows.append(("push again, unchanged", statistics.median(agains), None, 0))

    def many(self, files: int) -> None:
        limits, pushes, agains, sent = [], [], [], _Sent()
        for number in range(self.rounds):
            source, copy = self.work / f"many{number}", self.work / "copies"
            for index in range(files):
                path = source / f"{index % 100:02}" / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(os.urandom(784))
            time.sleep(_SETTLE_S)
            limits.append(seconds(lambda s=source, c=copy: limit_many(s, c)))
            shutil.rmtree(copy)
            took, sent = self.push(source, f"many{number}")
            pushes.append(took)
            took, again = self.push(source, f"many{number}")
            agains.append(took)
            assert again.bytes == again.read == 0
        best = statistics.median(limits)
        self.rows.append((f"hash + copy + sync, {files:,} files of 784 B", best, None, 0))
        self.rows.append((f"push, {files:,} files", statistics.median(pushes), best, sent.bytes))
        self.rows.append(("push again, unchanged", statistics.median(agains), None, 0))
        target = self.work / "pulled"
        took = seconds(lambda: self.data.pull(f"many{self.rounds - 1}", target))
        self.rows.append((f"pull, {files:,} files", took, None, 0))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--mib", type=int, default=1024)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=None, help="on the disk to measure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="nacre-push-", dir=options.folder) as name:
        work = Path(name)
        os.environ["NACRE_HOME"] = str(work / "home")
        with server(work / "server") as (url, pid):
            transport = Transport(url, "bench")
            bench = Bench(work, Data(transport, "vision"), options.rounds)
            bench.large(options.mib)
            bench.many(options.files)
            peak = peak_mib(pid)
            transport.close()
    table = Table("what", "median s", "of the limit", "bytes sent")
    for what, took, best, sent in bench.rows:
        table.add_row(
            what, f"{took:.3f}", f"{best / took:.2f}" if best else "", f"{sent:,}" if sent else ""
        )
    console = Console()
    console.print(table)
    console.print(
        f"server's peak memory {peak:.0f} MiB; {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} "
        f"over the last minute; aim of DESIGN.md: push of a large file at 0.8 of the limit"
    )


if __name__ == "__main__":
    main()
