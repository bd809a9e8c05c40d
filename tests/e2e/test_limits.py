"""Jobs that take all they can get: each limit holds, says so with numbers, and nothing is left behind."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from memory import Memory
from real_server import Server, wait_until

from nacre.schema.jobs import Job, JobState

pytestmark = [pytest.mark.timeout(180), pytest.mark.sandbox]

MIB = 2**20


def finish(server: Server, job: Job, timeout_s: float = 90) -> Job:
    """The job when it has ended and nothing of it is left."""
    ended = server.wait(job, timeout_s=timeout_s)
    server.assert_gone(ended)
    return ended


class Most:
    """The most that a number came to while a test went on."""

    def __init__(self, measure: Callable[[], int]) -> None:
        self.most = 0
        self._measure = measure
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, self._measure())

    def __enter__(self) -> Most:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def attempt_folder(server: Server, job: Job) -> Path:
    folders = server.home / "attempts"
    found = wait_until("it has a folder", lambda: server.client().jobs.get(job.id).attempts)
    return folders / str(found[0].id) / "0"


# The disk

FLOOD = """
import os
roots = [os.environ['NACRE_OUTPUT_DIR'], '.', os.path.expanduser('~'), '/run/nacre']
piece = os.urandom(1 << 20) * 4
n = 0
while True:
    n += 1
    with open(f'{roots[n % 4]}/{n}', 'wb') as f:
        for _ in range(8): f.write(piece)
"""

CRUMBS = """
import os
n = 0
while True:
    n += 1
    if n % 500 == 1:
        os.mkdir(f'd{n}')
        here = f'd{n}'
    with open(f'{here}/{n}', 'wb') as f: f.write(b'x' * 4096)
"""

CHECKPOINTS = """
import os
with open(os.environ['NACRE_CHECKPOINT_DIR'] + '/last', 'wb') as f:
    while True: f.write(bytes(1 << 20))
"""


@pytest.mark.parametrize(
    ("script", "quota"),
    [(FLOOD, 400 * MIB), (CRUMBS, 48 * MIB), (CHECKPOINTS, 200 * MIB)],
    ids=["flood", "crumbs", "checkpoints"],
)
def test_a_disk_that_is_filled_as_fast_as_it_can_ends_the_job_soon(
    nacre_server: Server, script: str, quota: int
) -> None:
    """Wherever it writes. The quota is watched, not hard: how far it gets past it is bounded."""
    job = nacre_server.submit(
        {"main.py": script},
        resources={"cpu": 1, "memory": "2GB", "disk": quota, "shm_size": "16MB"},
        max_duration=100,
    )
    job = finish(nacre_server, job, timeout_s=120)
    assert (job.state, job.reason) == (JobState.FAILED, "disk_full")
    said = re.search(r"filled its disk quota: (\d+\.\d) MiB of (\d+)\.0 MiB", str(job.message))
    assert said, job.message
    assert int(said[2]) * MIB == quota
    assert job.started_at is not None
    assert job.ended_at is not None
    seconds = (job.ended_at - job.started_at).total_seconds()
    print(f"{said[1]} MiB of {said[2]} after {seconds:.1f} s, {float(said[1]) / seconds:.0f} MiB/s")
    # When the last process is killed: 200 ms of the fastest of disks.
    assert 0.98 * quota <= float(said[1]) * MIB < quota + 200 * MIB
    isolation = job.attempts[0].isolation
    assert isolation is not None
    assert isolation["disk"] == "watched"


# Its end

STUBBORN = """
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, lambda *_: print('no', flush=True))
print('up', flush=True)
while True: time.sleep(1)
"""


def test_a_job_that_ignores_its_stop_has_its_grace_and_no_more(nacre_server: Server) -> None:
    job = nacre_server.submit({"main.py": STUBBORN}, stop_duration=2)
    wait_until("it runs", lambda: b"up" in nacre_server.log(job))
    began = time.monotonic()
    nacre_server.client().jobs.stop(job.id)
    job = finish(nacre_server, job)
    took = time.monotonic() - began
    assert 2 <= took < 12
    assert (job.state, job.reason) == (JobState.CANCELLED, "cancelled_by_user")
    assert job.attempts[0].exit_code in (None, 137)
    assert nacre_server.log(job) == b"up\nno\n"


DAEMON = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    for fd in range(256):
        try: os.close(fd)
        except OSError: pass
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT): signal.signal(number, signal.SIG_IGN)
    os.chdir('/')
    argv = ['nothing-of-nacre', '-c', 'import time; time.sleep(600)']
    os.execve(sys.executable, argv, {})
time.sleep(0.5)
print('done', flush=True)
"""


def test_a_daemon_that_broke_away_ends_with_its_job(nacre_server: Server) -> None:
    """It has another session, no open file, no variable of the job, and init for a parent."""
    job = finish(nacre_server, nacre_server.submit({"main.py": DAEMON}))
    assert (job.state, nacre_server.log(job)) == (JobState.SUCCEEDED, b"done\n")
    assert not _running(b"nothing-of-nacre")


