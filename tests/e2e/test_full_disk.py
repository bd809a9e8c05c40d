"""Disks that are full or read-only: each is a clear sentence, nothing dies of it, and it passes."""

from __future__ import annotations

import os
import subprocess
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
    with filler.open("wb", buffering=0) as stream:
        for size in (MIB, 4096):
            try:
                while True:
                    stream.write(b"\0" * size)
            except OSError:
                continue
    facts = os.statvfs(server.home)
    assert facts.f_bavail == 0
    return filler


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
