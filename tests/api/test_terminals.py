"""Terminals of instances over a WebSocket: who may, and what is refused. ``tests/e2e`` has real ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api.test_instances import BASE, Api
from tests.conftest import People
from tests.tracking_kit import serving
from tests.unit.services.instance_house import House, jupyter
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.schema.instances import InstanceApp, InstanceCreate
from nacre.schema.runs import RunCreate


@pytest.fixture
def api(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Iterator[Api]:
    found = Api(House(database, clock, people, tmp_path))
    with serving(found.app) as found.url:
        yield found


def refused(api: Api, who: Caller | None, name: str = "lab", query: str = "", **headers: str) -> Any:
    """The problem that the connection ends with."""
    sent = headers if who is None else {"Authorization": f"Bearer {api.token(who)}"}
    url = f"ws{api.url.removeprefix('http')}{BASE}/{name}/terminal{query}"
    with connect(url, additional_headers=sent, proxy=None) as socket:
        message = json.loads(socket.recv(timeout=20))
        assert message["op"] == "error"
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=20)
        assert socket.close_code == (1013 if message["error"]["status"] >= 500 else 1008)
    return message["error"]


def test_only_who_may_open_it_has_a_terminal(api: Api) -> None:
    people = api.house.people
    api.house.create()
    assert refused(api, None)["status"] == 401
    assert refused(api, people.viewer)["status"] == 403
    assert refused(api, people.stranger)["status"] == 404
    assert refused(api, people.editor, "absent")["status"] == 404
    assert refused(api, people.editor, query="?terminal=../x")["status"] == 422


def test_one_that_does_not_run_has_none(api: Api) -> None:
    api.house.create()
    found = refused(api, api.house.people.editor)
    assert found["status"] == 503
    assert "instance lab is queued" in found["detail"]
    api.house.instances.stop(api.house.people.editor, "lab")
    found = refused(api, api.house.people.editor)
    assert found["status"] == 409
    assert "start it with 'nacre instance start lab'" in found["detail"]


def test_a_tensorboard_has_none(api: Api) -> None:
    editor = api.house.people.editor
    run = api.house.runs.create(editor, RunCreate(name="one")).id
    body = InstanceCreate(name="board", app=InstanceApp.TENSORBOARD, runs=[run])
    api.house.instances.create(editor, body)
    assert "it has no terminal" in refused(api, editor, "board")["detail"]


def test_a_cookie_counts_only_from_a_page_of_this_origin(api: Api) -> None:
    api.house.create()
    cookie = f"nacre_session={api.token(api.house.people.editor)}"
    assert refused(api, None, Cookie=cookie)["status"] == 403
    assert refused(api, None, Cookie=cookie, Origin="http://127.0.0.1:7374")["status"] == 403
    assert refused(api, None, Cookie=cookie, Origin=api.url)["status"] == 503, "it is queued, no more"


def test_jupyter_that_does_not_answer_is_a_sentence(api: Api) -> None:
    api.house.started()
    with jupyter(api.house):
        api.house.tick()
        assert api.house.get().state == "running"
        found = refused(api, api.house.people.editor)  # it has no way to make one
    assert found["status"] == 503
    assert "nacre instance logs" in found["detail"]


def test_plain_http_is_told(api: Api) -> None:
    api.house.create()
    answer = api.call(api.house.people.editor, "GET", "/lab/terminal")
    assert answer.status_code == 426
    assert answer.headers["upgrade"] == "websocket"
    assert api.call(api.house.people.viewer, "GET", "/lab/terminal").status_code == 403
