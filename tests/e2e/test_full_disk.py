"""Disks that are full or read-only: each is a clear sentence, nothing dies of it, and it passes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from real_server import MakeServer, Server, wait_until

from nacre.errors import Unavailable
from nacre.schema.jobs import FINAL_STATES, JobState

pytestmark = pytest.mark.slow

MIB = 2**20
Mount = Callable[[Path, str], None]


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts a tmpfs with these options over a folder, until the end of the test."""
    done: list[Path] = []

    def over(folder: Path, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "nacre-test", str(folder)]
        tried = subprocess.run(command, capture_output=True, text=True, check=False)
        if tried.returncode != 0:
            pytest.skip(f"nothing can be mounted here: {tried.stderr.strip()}")
        done.append(folder)

    yield over
    for folder in reversed(done):
        subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def small(make_server: MakeServer, mount: Mount, built_environments: Path) -> Server:
    """A server whose home has a disk of its own with 256 MiB."""
    server = make_server(start=False)
    mount(server.home, "size=256m,mode=0755")
    (server.home / "environments").symlink_to(built_environments)
    server.start()
    assert server.wait(server.submit({"main.py": "print(1)"})).state is JobState.SUCCEEDED
    return server


def fill(server: Server) -> Path:
    """Take all the space there is."""
    filler = server.home / "filler"
    top_up(filler)
    facts = os.statvfs(server.home)
    assert facts.f_bavail == 0
    return filler


def top_up(filler: Path) -> None:
    """Take what others gave back."""
    with filler.open("ab", buffering=0) as stream:
        for size in (MIB, 4096):
            try:
                while True:
                    stream.write(b"\0" * size)
            except OSError:
                continue


def test_up_on_a_read_only_disk(make_server: MakeServer, mount: Mount) -> None:
    server = make_server(start=False)
    mount(server.home, "ro")
    done = server.run("up", "--detach", "--port", str(server.port), check=False)
    assert done.returncode == 1
    assert b"is on a read-only file system" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("size", ["32k", "16m"])
