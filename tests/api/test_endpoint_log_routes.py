"""The logs of replicas through routes, client and command line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.conftest import People
from tests.replicas_kit import ReplicasWorld
from tests.tracking_kit import Table, serving
from typer.testing import CliRunner

from nacre.api.app import make_app
from nacre.cli.main import app
from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import NotFound
from nacre.sdk.client import Client
from nacre.services.endpoint_logs import EndpointLogs
from nacre.services.registry import Services


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ReplicasWorld:
    return ReplicasWorld(database, clock, people, tmp_path)


@pytest.fixture
def url(world: ReplicasWorld) -> Iterator[str]:
    table = Table(world.people)
    known: dict[str, Any] = dict.fromkeys(field.name for field in fields(Services))
    logs = EndpointLogs(world.db, world.jobs.attempts)
    known |= {"tokens": table, "projects": table, "signals": world.jobs.signals, "endpoint_logs": logs}
    with serving(make_app(Services(**known), "0")) as found:
        yield found


@pytest.fixture
def sdk(url: str) -> Iterator[Client]:
    with Client(url, "viewer", project="vision") as client:
        yield client


def says(world: ReplicasWorld, text: bytes, offset: int = 0) -> None:
    """The only replica prints."""
    [row] = world.rows()
    assert row.attempt_id is not None
    world.jobs.attempts.report(row.attempt_id, 0, "log", offset=offset, body=text)


def test_a_log_is_followed_to_its_replica_s_end(world: ReplicasWorld, sdk: Client, url: str) -> None:
    world.started()
    [row] = world.rows()
    says(world, b"one\n")
    assert b"".join(sdk.endpoints.logs("digits")) == b"one\n"
    whose: list[str] = []
    pieces = sdk.endpoints.logs("digits", revision=1, follow=True, seen=whose.append)
    assert next(pieces) == b"one\n"
    assert whose == [row.id]

    def later() -> None:
        says(world, b"two\n\xff", 4)
        world.die(row)

    thread = threading.Thread(target=later)
    thread.start()
    assert b"".join(pieces) == b"two\n\xff"
    thread.join()
    assert whose == [row.id]
    assert b"".join(sdk.endpoints.logs("digits", replica=row.id, tail=1)) == b"\xff"
    assert b"".join(sdk.endpoints.logs("digits", offset=4)) == b"two\n\xff"
    [shown] = sdk.endpoints.replicas("digits")
    assert (shown.id, shown.state, shown.revision, shown.node) == (row.id, "failed", 1, "local")
    assert shown.ended_at is not None
    answer = httpx.get(
        f"{url}/api/v1/projects/vision/endpoints/digits/log", headers={"Authorization": "Bearer viewer"}
    )
    assert answer.headers["nacre-replica"] == row.id
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_an_endpoint_deleted_meanwhile_ends_its_log(world: ReplicasWorld, sdk: Client) -> None:
    world.started()
    says(world, b"one\n")
    pieces = sdk.endpoints.logs("digits", follow=True)
    assert next(pieces) == b"one\n"
    world.delete()
    with pytest.raises(NotFound, match="nacre endpoint ls"):
        next(pieces)


def test_the_commands(world: ReplicasWorld, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"URL": url, "TOKEN": "viewer", "PROJECT": "vision"}.items():
        monkeypatch.setenv(f"NACRE_{name}", value)
    world.started()
    [row] = world.rows()
    says(world, b"first\nlast\n")
    run = CliRunner().invoke
    done = run(app, ["endpoint", "logs", "digits", "--tail", "1"], catch_exceptions=False)
    assert (done.stdout, done.stderr) == ("last\n", f"replica {row.id}\n")
    world.die(row)
    done = run(app, ["endpoint", "logs", "digits", "-f", "--replica", row.id], catch_exceptions=False)
    assert (done.stdout, done.stderr) == ("first\nlast\n", "")
    listed = run(app, ["endpoint", "replicas", "digits"], catch_exceptions=False).stdout
    assert row.id in listed
    assert "failed" in listed
    with pytest.raises(NotFound, match="no replica epr_x: see 'nacre endpoint replicas digits'"):
        run(app, ["endpoint", "logs", "digits", "--replica", "epr_x"], catch_exceptions=False)
