"""Durability: whatever is killed, nothing is lost, nothing is done twice, nothing is paid for twice."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest
from real_server import MakeServer, Server, wait_until
from served import ask, deploy

from nacre.errors import Unavailable
from nacre.schema.jobs import Job, JobState
from nacre.schema.usage import UsageRecord

pytestmark = pytest.mark.slow

STEPS = 60
STEADY = f"""
import os, time, nacre
started = time.time()
for i in range({STEPS}):
    nacre.log_metric("i", i, step=i)
    print(f"line {{i}} at {{time.time():.3f}}", flush=True)
    time.sleep(max(0, started + (i + 1) * 0.1 - time.time()))
with open(os.environ["NACRE_OUTPUT_DIR"] + "/result.txt", "w") as file:
    file.write("done")
raise SystemExit(7)
"""


def lines_of(server: Server, job: Job) -> list[str]:
    return server.log(job).decode().splitlines()


def wait_for_line(server: Server, number: int) -> None:
    """Until the script itself, whoever listens to it, has come this far."""
    log: Path = wait_until("the job has a log", lambda: _own_log(server))
    wait_until(f"line {number} is printed", lambda: f"line {number} ".encode() in log.read_bytes())


def _own_log(server: Server) -> Path | None:
    return next(iter((server.home / "attempts").glob("*/0/log")), None)


def usage_of(server: Server, subject: str) -> list[UsageRecord]:
    return [record for record in server.client().usage.list(limit=None) if record.subject == subject]


def assert_whole(server: Server, job: Job) -> None:
    """Every line and point of ``STEADY`` once, in order; code, artifact, and one fitting usage record."""
    lines = lines_of(server, job)
    assert [line.split(" at ")[0] for line in lines] == [f"line {i}" for i in range(STEPS)]
    points = server.client().runs.metric(job.run, "i").points
    assert [(point.step, point.value) for point in points] == [(i, float(i)) for i in range(STEPS)]
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "exit_nonzero", 7)
    assert len(job.attempts) == 1
    assert [file.path for file in server.client().runs.artifacts(job.run).files] == ["result.txt"]
    [record] = usage_of(server, job.id)
    first, last = (float(line.split(" at ")[1]) for line in (lines[0], lines[-1]))
    assert job.started_at is not None
    assert record.ended_at == job.ended_at is not None
    assert first - 3 < record.started_at.timestamp() <= job.started_at.timestamp() <= first
    assert last <= record.ended_at.timestamp() < last + 3


def test_kill_9_of_the_server_during_a_run_loses_and_repeats_nothing(make_server: MakeServer) -> None:
    server = make_server()
    job = server.submit({"main.py": STEADY})
    for line in (5, 20, 40):
        wait_for_line(server, line)
        server.kill9()
        wait_for_line(server, line + 5)
        server.start()
    assert_whole(server, server.wait(job))


def test_kill_9_of_the_launcher_during_a_run_loses_and_repeats_nothing(make_server: MakeServer) -> None:
    server = make_server()
    job = server.submit({"main.py": STEADY})
    killed = set()
    for line in (5, 20, 40):
        wait_for_line(server, line)
        pid = wait_until("there is a launcher", lambda: launcher_of(server, but=killed))
        os.kill(pid, signal.SIGKILL)
        killed.add(pid)
    done = server.wait(job)
    assert len(killed) == 3
    assert_whole(server, done)


def launcher_of(server: Server, but: set[int]) -> int | None:
    for path in (server.home / "attempts").glob("*/0/launcher.json"):
        try:
            pid = int(json.loads(path.read_text())["pid"])
        except ValueError:
            return None
        if pid not in but and psutil.pid_exists(pid):
            return pid
    return None


def test_kill_9_of_both_during_a_run_loses_and_repeats_nothing(make_server: MakeServer) -> None:
    server = make_server()
    job = server.submit({"main.py": STEADY})
    wait_for_line(server, 10)
    pid = launcher_of(server, but=set())
    assert pid is not None
    server.kill9()
    os.kill(pid, signal.SIGKILL)
    wait_for_line(server, 30)
    server.start()
    assert_whole(server, server.wait(job))


def test_a_run_that_ends_while_the_server_is_down_ends_as_it_did(make_server: MakeServer) -> None:
    server = make_server()
    job = server.submit({"main.py": STEADY})
    wait_for_line(server, STEPS - 20)
    server.kill9()
    exit_file = next((server.home / "attempts").glob("*/0")) / "exit"
    wait_until("the script has ended", exit_file.exists)
    time.sleep(0.5)  # nobody waits for this: an end that is noticed late must not count as late
    server.start()
    assert_whole(server, server.wait(job))


def test_a_server_that_comes_back_on_another_port_is_found_by_what_runs(make_server: MakeServer) -> None:
    server = make_server()
    job = server.submit({"main.py": STEADY})
    wait_for_line(server, 10)
    server.kill9()
    server.move()
    server.start()
    assert_whole(server, server.wait(job))


ONCE = """
import os
with open(os.environ["NACRE_CHECKPOINT_DIR"] + "/ran", "a") as file:
    file.write("ran\\n")
