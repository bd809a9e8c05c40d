"""The queue, shares and quotas over HTTP, in the SDK and on the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import People
from tests.jobs_kit import app_of
from tests.tracking_kit import serving
from typer.testing import CliRunner

from nacre.cli.main import app as cli
from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import InvalidSpec, NotFound, PermissionDenied
from nacre.sdk.client import Client
from nacre.testing.jobs import JobsWorld


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


@pytest.fixture
def url(world: JobsWorld, people: People) -> Iterator[str]:
    with serving(app_of(world, people)) as found:
        yield found


def test_what_waits_and_who_holds_what(world: JobsWorld, people: People, url: str) -> None:
    world.running(people.editor, resources={"cpu": 4, "memory": "1GB"}, max_duration="10m")
    job = world.submit(people.editor)
    with Client(url, "viewer", project="vision") as client:
        (entry,) = client.queue.list()
        assert (entry.position, entry.project, entry.id, entry.user) == (1, "vision", job.id, "editor")
        assert entry.reason == "no_capacity"
        assert entry.starts_by is not None
        (share,) = client.queue.shares()
        assert (share.project, share.cpu, share.running, share.waiting, share.share) == (
            "vision", 4, 1, 1, 1.0,
        )  # fmt: skip


def test_quotas_are_the_administrators(url: str) -> None:
    with Client(url, "editor", project="vision") as client:
        assert client.quotas.get().cpu is None
        with pytest.raises(PermissionDenied):
            client.quotas.update("vision", cpu=1)
    with Client(url, "owner", project="vision") as client:
        quota = client.quotas.update("vision", cpu=1.5, memory="2GB", running_jobs=3)
        assert (quota.cpu, quota.memory, quota.running_jobs, quota.weight) == (1.5, 2 * 2**30, 3, 1)
        assert client.quotas.update("vision", cpu=None).cpu is None
        assert client.quotas.get() == client.quotas.get("vision")
        with pytest.raises(NotFound, match="nacre project ls"):
            client.quotas.update("nothing", cpu=1)
        for wrong in ({"cpu": -1}, {"weight": 0}, {"running_jobs": 1.5}):
            with pytest.raises(InvalidSpec):
                client.transport.call("quotas.update", None, json=wrong, name="vision")


def test_the_commands(world: JobsWorld, people: People, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("URL", url), ("TOKEN", "owner"), ("PROJECT", "vision")):
        monkeypatch.setenv(f"NACRE_{name}", value)

    def said(*words: str) -> str:
        found = CliRunner().invoke(cli, list(words))
        assert found.exit_code == 0, found.output
        return " ".join(found.output.split())  # lines are as long as the terminal

    assert "nothing waits" in said("queue")
    world.running(people.editor, resources={"cpu": 4, "memory": "1GB"}, max_duration="10m")
    world.submit(people.editor, name="later")
    text = said("queue")
    assert "vision/later" in text
    assert "waits for 1 cpu: 4 of 4 in use by train-1" in text
    assert "it starts in at most 11 min" in text
    assert json.loads(said("-o", "json", "queue"))["queue"][0]["job"] == "later"
    assert "no limit" in said("quota", "show")
    assert "2 cpu, 4.0 GiB memory, weight 3" in said(
        "quota", "set", "vision", "--cpu", "2", "--memory", "4GB", "--weight", "3"
    )
    assert "vision: weight 3" in said("quota", "set", "vision", "--cpu", "none", "--memory", "none")
    refused = CliRunner().invoke(cli, ["quota", "set", "vision"])
    assert refused.exit_code == 2
