"""Instances over HTTP: the routes, from nobody to owner, and the read that waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest
from tests.conftest import People
from tests.tracking_kit import serving
from tests.unit.services.instance_house import House, jupyter

from nacre.api.app import make_app
from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import Conflict, NotFound
from nacre.schema.instances import InstanceState
from nacre.sdk.client import Client
from nacre.services.events import Events
from nacre.services.projects import Projects
from nacre.services.registry import Services

BASE = "/api/v1/projects/vision/instances"


class Api:
    """The routes of a house, served on loopback."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.url = ""
        services = SimpleNamespace(
            db=house.db,
            tokens=house.tokens,
            projects=Projects(house.db, house.clock, Events(house.db, house.clock)),
            instances=house.instances,
            signals=house.signals,
        )
        self.app = make_app(cast(Services, services), "test")

    def token(self, who: Caller) -> str:
        with self.house.db.write() as session:
            secret, _ = self.house.tokens.issue(
                session, user_id=who.user_id, kind="user", name="t", scopes=["*"]
            )
        return secret

    def call(self, who: Caller | None, method: str, path: str = "", **options: Any) -> Any:
        headers = {} if who is None else {"Authorization": f"Bearer {self.token(who)}"}
        return httpx.request(method, self.url + BASE + path, headers=headers, timeout=30, **options)


@pytest.fixture
def api(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Iterator[Api]:
    found = Api(House(database, clock, people, tmp_path))
    with serving(found.app) as found.url:
        yield found


def test_the_life_of_an_instance(api: Api) -> None:
    editor = api.house.people.editor
    made = api.call(editor, "POST", json={"name": "lab", "idle_timeout": "1h30m"})
    assert made.status_code == 201
    assert made.json()["state"] == "queued"
    assert made.json()["idle_timeout"] == 5400
    api.house.build()
    api.house.tick()
    found = api.call(editor, "GET", "/lab").json()
    assert found["state"] == "starting"
    assert found == api.call(editor, "GET", f"/{found['id']}").json()
    assert [item["name"] for item in api.call(editor, "GET").json()["items"]] == ["lab"]
    url = api.call(editor, "POST", "/lab/open").json()["url"]
    assert f"/instances/{found['id']}/_nacre/enter?ticket=" in url
    api.house.attempts.report(api.house.attempt().id, 0, "log", offset=0, body=b"hello\n")
    assert api.call(editor, "GET", "/lab/log").text == "hello\n"
    assert api.call(editor, "DELETE", "/lab").status_code == 409
    assert api.call(editor, "POST", "/lab/stop").json()["state"] == "stopping"
    api.house.ended("cancelled_by_user")
    assert api.call(editor, "POST", "/lab/start").json()["state"] == "queued"
    assert api.call(editor, "POST", "/lab/stop").json()["state"] == "stopped"
    assert api.call(editor, "DELETE", "/lab").status_code == 204
    assert api.call(editor, "GET", "/lab").status_code == 404


def test_viewers_look_and_others_do_not_see(api: Api) -> None:
    people = api.house.people
    api.house.create()
    assert api.call(people.viewer, "GET", "/lab").status_code == 200
    for method, path in (("POST", ""), ("POST", "/lab/stop"), ("POST", "/lab/open"), ("DELETE", "/lab")):
        body = {"name": "x"} if not path else None
        assert api.call(people.viewer, method, path, json=body).status_code == 403
        assert api.call(people.stranger, method, path, json=body).status_code == 404
        assert api.call(None, method, path, json=body).status_code == 401


def test_a_read_waits_for_a_change_of_state(api: Api) -> None:
    editor = api.house.people.editor
    api.house.create()
    timer = threading.Timer(0.3, api.house.instances.stop, (editor, "lab"))
    timer.start()
    begun = time.monotonic()
    found = api.call(editor, "GET", "/lab", params={"unless": "queued", "wait_s": 20}).json()
    timer.join()
    assert found["state"] == "stopped"
    assert 0.2 < time.monotonic() - begun < 10


def test_the_log_is_followed_to_its_end(api: Api) -> None:
    editor = api.house.people.editor
    api.house.started()
    attempt = api.house.attempt().id
    api.house.attempts.report(attempt, 0, "log", offset=0, body=b"one\n")

    def later() -> None:
        api.house.attempts.report(attempt, 0, "log", offset=4, body=b"two\n")
        api.house.ended("succeeded")

    timer = threading.Timer(0.3, later)
    timer.start()
    answer = api.call(editor, "GET", "/lab/log", params={"follow": True})
    timer.join()
    assert answer.text == "one\ntwo\n"


def test_the_client_covers_every_operation(api: Api) -> None:
    house = api.house
    with Client(api.url, api.token(house.people.editor), project="vision") as client:
        made = client.instances.create("lab", idle_timeout="2h", start=False)
        assert (made.state, made.idle_timeout) == (InstanceState.STOPPED, 7200)
        assert client.instances.start("lab").state is InstanceState.QUEUED
        house.build()
        house.tick()
        states = client.instances.watch("lab", timeout_s=30)
        assert next(states).state is InstanceState.STARTING
        with jupyter(house):
            house.tick()
        assert next(states).state is InstanceState.RUNNING
        assert client.instances.wait("lab").state is InstanceState.RUNNING
        assert made.id in client.instances.open("lab").url
        house.attempts.report(house.attempt().id, 0, "log", offset=0, body=b"hello\n")
        assert list(client.instances.logs("lab")) == ["hello"]
        assert [found.name for found in client.instances.list()] == ["lab"]
        client.instances.stop("lab")
        with pytest.raises(Conflict, match="stopping"):
            client.instances.delete("lab")
        with pytest.raises(Conflict, match="still stopping"):
            client.instances.wait("lab", timeout_s=0)
        house.ended("cancelled_by_user")
        client.instances.delete("lab")
        with pytest.raises(NotFound):
            client.instances.get("lab")
