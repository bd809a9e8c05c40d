"""The logs of replicas: whose is meant, who may read it, and when it is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import People
from tests.replicas_kit import ReplicasWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointReplicaRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import NotFound
from nacre.services.endpoint_logs import EndpointLogs


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ReplicasWorld:
    return ReplicasWorld(database, clock, people, tmp_path)


@pytest.fixture
def logs(world: ReplicasWorld) -> EndpointLogs:
    return EndpointLogs(world.db, world.jobs.attempts)


def says(world: ReplicasWorld, replica: EndpointReplicaRow, text: bytes) -> None:
    """A replica prints; its launcher reports it."""
    assert replica.attempt_id is not None
    log = world.jobs.attempts.log_path(replica.attempt_id)
    offset = log.stat().st_size if log.exists() else 0
    world.jobs.attempts.report(replica.attempt_id, 0, "log", offset=offset, body=text)


def test_one_that_failed_is_read_after_its_end(world: ReplicasWorld, logs: EndpointLogs) -> None:
    world.started(min_replicas=2, max_replicas=2)
    first, second = world.rows()
    viewer = world.people.viewer
    says(world, first, b"loading\n")
    says(world, second, b"also\n")
    assert logs.logs.read(first.id, 0) == (b"loading\n", False)
    assert logs.logs.read(first.id, 8) == (b"", False)
    says(world, first, b"Traceback\n")
    world.die(first)
    assert logs.find(viewer, "digits", replica=first.id) == first.id
    assert logs.logs.read(first.id, 0) == (b"loading\nTraceback\n", False)
    assert logs.logs.read(first.id, 18) == (b"", True)
    assert logs.logs.read(second.id, 5) == (b"", False)
    assert logs.logs.tail(first.id, 1) == 8


def test_without_a_name_it_is_the_newest_that_was_launched(
    world: ReplicasWorld, logs: EndpointLogs
) -> None:
    viewer = world.people.viewer
    world.deploy()
    with pytest.raises(NotFound, match="endpoint digits has no replica now, and none ended"):
        logs.find(viewer, "digits")
    world.tick()  # its environment is not built: it waits
    [waiting] = world.rows()
    assert (waiting.attempt_id, logs.find(viewer, "digits")) == (None, waiting.id)
    assert logs.logs.read(waiting.id, 0) == (b"", False)
    world.jobs.build_environments()
    world.tick()
    world.tick(1)
    world.change(state="ready", served=100)
    world.revise(traffic=0, shadow=10)
    world.tick(1)
    world.tick(1)
    [other] = world.rows(2)
    assert other.attempt_id is not None
    assert logs.find(viewer, "digits") == other.id
    assert logs.find(viewer, "digits", revision=1) == waiting.id
    found = logs.replicas(viewer, "digits").items
    assert [(one.id, one.revision) for one in found] == [(other.id, 2), (waiting.id, 1)]
    choices: tuple[tuple[dict[str, Any], str], ...] = (
        (
            {"replica": waiting.id, "revision": 2},
            f"revision 2 of endpoint digits has no replica {waiting.id}",
        ),
        ({"replica": "epr_none"}, "endpoint digits has no replica epr_none: see 'nacre endpoint replicas"),
        ({"revision": 7}, "endpoint digits has no revision 7: see 'nacre endpoint show digits'"),
    )
    for choice, said in choices:
        with pytest.raises(NotFound, match=said):
            logs.find(viewer, "digits", **choice)


def test_an_onnx_model_has_none(world: ReplicasWorld, logs: EndpointLogs) -> None:
    world.deploy()
    world.change(runtime="onnx")
    for revision, which in ((None, "endpoint digits"), (1, "revision 1 of endpoint digits")):
        said = f"^{which} has no replicas, and so no log: .*'nacre endpoint show digits'.*endpoint stats"
        with pytest.raises(NotFound, match=said):
            logs.find(world.people.viewer, "digits", revision=revision)
    assert logs.replicas(world.people.viewer, "digits").items == []


def test_those_of_other_projects_are_not_there(world: ReplicasWorld, logs: EndpointLogs) -> None:
    world.started()
    [row] = world.rows()
    assert logs.known(world.people.viewer, row.id) == row.id
    with pytest.raises(NotFound, match="no endpoint 'digits'"):
        logs.find(elsewhere(world), "digits", replica=row.id)
    for caller, name in ((elsewhere(world), row.id), (world.people.viewer, "epr_none")):
        with pytest.raises(NotFound, match="no replica"):
            logs.known(caller, name)


def test_a_log_ends_with_its_endpoint(world: ReplicasWorld, logs: EndpointLogs) -> None:
    world.started()
    [row] = world.rows()
    says(world, row, b"one\n")
    world.delete()
    assert logs.logs.read(row.id, 4) == (b"", True)


def elsewhere(world: ReplicasWorld) -> Caller:
    """Somebody in another project."""
    return replace(world.people.viewer, project=ProjectRef("prj_other", "other", None))
