"""kill -9 of a worker of the model server, and of the server, while clients ask without a pause."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest
import served
from real_server import MakeServer, Server, wait_until

pytestmark = pytest.mark.slow

CLIENTS = 8


class Load:
    """Clients that each keep one connection and ask again as soon as they are answered.

    ``broken``: how often a connection broke with a request under way; ``wrong``: answers that are not.
    """

    def __init__(self, server: Server, endpoint: str, token: str) -> None:
        self._address = ("127.0.0.1", server.inference_port)
        self._path = f"/endpoints/default/{endpoint}/v2/models/{endpoint}/infer"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.answers = [0] * CLIENTS
        self.broken = [0] * CLIENTS
        self.wrong: list[str] = []
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._client, args=(n,)) for n in range(CLIENTS)]

    def _client(self, number: int) -> None:
        connection = http.client.HTTPConnection(*self._address, timeout=30)
        tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [float(number)] * 2}
        body = json.dumps({"inputs": [tensor]})
        while not self._over.is_set():
            try:
                connection.request("POST", self._path, body, self._headers)
                answer = connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException):
                self.broken[number] += 1
                connection.close()
                continue
            if answer.status != 200 or json.loads(text)["outputs"][0]["data"] != [2.0 * number] * 2:
                self.wrong.append(f"{answer.status} {text[:200]!r}")
                break
            self.answers[number] += 1
        connection.close()

    def go_on(self) -> None:
        """Until each client has been answered some more times."""
        before = list(self.answers)
        enough = 20
        wait_until(
            "every client is answered",
            lambda: self.wrong or all(a >= b + enough for a, b in zip(self.answers, before, strict=True)),
        )

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        self.go_on()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(60)


@contextmanager
def load(server: Server) -> Iterator[Load]:
    endpoint = served.deploy(server)
    issued = server.client().tokens.create("load", scopes=["endpoints:invoke"])
    wait_until("the token is known", lambda: _knows(endpoint.url, issued.secret))
    with Load(server, endpoint.name, issued.secret) as running:
        yield running


def _knows(url: str, token: str) -> bool:
    answer = httpx.get(f"{url}/v2/health/ready", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code == 200


def model_server(server: Server) -> psutil.Process:
    return psutil.Process(json.loads((server.home / "serving" / "modelserver.json").read_text())["pid"])


def test_a_worker_that_is_killed_breaks_only_what_it_was_doing(make_server: MakeServer) -> None:
    server = make_server(NACRE_INFERENCE_WORKERS="2")
    with load(server) as clients:
        first, second = model_server(server).children()
        os.kill(first.pid, signal.SIGKILL)
        clients.go_on()
        wait_until("it is replaced", lambda: len(_alive(server) - {first.pid}) == 2)
        clients.go_on()
        assert second.is_running()
    assert clients.wrong == []
    # The request that was under way; and a new connection may still come to the listener of a process that
    # is being taken apart.
    assert max(clients.broken) <= 2
    assert sum(clients.broken) <= CLIENTS


def _alive(server: Server) -> set[int]:
    children = model_server(server).children()
    return {one.pid for one in children if one.status() != psutil.STATUS_ZOMBIE}


def test_the_server_may_be_killed_and_come_back(make_server: MakeServer) -> None:
    server = make_server()
    with load(server) as clients:
        server.kill9()
        clients.go_on()
        server.start()
        clients.go_on()
        state = wait_until("it sees the endpoint", lambda: server.client().endpoints.get("double").requests)
        assert state
        clients.go_on()
    assert (clients.wrong, sum(clients.broken)) == ([], 0)
