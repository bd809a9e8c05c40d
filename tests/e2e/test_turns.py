"""Turns on a real machine: fair shares, and spot work that comes back as if nothing had been."""

from __future__ import annotations

import time
from collections import Counter

import pytest
from real_server import MakeServer, Server, wait_until

from nacre.errors import NotFound
from nacre.schema.jobs import Job
from nacre.sdk.client import Client

pytestmark = pytest.mark.slow

TRAIN = """
import json, os, time, nacre

# A deterministic descent that saves its state after each step.
path = os.path.join(os.environ["NACRE_CHECKPOINT_DIR"], "state.json")
state = {"step": 0, "x": 1.0, "v": 0.0}
if os.path.exists(path):
    with open(path) as file:
        state = json.load(file)
while state["step"] < 40:
    gradient = 2 * state["x"] + 0.3 * state["x"] ** 3
    state["v"] = 0.9 * state["v"] - 0.01 * gradient
    state["x"] += state["v"]
    state["step"] += 1
    with open(path + ".tmp", "w") as file:
        json.dump(state, file)
    os.replace(path + ".tmp", path)
    nacre.log_metric("x", state["x"], step=state["step"])
    time.sleep(0.2)
print(json.dumps(state))
"""


def whole_machine(server: Server) -> dict[str, object]:
    (node,) = server.client().nodes.list()
    return {"cpu": node.cpu, "memory": "512MB"}


def steps(client: Client, job: Job) -> list[tuple[int, float]]:
    try:
        return [(point.step, point.value) for point in client.runs.metric(job.run, "x").points]
    except NotFound:  # nothing was logged yet
        return []


def test_a_spot_job_pre_empted_three_times_ends_as_if_undisturbed(make_server: MakeServer) -> None:
    server = make_server()
    client = server.client()
    whole = whole_machine(server)
    plain = server.submit({"main.py": TRAIN}, resources=whole)
    undisturbed = server.wait(plain, timeout_s=120)
    assert undisturbed.state == "succeeded", undisturbed.message
    spot = server.submit({"main.py": TRAIN}, resources=whole, spot=True, stop_duration=5)
    assert spot.price_per_hour == undisturbed.price_per_hour // 2
    for times in range(1, 4):
        wait_until("it trains", lambda times=times: len(steps(client, spot)) > 5 * times)
        other = server.submit(commands=["true"], resources=whole)
        assert server.wait(other).state == "succeeded"
        assert [a.reason for a in client.jobs.get(spot.name).attempts][:times] == ["preempted"] * times
    ended = server.wait(spot, timeout_s=120)
    assert ended.state == "succeeded", ended.message
    assert [a.reason for a in ended.attempts] == ["preempted"] * 3 + ["succeeded"]
    assert server.log(ended).decode().splitlines()[-1] == server.log(undisturbed).decode().splitlines()[-1]
    assert steps(client, ended)[-1] == steps(client, undisturbed)[-1], "equal to the last bit"
    paid = [r for r in client.usage.list(limit=None) if r.subject == spot.id]
    assert len(paid) == 4


def test_two_projects_that_submit_many_short_jobs_get_equal_turns(make_server: MakeServer) -> None:
    server = make_server()
    first = server.client()
    first.projects.create("second")
    second = server.client(project="second")
    jobs = 30
    spec = {"commands": ["sleep 0.2"], "resources": {"cpu": 1, "memory": "64MB"}}
    mine = [server.submit(client=first, **spec) for _ in range(jobs)]
    time.sleep(2)  # the first project is well ahead
    theirs = [server.submit(client=second, **spec) for _ in range(jobs)]
    waiting_until = theirs[-1].created_at
    ended = [server.wait(job, client=first, timeout_s=180) for job in mine]
    ended += [server.wait(job, client=second, timeout_s=180) for job in theirs]
    assert {job.state for job in ended} == {"succeeded"}
    starts = sorted((job.started_at, job.project) for job in ended if job.started_at)
    both = [project for at, project in starts if at > waiting_until]
    last = min(max(i for i, one in enumerate(both) if one == name) for name in ("default", "second"))
    turns = Counter(both[: last + 1])  # while both had something to start
    assert abs(turns["default"] - turns["second"]) <= max(2, 0.1 * sum(turns.values())), turns