print("ran")
"""


def test_jobs_submitted_while_the_server_is_killed_at_random_run_exactly_once(
    make_server: MakeServer,
) -> None:
    """Killed while they are queued, placed, launched, prepared, running or ending."""
    server = make_server()
    chance = random.Random(20_240)
    first = server.wait(server.submit({"main.py": ONCE}))
    again = first.spec.model_copy(update={"name": None})
    told: list[str] = []
    stop = threading.Event()

    def submit() -> None:
        while not stop.is_set():
            try:
                told.append(server.client().jobs.submit(again).id)
            except Unavailable:
                time.sleep(0.05)
            stop.wait(0.15)

    thread = threading.Thread(target=submit)
    thread.start()
    try:
        kills = 0
        while kills < 5 or (len(told) < 10 and kills < 50):
            time.sleep(chance.uniform(0.1, 1.0))  # this is the random moment
            server.kill9()
            server.start()
            kills += 1
    finally:
        stop.set()
        thread.join()
    jobs = server.client().jobs.list()
    assert set(told) <= {job.id for job in jobs}
    assert len(told) >= 10
    for listed in jobs:
        job = server.wait(listed)
        assert (job.state, job.exit_code, len(job.attempts)) == (JobState.SUCCEEDED, 0, 1), job
        assert (server.home / "checkpoints" / job.id / "ran").read_text() == "ran\n"
        assert server.log(job) == b"ran\n"
        [record] = usage_of(server, job.id)
        assert record.ended_at == job.ended_at
    wait_until("nothing is left of the attempts", lambda: not list((server.home / "attempts").iterdir()))


def test_logs_that_are_followed_go_on_when_the_server_comes_back(make_server: MakeServer) -> None:
    """Also when it was stopped orderly, which ends every stream."""
    server = make_server()
    job = server.submit({"main.py": STEADY})
    follower = server.popen("logs", "-f", job.name)
    wait_for_line(server, 10)
    server.stop()
    wait_for_line(server, 15)
    server.start()
    wait_for_line(server, 30)
    server.kill9()
    server.start()
    printed, said = follower.communicate(timeout=60)
    assert printed == server.log(job)
    assert (follower.returncode, said) == (0, b"")


def test_an_attached_run_waits_for_the_server_and_ends_with_the_jobs_exit_code(
    make_server: MakeServer, tmp_path: Path
) -> None:
    server = make_server()
    (tmp_path / "main.py").write_text(STEADY)
    attached = server.popen("run", "--cpu", "0.5", "main.py", cwd=tmp_path)
    wait_for_line(server, 10)
    server.kill9()
    wait_for_line(server, 25)  # longer than any single try to connect
    server.start()
    printed, _ = attached.communicate(timeout=60)
    assert attached.returncode == 7
    [job] = server.client().jobs.list()
    assert printed == server.log(job)
    assert_whole(server, server.wait(job))


def test_kill_9_while_an_environment_is_built(make_server: MakeServer) -> None:
    """The build is begun again; no half of one is ever taken for an environment."""
    server = make_server(start=False)
    folder = server.home / "environments"
    folder.unlink()  # not the shared one: this one must be built
    server.start()
    nacre = server.client()
    nacre.environments.create("small", requirements="six\nidna\n")
    job = server.submit(commands=["python -c 'import six, idna; print(six.__name__)'"], environment="small")
    for state in ("resolving", "building"):
        wait_until(
            f"it is {state}", lambda state=state: _environment(server) in (state, "ready"), every_s=0.002
        )
        server.kill9()
        server.start()
    done = server.wait(job)
    assert (done.state, server.log(done)) == (JobState.SUCCEEDED, b"six\n")
    assert len(done.attempts) == 1
    [record] = usage_of(server, job.id)
    assert record.seconds < 10  # waiting for the environment costs nothing
    assert _environment(server) == "ready"
    assert [child.pid for child in psutil.Process(server.pid).children() if "uv" in child.name()] == []


def _environment(server: Server) -> str:
    return str(server.client().environments.get("small").state)


def test_an_instance_outlives_kill_9_of_the_server(make_server: MakeServer) -> None:
    server = make_server()
    nacre = server.client()
    instance = nacre.instances.create("lab", environment="base")
    assert nacre.instances.wait("lab", timeout_s=200).state == "running"
    with httpx.Client(follow_redirects=True, timeout=30) as browser:
        assert browser.get(nacre.instances.open("lab").url).status_code == 200
        status = f"{server.content_url}/instances/{instance.id}/api/status"
        started = browser.get(status).json()["started"]
        server.kill9()
        with pytest.raises(httpx.ConnectError):
            browser.get(status)
        server.start()
        answer = browser.get(status)
        assert (answer.status_code, answer.json()["started"]) == (200, started)
    said = server.run("instance", "exec", "lab", "print(6 * 7)").stdout
    assert b"42" in said
    nacre.instances.stop("lab")
    wait_until("it has stopped", lambda: nacre.instances.get("lab").state == "stopped")
    [record] = usage_of(server, instance.id)
    assert record.ended_at is not None


def test_an_endpoint_answers_while_the_server_is_dead(make_server: MakeServer) -> None:
    server = make_server()
    endpoint = deploy(server)
    assert ask(server, endpoint.url) == [2.0, 4.0]
    server.kill9()
    assert ask(server, endpoint.url) == [2.0, 4.0]
    server.start()
    assert ask(server, endpoint.url) == [2.0, 4.0]
    [record] = usage_of(server, endpoint.id)
    assert record.ended_at is None
    server.kill9()
    server.move()
    server.start()
    moved = server.client().endpoints.wait("double", timeout_s=30)
    assert moved.url.startswith(server.inference_url)
    wait_until("it answers there", lambda: _answers(server, moved.url), timeout_s=15)
    server.client().endpoints.delete("double")
    [record] = usage_of(server, endpoint.id)
    assert record.ended_at is not None
    wait_until("the model server has ended", lambda: len(server.processes()) == 1)


def _answers(server: Server, url: str) -> bool:
    try:
        return ask(server, url) == [2.0, 4.0]
    except OSError:
        return False
