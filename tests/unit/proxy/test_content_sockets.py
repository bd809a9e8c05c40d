"""WebSockets through the user-content listener."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import delete
from tests.unit.proxy.content_stage import INSTANCE, JUPYTER_TOKEN, Stage, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from nacre.db.tables.users import TokenRow
from nacre.domain.identity import Caller
from nacre.schema.instances import InstanceState


@contextmanager
def opened(stage: Stage, path: str = "echo", **options: Any) -> Iterator[ClientConnection]:
    url = f"ws{stage.url(path).removeprefix('http')}"
    with connect(url, proxy=None, max_size=None, open_timeout=10, **options) as connection:
        yield connection


def as_program(stage: Stage, caller: Caller | None = None) -> dict[str, Any]:
    token = stage.token(caller or stage.people.editor)
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def as_browser(stage: Stage, origin: str | None) -> dict[str, Any]:
    secret = stage.browser().cookies["nacre_content"]
    cookies = f"nacre_session=s; nacre_content={secret}; _xsrf=x"
    return {"additional_headers": {"Cookie": cookies}, "origin": origin}


def refused(stage: Stage, **options: Any) -> int:
    with pytest.raises(InvalidStatus) as caught, opened(stage, **options):
        pass
    return caught.value.response.status_code


def test_text_and_bytes_pass_both_ways(stage: Stage) -> None:
    with opened(stage, **as_program(stage)) as connection:
        for message in ("héllo", b"\x00\xff", "", b""):
            connection.send(message)
            assert connection.recv(10) == message


def test_a_big_message_passes(stage: Stage) -> None:
    message = b"x" * (20 * 2**20)
    with opened(stage, **as_program(stage)) as connection:
        connection.send(message)
        assert connection.recv(30) == message


def test_many_messages_keep_their_order(stage: Stage) -> None:
    with opened(stage, **as_program(stage)) as connection:
        for number in range(500):
            connection.send(str(number))
        assert [connection.recv(10) for _ in range(500)] == [str(number) for number in range(500)]


def test_pings_are_answered(stage: Stage) -> None:
    with opened(stage, **as_program(stage)) as connection:
        assert connection.ping().wait(10)


def test_the_work_chooses_the_subprotocol(stage: Stage) -> None:
    offered = ["v0", "v1.kernel.websocket.jupyter.org"]
    with opened(stage, subprotocols=offered, **as_program(stage)) as connection:
        assert connection.subprotocol == "v1.kernel.websocket.jupyter.org"
    with opened(stage, **as_program(stage)) as connection:
        assert connection.subprotocol is None


def test_the_work_gets_its_own_token_and_none_of_ours(stage: Stage) -> None:
    with opened(stage, "a%2Fb?session_id=1%20", **as_browser(stage, stage.origin)) as connection:
        connection.send("headers")
        headers = dict(json.loads(connection.recv(10)))
    assert headers["authorization"] == f"token {JUPYTER_TOKEN}"
    assert headers["cookie"] == "_xsrf=x"
    assert headers["host"] == stage.origin.removeprefix("http://")
    assert headers["origin"] == stage.origin
    assert headers[":target"] == f"/instances/{INSTANCE}/a%2Fb?session_id=1%20"


def test_the_works_close_reaches_the_browser(stage: Stage) -> None:
    with opened(stage, **as_program(stage)) as connection:
        connection.send("close")
        with pytest.raises(ConnectionClosed):
            connection.recv(10)
        assert (connection.close_code, connection.close_reason) == (4001, "as you wish")


def test_the_browsers_close_reaches_the_work(stage: Stage) -> None:
    with opened(stage, **as_program(stage)) as connection:
        connection.send("x")
        connection.recv(10)
    until(stage.work.left.is_set)


@pytest.mark.parametrize("origin", ["http://127.0.0.1:7373", "http://evil.example", "null", None])
def test_a_page_of_another_origin_is_refused(stage: Stage, origin: str | None) -> None:
    assert refused(stage, **as_browser(stage, origin)) == 403


def test_nobody_is_let_in_without_a_token(stage: Stage) -> None:
    assert refused(stage) == 401
    assert refused(stage, **as_program(stage, stage.people.viewer)) == 403
    assert refused(stage, **as_program(stage, stage.people.stranger)) == 404


def test_what_does_not_run_is_refused_with_its_state(stage: Stage) -> None:
    stage.set_state(InstanceState.STOPPED)
    assert refused(stage, **as_program(stage)) == 409
    stage.set_state(InstanceState.STARTING)
    assert refused(stage, **as_program(stage)) == 503


def test_the_works_refusal_passes(stage: Stage) -> None:
    assert refused(stage, path="refuses", **as_program(stage)) == 403


def test_revoking_the_cookie_closes_what_is_open(stage: Stage) -> None:
    with opened(stage, **as_browser(stage, stage.origin)) as connection:
        connection.send("x")
        assert connection.recv(10) == "x"
        with stage.db.write() as session:
            session.execute(delete(TokenRow).where(TokenRow.kind == "content"))
        stage.tokens.forget()
        with pytest.raises(ConnectionClosed):
            connection.recv(10)
        assert connection.close_code == 1008
    until(stage.work.left.is_set)


def test_messages_of_a_person_are_noted(stage: Stage) -> None:
    with opened(stage, **as_program(stage)) as connection:
        connection.send("x")
        connection.recv(10)
    until(lambda: stage.active_at() == stage.clock.now())