def _running(word: bytes) -> list[str]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and word in (folder / "cmdline").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found


# Memory

WORKER = """
import multiprocessing, os, sys
def work(queue):
    held = [bytearray(8 << 20) for _ in range(100)]
    queue.put(len(held))
if __name__ == '__main__':
    queue = multiprocessing.Queue()
    worker = multiprocessing.Process(target=work, args=(queue,))
    worker.start(); worker.join()
    sys.exit(f'the worker ended with {worker.exitcode}')
"""

SHARED = """
with open('/dev/shm/tensor', 'wb') as f:
    for _ in range(120): f.write(bytes(1 << 20))
print('written', flush=True)
held = bytearray(64 << 20)
"""


@pytest.mark.parametrize(("script", "exit_code"), [(WORKER, 1), (SHARED, None)], ids=["worker", "shared"])
def test_memory_is_told_whoever_took_it(nacre_server: Server, script: str, exit_code: int | None) -> None:
    """Also when only a worker was killed, and when most of it lies in /dev/shm."""
    resources = {"cpu": 1, "memory": "160MB", "shm_size": "128MB"}
    job = finish(nacre_server, nacre_server.submit({"main.py": script}, resources=resources))
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "out_of_memory", exit_code), (
        job.message
    )
    assert "its limit is 160.0 MiB. It used 160.0 MiB at its peak." in str(job.message)
    assert ("ended with exit code 1: the worker ended with -9" in str(job.message)) == (exit_code == 1)


# The log

TORRENT = """
import os, time
line = (b'x' * 99 + b'\\n') * 2621  # a quarter MiB
began = time.monotonic()
sent = 0
while (now := time.monotonic() - began) < 15:
    if sent > now * 100 * 2**20:
        time.sleep(0.001)
        continue
    os.write(1, line)
    sent += len(line)
with open(os.environ['NACRE_OUTPUT_DIR'] + '/sent', 'w') as f: f.write(f'{sent} {now}')
"""


def test_a_log_of_100_mb_a_second_is_bounded_everywhere(nacre_server: Server, tmp_path: Path) -> None:
    """What is kept is kept; the job is not held up for the rest, and no disk fills up with it."""
    job = nacre_server.submit({"main.py": TORRENT}, resources={"cpu": 1, "memory": "256MB"})
    log = attempt_folder(nacre_server, job) / "log"

    def blocks() -> int:
        try:
            return log.stat().st_blocks * 512
        except OSError:
            return 0

    launcher = _launcher_memory(nacre_server, job)
    with Memory(nacre_server) as memory, Most(blocks) as spool, Most(launcher) as resident:
        job = finish(nacre_server, job)
    assert job.state is JobState.SUCCEEDED, job.message
    artifact = nacre_server.http().get(f"/api/v1/projects/default/runs/{job.run}/artifacts/sent")
    sent, seconds = map(float, artifact.text.split())
    kept = nacre_server.home / "logs" / job.attempts[0].id / "0.log"
    print(f"{sent / MIB / seconds:.0f} MiB/s; spool {spool.most / MIB:.0f} MiB")
    print(f"launcher {resident.most / MIB:.0f} MiB, server +{memory.grown / MIB:.0f} MiB")
    assert sent > 15 * 30 * MIB  # not held up by whoever reads it
    assert kept.stat().st_size < 257 * MIB
    with kept.open("rb") as stream:
        stream.seek(256 * MIB)
        notice = stream.read().decode()
    assert f"the command printed {int(sent) - 256 * MIB:,} bytes more than the {256 * MIB:,}" in notice
    assert spool.most < 256 * MIB + 200 * MIB
    assert memory.grown < 100 * MIB
    assert resident.most < 100 * MIB
    nacre_server.client().jobs.delete(job.id)


def _launcher_memory(server: Server, job: Job) -> Callable[[], int]:
    attempt = server.client().jobs.get(job.id).attempts[0].id

    def measure() -> int:
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if "nacre.launcher" in words and any(attempt in word for word in words):
                    return int(process.memory_info().rss)
            except psutil.Error:
                continue
        return 0

    return measure


# What nobody can have


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        ({"cpu": 0}, "cpu"),
        ({"cpu": -1}, "cpu"),
        ({"memory": 0}, "memory"),
        ({"memory": "-4GB"}, "memory"),
        ({"gpu": -1}, "gpu"),
        ({"disk": 0}, "disk"),
        ({"disk": -5}, "disk"),
        ({"shm_size": -1}, "shm_size"),
    ],
)
def test_nothing_and_less_is_refused(
    nacre_server: Server, resources: dict[str, Any], sentence: str
) -> None:
    before = len(list(nacre_server.client().jobs.list()))
    answer = nacre_server.http().post(
        "/api/v1/projects/default/jobs", json={"commands": ["true"], "resources": resources}
    )
    assert answer.status_code in (400, 422), answer.text
    assert f"resources.{sentence}" in answer.json()["detail"], answer.text
    assert len(list(nacre_server.client().jobs.list())) == before
