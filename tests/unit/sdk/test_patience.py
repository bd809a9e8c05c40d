"""How long the SDK waits for a server that restarts."""

from __future__ import annotations

import httpx
import pytest

from nacre.errors import Unavailable
from nacre.schema.server import ServerInfo
from nacre.sdk import transport as module
from nacre.sdk.transport import Transport

INFO = {"version": "1", "sign_up": "closed", "content_url": "http://a", "inference_url": "http://b"}


class Server:
    """Answers after ``failures`` broken connections; time passes only while it is asked or slept."""

    def __init__(self, failures: int, each_s: float) -> None:
        self.now = 1000.0
        self._failures, self._each_s = failures, each_s

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self._failures:
            self._failures -= 1
            self.now += self._each_s
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        return httpx.Response(200, json=INFO)


def ask(server: Server, monkeypatch: pytest.MonkeyPatch) -> ServerInfo:
    monkeypatch.setattr(module, "time", server)
    transport = Transport("http://nowhere", None)
    transport.close()
    transport.http = httpx.Client(base_url="http://nowhere", transport=httpx.MockTransport(server))
    try:
        found: ServerInfo = transport.call("server.info", ServerInfo)
        return found
    finally:
        transport.close()


def test_a_request_that_waited_long_before_the_server_died_is_tried_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ask(Server(failures=1, each_s=30), monkeypatch).version == "1"


def test_a_server_that_is_back_within_seconds_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(Server(failures=8, each_s=0), monkeypatch).version == "1"


def test_a_server_that_stays_away_is_an_error_that_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(failures=1000, each_s=0)
    with pytest.raises(Unavailable, match="nacre up"):
        ask(server, monkeypatch)
    assert server.now < 1010