def test_up_on_a_full_disk(make_server: MakeServer, mount: Mount, size: str) -> None:
    server = make_server(start=False)
    mount(server.home, f"size={size}")
    done = server.run("up", "--detach", "--port", str(server.port), check=False)
    assert done.returncode == 1
    assert b"free some space" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_push_onto_a_full_disk(small: Server, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(os.urandom(40 * MIB))
    filler = fill(small)
    done = small.run("data", "push", tmp_path / "large.bin", "--name", "large", check=False)
    assert done.returncode == 1
    assert b"full" in done.stderr.lower()
    assert b"Traceback" not in done.stderr
    assert small.client().server.status().jobs_running == 0
    filler.unlink()
    small.run("data", "push", tmp_path / "large.bin", "--name", "large")
    small.run("data", "pull", "large", tmp_path / "pulled")
    assert (tmp_path / "pulled" / "large.bin").read_bytes() == (tmp_path / "large.bin").read_bytes()


def test_a_submission_onto_a_full_disk(small: Server) -> None:
    """It is refused with a sentence, or it waits: it never vanishes."""
    nacre = small.client()
    filler = fill(small)
    refused, accepted = [], []
    for _ in range(5):
        try:
            accepted.append(small.submit({"main.py": "print(2)"}).id)
        except Unavailable as error:
            refused.append(error.detail)
    assert all("full" in sentence for sentence in refused)
    assert small.running
    filler.unlink()
    for job in accepted:
        assert small.wait(job).state in FINAL_STATES
    assert small.wait(small.submit({"main.py": "print(3)"})).state is JobState.SUCCEEDED
    assert all(record.ended_at for record in nacre.usage.list())


STEPS = 60
STEADY = f"""
import time, nacre
for i in range({STEPS}):
    nacre.log_metric("i", i, step=i)
    print(f"line {{i}}", flush=True)
    time.sleep(0.1)
"""


def test_a_disk_that_is_full_for_a_while_during_a_run(small: Server) -> None:
    """What the job itself could not write is the job's loss, and it says so; the server goes on."""
    job = small.submit({"main.py": STEADY})
    log = wait_until("it runs", lambda: next(iter((small.home / "attempts").glob("*/0/log")), None))
    wait_until("it prints", lambda: b"line 10\n" in log.read_bytes())
    filler = fill(small)
    wait_until("the server notices", lambda: small.client().server.status().jobs_running >= 0)
    small.kill9()
    filler.unlink()
    small.start()
    done = small.wait(job)
    assert small.log(job).startswith(b"".join(b"line %d\n" % i for i in range(10)))
    assert len(done.attempts) == 1
    if done.state is not JobState.SUCCEEDED:
        assert done.reason in ("disk_full", "exit_nonzero")
    [record] = [r for r in small.client().usage.list() if r.subject == job.id]
    assert record.ended_at == done.ended_at
    assert small.wait(small.submit({"main.py": "print(3)"})).state is JobState.SUCCEEDED


@pytest.mark.parametrize("adopted", [False, True])
def test_a_job_that_ends_while_the_disk_is_full(small: Server, adopted: bool) -> None:
    """Its end waits for space, also where a launcher is killed that knew it."""
    script = "import time; print('begun', flush=True); time.sleep(4); raise SystemExit(7)"
    job = small.submit({"main.py": script}, capture="off")
    wait_until("it prints", lambda: b"begun" in small.log(job))
    filler = fill(small)
    [attempt] = small.client().jobs.get(job.id).attempts
    folder = small.home / "attempts" / attempt.id / "0"
    if adopted:
        os.kill(json.loads((folder / "launcher.json").read_text())["pid"], signal.SIGKILL)
    end = time.monotonic() + 6
    while time.monotonic() < end or small.work(attempt.id):
        top_up(filler)
        time.sleep(0.01)
    filler.unlink()
    done = small.wait(job)
    assert [(one.reason, one.exit_code) for one in done.attempts] == [("exit_nonzero", 7)], done.message


CHATTY = """
import os, time
def free():
    facts = os.statvfs(".")
    return facts.f_bavail * facts.f_frsize
print("begun", flush=True)
while free():
    time.sleep(0.01)
for number in range(40_000):
    os.write(1, b"%099d\\n" % number)
raise SystemExit(7)
"""
MISSING = re.compile(
    r"\[nacre\] ([\d,]+) bytes of the log are missing here: the disk of the node was full\.\n"
)


def test_a_job_that_prints_onto_a_full_disk(small: Server) -> None:
    """It ends as it wanted to, and each byte is in the log or counted there."""
    job = small.submit({"main.py": CHATTY}, capture="off")
    wait_until("it prints", lambda: b"begun" in small.log(job))
    filler = fill(small)
    [attempt] = small.client().jobs.get(job.id).attempts
    folder = small.home / "attempts" / attempt.id / "0"
    end = time.monotonic() + 60
    while small.work(attempt.id):
        assert time.monotonic() < end, "it does not end"
        top_up(filler)
        time.sleep(0.01)
    assert (folder / "log").stat().st_size < 4_000_000
    filler.unlink()
    done = small.wait(job)
    assert [(one.reason, one.exit_code) for one in done.attempts] == [("exit_nonzero", 7)], done.message
    log = small.log(job).decode()
    lost = sum(int(count.replace(",", "")) for count in MISSING.findall(log))
    kept = MISSING.sub("", log).removeprefix("begun\n").splitlines()
    numbers = [int(line) for line in kept]
    assert lost > 0
    assert 100 * len(numbers) + lost == 4_000_000
    assert numbers == sorted(numbers)
    assert numbers[-1] == 39_999
    assert {len(line) for line in kept} == {99}


def test_a_job_that_could_not_write_says_that_the_disk_was_full(small: Server) -> None:
    """Its last words, which the log had no room for at first, tell why it ended."""
    script = CHATTY.partition("for number")[0] + "open('mine', 'wb', 0).write(bytes(2**20))"
    job = small.submit({"main.py": script}, capture="off")
    wait_until("it prints", lambda: b"begun" in small.log(job))
    filler = fill(small)
    [attempt] = small.client().jobs.get(job.id).attempts
    wait_until("it ends", lambda: not small.work(attempt.id))
    os.truncate(filler, filler.stat().st_size - 8 * MIB)  # enough to tell, and full all the same
    done = small.wait(job)
    assert (done.reason, done.exit_code) == ("disk_full", 1), done.message
    assert "The disk of the node was full. " in str(done.message)
    assert "No space left on device" in str(done.message)


def test_a_job_that_fills_the_disk(small: Server) -> None:
    """With its output: it ends, the others and the server go on."""
    script = """
import os
with open(os.environ["NACRE_OUTPUT_DIR"] + "/big", "wb") as file:
    while True:
        file.write(b"x" * 2**20)
"""
    roomy = {"cpu": 0.25, "memory": "1GB", "shm_size": "16MB"}  # a tmpfs counts as its writer's memory
    job = small.wait(small.submit({"main.py": script}, resources=roomy))
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "disk_full", 1)
    assert "The disk of the node is full" in str(job.message)
    wait_until("its space is free again", lambda: _free(small) > 100 * MIB)
    assert small.wait(small.submit({"main.py": "print(3)"})).state is JobState.SUCCEEDED


def _free(server: Server) -> int:
    facts = os.statvfs(server.home)
    return facts.f_bavail * facts.f_frsize
