"""Jobs and attempts through HTTP and the SDK."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from blake3 import blake3
from tests.conftest import People
from tests.jobs_kit import Script, app_of, machine
from tests.tracking_kit import serving

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import NotFound, PermissionDenied, Unavailable
from nacre.schema.jobs import JobSpec
from nacre.sdk.client import Client
from nacre.testing.jobs import JobsWorld, lines

JOBS = "/api/v1/projects/vision/jobs"


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


@pytest.fixture
def url(world: JobsWorld, people: People) -> Iterator[str]:
    with serving(app_of(world, people)) as found:
        yield found


@pytest.fixture
def sdk(url: str) -> Iterator[Client]:
    with Client(url, "editor", project="vision") as client:
        yield client


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, headers={"Authorization": "Bearer editor"}) as client:
        yield client


def test_the_life_of_a_job_through_the_sdk(world: JobsWorld, sdk: Client) -> None:
    with machine(world, Script(output=b"one\ntwo\n\xff\x00")):
        plan = sdk.jobs.plan(JobSpec(commands=["python train.py"]))
        assert plan.price_per_hour > 0
        job = sdk.jobs.submit(JobSpec(commands=["python train.py"], env={"A": "1"}))
        assert b"".join(sdk.jobs.logs(job.name, follow=True)) == b"one\ntwo\n\xff\x00"
        ended = sdk.jobs.wait(job.name, timeout_s=30)
    assert (ended.state, ended.exit_code, ended.name) == ("succeeded", 0, "train-1")
    assert b"".join(sdk.jobs.logs(job.id, tail=1)) == b"\xff\x00"
    assert b"".join(sdk.jobs.logs(job.id, offset=4)) == b"two\n\xff\x00"
    assert [j.id for j in sdk.jobs.list()] == [job.id]
    assert sdk.jobs.list(active=True) == []
    sdk.jobs.delete(job.name)
    with pytest.raises(NotFound, match="nacre ps"):
        sdk.jobs.get(job.name)


def test_waiting_ends_with_the_change(world: JobsWorld, sdk: Client, people: People) -> None:
    job = sdk.jobs.submit(JobSpec(commands=["true"]))
    world.build_environments()
    threading.Timer(0.2, world.queue.advance).start()
    started = time.monotonic()
    found = sdk.jobs.get(job.id, unless="queued", wait_s=30)
    assert found.state == "preparing"
    assert time.monotonic() - started < 10
    assert sdk.jobs.get(job.id, unless="queued", wait_s=30).state == "preparing"
    assert sdk.jobs.get(job.id, unless="preparing", wait_s=0.05).state == "preparing"
    with pytest.raises(Unavailable, match="still preparing"):
        sdk.jobs.wait(job.id, timeout_s=0.05)


def test_a_changed_reason_is_a_change_for_who_asks(world: JobsWorld, sdk: Client) -> None:
    job = sdk.jobs.submit(JobSpec(commands=["true"]))
    threading.Timer(0.2, world.queue.advance).start()
    found = sdk.jobs.get(job.id, unless="queued:", wait_s=30)
    assert found.reason == "environment_building"


def test_following_a_log_goes_on_through_attempts(world: JobsWorld, sdk: Client) -> None:
    with machine(world, Script(output=b"try\n", reason="exit_nonzero", exit_code=4)):
        job = sdk.jobs.submit(JobSpec(commands=["true"], max_restarts=1))
        text = b"".join(sdk.jobs.logs(job.id, follow=True))
    assert text == b"try\n--- attempt 2, because attempt 1 ended: exit_nonzero ---\ntry\n"


def test_a_stop_through_the_sdk(sdk: Client) -> None:
    job = sdk.jobs.submit(JobSpec(commands=["true"]))
    assert sdk.jobs.stop(job.name, reason="no").state == "cancelled"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "commands"),
        ({"commands": []}, "commands"),
        ({"commands": ["x"], "name": "Not A Name"}, "name"),
        ({"commands": ["x"], "workdir": "../up"}, "workdir"),
        ({"commands": ["x"], "resources": {"cpu": 64}}, "resources"),
        ({"commands": ["x"], "resources": {"memory": "lots"}}, "resources.memory"),
        ({"commands": ["x"], "comands": 1}, "comands"),
    ],
)
def test_an_impossible_job_is_refused_with_its_field(
    http: httpx.Client, body: dict[str, object], field: str
) -> None:
    answer = http.post(JOBS, json=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_spec"
    assert answer.json()["extra"]["fields"][0]["field"] == field


def test_a_viewer_reads_and_changes_nothing(world: JobsWorld, url: str, people: People) -> None:
    job = world.submit(people.editor)
    with Client(url, "viewer", project="vision") as viewer:
        assert viewer.jobs.get(job.name).id == job.id
        for change in (
            lambda: viewer.jobs.stop(job.name),
            lambda: viewer.jobs.delete(job.name),
            lambda: viewer.jobs.submit(JobSpec(commands=["true"])),
        ):
            with pytest.raises(PermissionDenied):
                change()


class TestLaunchersRoutes:
    def test_the_work_cannot_report_how_it_ended(
        self, world: JobsWorld, people: People, url: str, clock: FixedClock
    ) -> None:
        job, attempt = world.running(people.editor)
        token = world.engine.launched[attempt].spec.work_token
        body = lines(clock, {"type": "exit", "reason": "succeeded", "exit_code": 0})
        forged = httpx.put(
            f"{url}/api/v1/attempts/{attempt}/replicas/0/events",
            params={"offset": 0},
            content=body,
            headers={"Authorization": f"Bearer {token}"},
        )
        assert forged.status_code == 403
        assert world.jobs.get(people.viewer, job.id).state == "preparing"

    def base(self, world: JobsWorld, attempt: str, url: str) -> httpx.Client:
        token = world.engine.launched[attempt].spec.token
        return httpx.Client(
            base_url=f"{url}/api/v1/attempts/{attempt}", headers={"Authorization": f"Bearer {token}"}
        )

    def test_channels(self, world: JobsWorld, people: People, url: str, clock: FixedClock) -> None:
        job, attempt = world.running(people.editor)
        with self.base(world, attempt, url) as launcher:
            for _ in range(2):
                answer = launcher.put("replicas/0/log", params={"offset": 0}, content=b"bytes\n")
                ack = answer.json()
                assert (ack["offset"], ack["desired"], ack["reason"]) == (6, "run", None)
            body = lines(clock, {"type": "exit", "reason": "succeeded", "exit_code": 0})
            assert launcher.put("replicas/0/events", params={"offset": 0}, content=body).status_code == 200
            assert launcher.put("replicas/0/other", params={"offset": 0}, content=b"").status_code == 422
            long = launcher.put("replicas/0/log", params={"offset": 6}, content=b"x" * (2**20 + 1))
            assert (long.status_code, long.json()["code"]) == (413, "too_large")
        assert world.jobs.get(people.viewer, job.id).state == "succeeded"

    def test_blobs(self, world: JobsWorld, people: People, url: str) -> None:
        _, attempt = world.running(people.editor)
        data = b"weights" * 200_000
        digest = blake3(data).hexdigest()
        with self.base(world, attempt, url) as launcher:
            missing = launcher.post("blobs/missing", json={"digests": [digest]})
            assert missing.json() == {"missing": [digest]}
            assert launcher.put(f"blobs/{digest}", content=data).status_code == 204
            assert launcher.post("blobs/missing", json={"digests": [digest]}).json() == {"missing": []}
            assert launcher.put(f"blobs/{'0' * 64}", content=data).status_code == 422
            assert launcher.get(f"blobs/{digest}").status_code == 403

    def test_only_the_launcher_of_an_attempt_may_report_it(
        self, world: JobsWorld, people: People, url: str, http: httpx.Client
    ) -> None:
        _, first = world.running(people.editor)
        _, second = world.running(people.editor)
        with self.base(world, first, url) as launcher:
            other = f"{url}/api/v1/attempts/{second}/replicas/0/log"
            assert launcher.put(other, params={"offset": 0}, content=b"x").status_code == 403
        path = f"/api/v1/attempts/{first}/replicas/0/log"
        assert http.put(path, params={"offset": 0}, content=b"x").status_code == 403

    def test_the_token_of_a_closed_attempt_is_worth_nothing(
        self, world: JobsWorld, people: People, url: str
    ) -> None:
        _, attempt = world.running(people.editor)
        launcher = self.base(world, attempt, url)
        world.exit(attempt)
        world.loop.run_once()
        with launcher:
            assert launcher.put("replicas/0/log", params={"offset": 0}, content=b"x").status_code == 401


def test_sizes_and_names_of_other_platforms_are_understood(http: httpx.Client) -> None:
    body = {
        "type": "command",
        "display_name": "azure",
        "command": "echo ${{inputs.x}}",
        "environment_variables": {"A": "1"},
        "limits": {"timeout": "1h"},
        "resources": {"cpus": 1, "memory": "1GB", "disk_size": "2GB"},
        "labels": {"team": "vision"},
    }
    job = http.post(JOBS, json=body).json()
    assert (job["name"], job["spec"]["max_duration"], job["spec"]["env"]) == ("azure", 3600, {"A": "1"})
    assert job["spec"]["resources"]["disk"] == 2 * 2**30
    unknown = http.post(JOBS, json={"command": "x", "limits": {"trials": 3}})
    assert unknown.status_code == 422
    assert "unknown field 'trials'" in unknown.json()["detail"]
