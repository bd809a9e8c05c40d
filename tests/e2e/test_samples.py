"""What a job uses is in its run while it runs, also when its launcher is killed in between."""

from __future__ import annotations

import json
import os
import signal
from itertools import pairwise

import pytest
from real_server import MakeServer, Server, wait_until

from nacre.schema.jobs import Job, JobState
from nacre.schema.runs import MetricPoint

pytestmark = pytest.mark.slow

CPU, MEMORY = "system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"

BURN = """
import time
kept = bytearray(200_000_000)
with open("file", "wb") as file:
    file.write(b"x" * 30_000_000)
began, before = time.time(), time.process_time()
while time.time() - began < SECONDS:
    pass
print((time.process_time() - before) / (time.time() - began))
"""


def submit(server: Server, seconds: float) -> Job:
    resources = {"cpu": 1, "memory": "1GB", "shm_size": "16MB"}
    program = BURN.replace("SECONDS", str(seconds))
    return server.submit({"main.py": program}, resources=resources)


def points(server: Server, job: Job, key: str) -> list[MetricPoint]:
    metrics = {metric.key for metric in server.client().runs.get(job.run).metrics}
    return server.client().runs.metric(job.run, key).points if key in metrics else []


def test_a_run_has_what_its_job_used(nacre_server: Server) -> None:
    job = submit(nacre_server, 12)
    wait_until("the first samples are there", lambda: len(points(nacre_server, job, MEMORY)) >= 2)
    assert nacre_server.client().jobs.get(job.id).state == JobState.RUNNING
    shown = nacre_server.run("show", job.name).stdout.decode()
    assert "CPU" in shown and "memory" in shown  # noqa: PT018 - one sentence
    assert nacre_server.wait(job).state == JobState.SUCCEEDED, nacre_server.log(job)

    share = 100 * float(nacre_server.log(job))  # near 100 where nobody else wants the cores
    cpu = points(nacre_server, job, CPU)
    steady = [point.value for point in cpu if point.step > 2]
    assert len(steady) >= 2
    assert sum(steady) / len(steady) == pytest.approx(share, rel=0.2)
    memory = points(nacre_server, job, MEMORY)
    assert 200 < memory[-1].value < 400
    [percent] = [
        point.value for point in points(nacre_server, job, MEMORY.replace("megabytes", "percentage"))
    ][-1:]
    assert percent == pytest.approx(memory[-1].value * 1e6 / 2**30 * 100, abs=0.1)
    assert points(nacre_server, job, "system/disk_usage_megabytes")[-1].value == pytest.approx(30, rel=0.1)
    assert [point.step for point in cpu] == sorted({point.step for point in cpu})
    assert cpu[0].step <= 4
    assert cpu[-1].step <= 30

    own = nacre_server.run("runs", "ls", "--filter", f"attributes.run_name = '{job.name}'").stdout.decode()
    assert job.name in own
    assert "system/" not in own
    nacre_server.assert_gone(job)


HOLD = """
import os, time
kept = bytearray(100_000_000 * (1 + int(os.environ["NACRE_RANK"])))
time.sleep(8)
"""


def test_replicas_have_curves_of_their_own(nacre_server: Server) -> None:
    resources = {"cpu": 0.5, "memory": "512MB", "shm_size": "16MB"}
    job = nacre_server.submit({"main.py": HOLD}, replicas=2, resources=resources)
    assert nacre_server.wait(job).state == JobState.SUCCEEDED, nacre_server.log(job)
    curves = [points(nacre_server, job, MEMORY.replace("/", f"/{rank}/", 1)) for rank in (0, 1)]
    first, second = (max(point.value for point in curve) for curve in curves)
    assert second - first == pytest.approx(100, abs=15)
    assert points(nacre_server, job, MEMORY) == []


def test_kill_9_of_the_launcher_costs_at_most_a_sample_and_doubles_none(make_server: MakeServer) -> None:
    server = make_server()
    job = submit(server, 18)
    wait_until("two samples are there", lambda: len(points(server, job, MEMORY)) >= 2)
    [launcher] = (server.home / "attempts").glob("*/0/launcher.json")
    pid = int(json.loads(launcher.read_text())["pid"])
    os.kill(pid, signal.SIGKILL)
    assert server.wait(job).state == JobState.SUCCEEDED, server.log(job)
    assert len(server.client().jobs.get(job.id).attempts) == 1
    times = [point.time_ms for point in points(server, job, MEMORY)]
    assert len(times) >= 4
    assert times == sorted(set(times))
    assert max(after - before for before, after in pairwise(times)) < 11_000
    server.assert_gone(job)
