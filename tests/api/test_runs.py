"""Runs, usage and nodes through HTTP and the SDK."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from blake3 import blake3
from tests.conftest import People
from tests.tracking_kit import Tracking, serving, wire

from nacre.db.connect import Database
from nacre.errors import InvalidSpec, NotFound, PermissionDenied
from nacre.ids import new_id
from nacre.schema.launch import FileEntry
from nacre.schema.runs import RunCreate, RunState, TrackRecord
from nacre.sdk.client import Client

RUNS = "/api/v1/projects/vision/runs"


@pytest.fixture
def tracking(database: Database, people: People, tmp_path: Path) -> Tracking:
    return wire(database, people, tmp_path)


@pytest.fixture
def http(tracking: Tracking) -> Iterator[httpx.Client]:
    with (
        serving(tracking.app) as url,
        httpx.Client(base_url=url, headers={"Authorization": "Bearer editor"}) as client,
    ):
        yield client


@pytest.fixture
def sdk(tracking: Tracking) -> Iterator[Client]:
    with serving(tracking.app) as url, Client(url, "editor", project="vision") as client:
        yield client


def point(key: str, value: float, step: int) -> TrackRecord:
    return TrackRecord(type="m", key=key, value=value, step=step, time_ms=1)


def test_the_life_of_a_run_through_the_sdk(sdk: Client) -> None:
    run = sdk.runs.create("first", experiment="digits", tags={"who": "me"})
    records = [point("val/acc", 0.5, 0), point("val/acc", math.nan, 1), point("val/acc", math.inf, 2)]
    for _ in range(2):
        sdk.runs.log(run.id, records, batch="one")
    found = sdk.runs.get("first")
    assert (found.id, found.tags, found.metrics[0].count) == (run.id, {"who": "me"}, 3)
    assert found.metrics[0].last == math.inf
    points = sdk.runs.metric(run.id, "val/acc").points
    assert str([p.value for p in points]) == "[0.5, nan, inf]"
    data = b"<script>alert(1)</script>"
    digest = blake3(data).hexdigest()
    sdk.transport.call("blobs.put", None, content=data, project="vision", digest=digest)
    sdk.runs.add_artifacts(run.id, [FileEntry(path="plots/é .html", size=len(data), digest=digest)])
    assert [entry.path for entry in sdk.runs.artifacts("first").files] == ["plots/é .html"]
    with sdk.runs.artifact("first", "plots/é .html") as pieces:
        assert b"".join(pieces) == data
    assert sdk.runs.update(run.id, state="finished").state is RunState.FINISHED
    assert [item.id for item in sdk.runs.list(experiment="digits")] == [run.id]
    sdk.runs.delete(run.id)
    assert sdk.runs.list(experiment="digits") == []
    assert sdk.runs.restore(run.id).deleted_at is None
    sdk.runs.delete(run.id)
    sdk.runs.purge(run.id)
    with pytest.raises(NotFound):
        sdk.runs.get(run.id)


def test_an_artifact_is_a_download_that_no_browser_runs(http: httpx.Client) -> None:
    run = http.post(RUNS, json={}).json()["id"]
    data = b"<script>alert(1)</script>"
    digest = blake3(data).hexdigest()
    http.put(f"/api/v1/projects/vision/blobs/{digest}", content=data)
    entry = {"path": 'a"; b.html', "size": len(data), "digest": digest}
    assert http.post(f"{RUNS}/{run}/artifacts", json={"files": [entry]}).status_code == 200
    answer = http.get(f"{RUNS}/{run}/artifacts/a%22%3B%20b.html")
    assert answer.content == data
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%22%3B%20b.html"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    part = http.get(f"{RUNS}/{run}/artifacts/a%22%3B%20b.html", headers={"Range": "bytes=1-6"})
    assert (part.status_code, part.content) == (206, b"script")


def test_a_record_that_says_nothing_sensible_is_refused(http: httpx.Client) -> None:
    run = http.post(RUNS, json={"name": "r"}).json()["id"]
    good = {"type": "m", "key": "good", "value": 1, "time_ms": 1}
    for fault in (
        {"value": None},
        {"value": "lots"},
        {"type": "p"},
        {"type": "x"},
        {"key": ""},
        {"key": "k" * 251},
        {"step": 2**63},
        {"step": 0.5},
        {"time_ms": -1},
        {"surplus": 1},
    ):
        answer = http.post(f"{RUNS}/{run}/log", json={"records": [good, good | fault]})
        assert answer.status_code == 422, fault
        assert answer.json()["code"] == "invalid_spec"
    assert http.get(f"{RUNS}/{run}").json()["metrics"] == []


def test_odd_numbers_travel_as_words(http: httpx.Client) -> None:
    run = http.post(RUNS, json={"name": "r"}).json()["id"]
    records = [
        {"type": "m", "key": "x", "value": word, "step": step, "time_ms": 1}
        for step, word in enumerate(["NaN", "Infinity", "-Infinity", 1.5])
    ]
    assert http.post(f"{RUNS}/{run}/log", json={"records": records}).status_code == 204
    answer = http.get(f"{RUNS}/{run}/metrics/x")
    assert [p["value"] for p in json.loads(answer.text)["points"]] == ["NaN", "Infinity", "-Infinity", 1.5]
    assert len(http.get(f"{RUNS}/{run}/metrics/x?limit=4").json()["points"]) == 4
    assert http.get(f"{RUNS}/{run}/metrics/x?limit=3").status_code == 422


def test_a_viewer_reads_and_does_not_write(tracking: Tracking) -> None:
    with serving(tracking.app) as url:
        with Client(url, "editor", project="vision") as editor:
            run = editor.runs.create("r")
        with Client(url, "viewer", project="vision") as viewer:
            assert viewer.runs.get("r").id == run.id
            with pytest.raises(PermissionDenied):
                viewer.runs.delete("r")
        with Client(url, "stranger", project="vision") as stranger, pytest.raises(NotFound):
            stranger.runs.list()


def test_cost_types_and_nodes_through_the_sdk(tracking: Tracking, database: Database, sdk: Client) -> None:
    people = tracking.people
    now = tracking.runs.create(people.editor, RunCreate()).created_at
    with database.write() as session:
        tracking.usage.open(
            session,
            allocation_id=new_id("att"),
            project_id=people.project.id,
            user_id=people.editor.user_id,
            kind="job",
            subject_id="job_1",
            subject_name="train",
            cpu=1,
            memory=2**30,
            gpu=0,
            price_per_hour=3_600_000_000,
            started_at=now,
        )
    [record] = sdk.usage.list()
    assert (record.subject_name, record.ended_at) == ("train", None)
    found = sdk.usage.cost(["project", "kind"])
    assert found.total > 0
    assert [(line.project, line.kind, line.user) for line in found.lines] == [("vision", "job", None)]
    with pytest.raises(InvalidSpec, match="cannot sum by"):
        sdk.usage.cost(["moon"])
    types = {shape.name: shape.available for shape in sdk.instance_types.list()}
    assert types["cpu.medium"]
    assert not types["gpu.large"]
    [node] = sdk.nodes.list()
    assert (node.name, node.cpu, node.cpu_used) == ("here", 2, 0)
