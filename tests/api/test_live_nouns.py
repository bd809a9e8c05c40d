"""Live topics of the nouns beyond runs: lists, things and logs, over a real socket of a whole server."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import pytest
from blake3 import blake3
from tests.mlflow_kit import House, house
from websockets.sync.client import ClientConnection, connect

from nacre.db.connect import Database
from nacre.schema.data import VersionCreate
from nacre.schema.environments import EnvironmentCreate
from nacre.schema.instances import InstanceCreate
from nacre.schema.launch import FileEntry
from nacre.schema.live import Topic
from nacre.schema.manifests import canonical
from nacre.schema.models import ModelCreate
from nacre.schema.operations import OPERATIONS
from nacre.schema.users import TokenCreate
from nacre.services.live import GOVERNS

DEADLINE_S = 20.0
LISTS = ("instances", "environments", "models", "data", "endpoints", "jobs")


@pytest.fixture
def server(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with house(database, tmp_path, monkeypatch) as found:
        yield found


class Watcher:
    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def subscribe(self, topic: str, **more: Any) -> None:
        message = {"op": "subscribe", "id": topic, "topic": topic, "project": "default", "cursor": {}}
        self.socket.send(json.dumps(message | more))

    def until(self, true: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            found: dict[str, Any] = json.loads(self.socket.recv(timeout=DEADLINE_S))
            if true(found):
                return found
        raise AssertionError("that message did not come")

    def update(self) -> dict[str, Any]:
        return dict(self.until(lambda m: m["op"] == "update")["data"])


@contextmanager
def watching(server: House, token: str | None = None) -> Iterator[Watcher]:
    address = "ws" + server.url.removeprefix("http") + "/api/v1/live"
    headers = {"Authorization": f"Bearer {token or server.token}"}
    with connect(address, additional_headers=headers, compression=None, close_timeout=1, proxy=None) as one:
        yield Watcher(one)


def push(server: House, name: str, text: bytes) -> None:
    digest = blake3(text).hexdigest()
    manifest = canonical([FileEntry(path="a.txt", size=len(text), digest=digest)])
    named = blake3(manifest).hexdigest()
    server.services.blobs.put_many(server.caller, [(digest, text), (named, manifest)])
    server.services.datasets.create(server.caller, name, VersionCreate(manifest=named))


def test_every_topic_has_an_operation_that_governs_it() -> None:
    assert set(GOVERNS) == set(get_args(Topic))
    assert set(GOVERNS.values()) <= set(OPERATIONS)


def test_lists_tell_what_the_operation_answers_and_then_what_changes(server: House) -> None:
    services, caller = server.services, server.caller
    with watching(server) as watcher:
        watcher.subscribe("environments")
        first = watcher.update()
        listed = services.environments.list(caller)
        assert first["order"] == [item.id for item in listed.items]
        assert first["rows"] == [item.model_dump(mode="json") for item in listed.items]
        made = services.environments.create(caller, EnvironmentCreate(name="mine", requirements="idna"))
        second = watcher.update()
        assert [row["name"] for row in second["rows"]] == ["mine"]
        assert second["order"][0] == made.id
        services.environments.delete(caller, "mine")
        assert watcher.until(lambda m: m["data"].get("removed"))["data"]["removed"] == [made.id]


def test_an_instance_is_told_in_its_list_and_by_itself(server: House) -> None:
    services, caller = server.services, server.caller
    made = services.instances.create(caller, InstanceCreate(name="desk", start=False))
    with watching(server) as watcher:
        watcher.subscribe("instances")
        assert watcher.update()["rows"][0]["state"] == "stopped"
        watcher.subscribe("instance", name="desk")
        found = watcher.until(lambda m: m["op"] == "update" and m["id"] == "instance")["data"]["instance"]
        assert (found["id"], found["state"]) == (made.id, "stopped")
        services.instances.start(caller, "desk")
        heard: dict[str, Any] = {}
        while len(heard) < 2:
            message = watcher.until(lambda m: m["op"] == "update" and m["data"])
            heard[message["id"]] = message["data"]
        assert heard["instance"]["instance"]["state"] == "queued"
        assert heard["instances"]["rows"][0]["state"] == "queued"
        services.instances.stop(caller, "desk")
        services.instances.delete(caller, "desk")
        error = watcher.until(lambda m: m["op"] == "error")
        assert (error["id"], error["error"]["code"]) == ("instance", "not_found")


def test_what_has_no_signal_is_seen_soon(server: House) -> None:
    push(server, "digits", b"one")
    server.services.models.edits.create(server.caller, ModelCreate(name="net"))
    with watching(server) as watcher:
        watcher.subscribe("data")
        assert [row["name"] for row in watcher.update()["rows"]] == ["digits"]
        watcher.subscribe("dataset", name="digits")
        watcher.subscribe("model", name="net")
        found: dict[str, Any] = {}
        while len(found) < 2:
            message = watcher.until(lambda m: m["op"] == "update" and m["id"] != "data")
            found |= message["data"]
        assert found["dataset"]["versions"] == [1]
        assert found["model"]["name"] == "net"
        push(server, "digits", b"two")
        changed: dict[str, Any] = {}
        while len(changed) < 2:
            message = watcher.until(lambda m: m["op"] == "update" and m["data"])
            changed[message["id"]] = message["data"]
        assert changed["dataset"]["dataset"]["versions"] == [1, 2]
        assert changed["data"]["rows"][0]["latest"]["number"] == 2
        assert "order" not in changed["data"]


def test_a_build_s_log_comes_as_it_is_written_and_begins_anew_with_the_next_try(server: House) -> None:
    services = server.services
    made = services.environments.create(server.caller, EnvironmentCreate(name="mine", requirements="idna"))
    file = services.environments.log_file(made.id)
    file.parent.mkdir(parents=True, exist_ok=True)

    def write(text: str) -> None:
        with file.open("a") as stream:
            stream.write(text)
        services.signals.notify(f"environment:{made.id}")

    write("resolving\n")
    with watching(server) as watcher:
        watcher.subscribe("environment_log", name="mine")
        assert watcher.update() == {"offset": 0, "text": "resolving\n"}
        write("ü\n")
        assert watcher.update() == {"offset": 10, "text": "ü\n"}
        keep = file.with_suffix(".old")
        file.rename(keep)  # as after a failure: the next try has a log of its own
        write("again\n")
        heard = watcher.update()
        while "text" not in heard:
            heard |= watcher.update()
        assert (heard["reset"], heard["text"]) == (True, "again\n")


def test_an_instance_that_never_started_has_a_log_that_has_ended(server: House) -> None:
    server.services.instances.create(server.caller, InstanceCreate(name="desk", start=False))
    with watching(server) as watcher:
        watcher.subscribe("instance_log", name="desk")
        assert watcher.update() == {"ended": True}


def test_a_topic_needs_the_scope_of_its_operation(server: House) -> None:
    token = server.services.tokens.create(
        server.caller, TokenCreate(name="narrow", scopes=["live:read", "runs:read"])
    )
    with watching(server, token.secret) as watcher:
        for topic in sorted(set(get_args(Topic)) - {"run", "runs", "events"}):
            watcher.subscribe(topic, name="x")
            error = watcher.until(lambda m, topic=topic: m.get("id") == topic)  # type: ignore[misc]
            assert (error["op"], error["error"]["code"]) == ("error", "permission_denied")


def test_things_that_are_not_there_and_names_that_lack_are_said(server: House) -> None:
    with watching(server) as watcher:
        for topic in sorted(set(get_args(Topic)) - {*LISTS, "runs", "events"}):
            watcher.subscribe(topic, name="no-such")
            error = watcher.until(lambda m: m["op"] == "error")
            assert (error["id"], error["error"]["status"]) == (topic, 404)
            watcher.subscribe(topic)
            error = watcher.until(lambda m: m["op"] == "error")
            assert error["error"]["code"] == "invalid_spec"


def test_who_watches_the_same_list_shares_one_feed(server: House) -> None:
    live = server.services.live
    with watching(server) as one, watching(server) as other:
        for watcher in (one, other):
            for topic in LISTS:
                watcher.subscribe(topic)
            for _ in LISTS:
                watcher.update()
        assert live.feeds == len(LISTS)
