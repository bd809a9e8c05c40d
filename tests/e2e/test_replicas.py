"""Endpoints whose model runs in processes of its own: started, scaled, killed, ended, to zero and back."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from real_server import MakeServer, Server, wait_until

from nacre.schema.endpoints import (
    Endpoint,
    EndpointDeploy,
    EndpointReplica,
    EndpointSettings,
    EndpointState,
    EndpointUpdate,
    Scaling,
)
from nacre.schema.models import ModelRegister

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

PRICES = """
currency = "USD"
[rates]
cpu = 0.02
memory = 0.003
[types."cpu.tiny"]
cpu = 0.25
memory = "1GB"
"""
# A class of the script's own, which no converter knows and which takes its time: 20 ms for a batch.
TRAIN = """
import os, time, joblib
import numpy as np
from sklearn.linear_model import LinearRegression

class Slow(LinearRegression):
    def predict(self, X):
        time.sleep(0.02)
        return super().predict(X)

if __name__ == "__main__":
    x = np.arange(20.0).reshape(10, 2) ** 2
    joblib.dump(Slow().fit(x, x @ [2.0, 3.0] + 1.0), os.environ["NACRE_OUTPUT_DIR"] + "/model.joblib")
"""


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    server = make_module_server(start=False)
    (server.home / "prices.toml").write_text(PRICES)
    server.start()
    server.run("env", "build", "sklearn", timeout_s=600)
    job = server.wait(
        server.submit({"main.py": TRAIN}, environment="sklearn", resources={"cpu": 0.5, "memory": "1GB"}),
        timeout_s=200,
    )
    assert job.state == "succeeded", job.message
    nacre = server.client()
    nacre.models.register("slow", ModelRegister(run=job.run, path="model.joblib"))
    nacre.models.wait("slow", "1", timeout_s=600)
    return server


def deploy(server: Server, name: str, **scaling: Any) -> Endpoint:
    """An endpoint that answers, of small replicas."""
    nacre = server.client()
    wish = EndpointDeploy(model="slow", runtime="replicas", type="cpu.tiny", scaling=Scaling(**scaling))
    nacre.endpoints.deploy(name, wish)
    found = nacre.endpoints.wait(name, timeout_s=120)
    assert found.state is EndpointState.READY, f"{found.message}: {found.revisions}"
    return found


def replicas(server: Server, name: str, state: str = "ready") -> list[EndpointReplica]:
    found = server.client().endpoints.get(name)
    return [one for one in found.revisions[0].replicas if one.state == state]


def grown(server: Server, name: str, count: int, timeout_s: float = 90) -> list[EndpointReplica]:
    """The replicas, once so many answer and no others are left."""

    def there() -> list[EndpointReplica]:
        every = server.client().endpoints.get(name).revisions[0].replicas
        living = [one for one in every if one.state != "failed"]
        return living if [one.state for one in living] == ["ready"] * count else []

    if count == 0:
        wait_until("none is left", lambda: not replicas(server, name), timeout_s)
        return []
    found: list[EndpointReplica] = wait_until(f"{count} replicas of {name} answer", there, timeout_s, 0.3)
    return found


class Caller:
    """Asks again and again on one connection; counts what it gets."""

    def __init__(self, server: Server, url: str) -> None:
        self._path = url.removeprefix(server.inference_url)
        self._port, self._token = server.inference_port, server.token
        self._connection: http.client.HTTPConnection | None = None

    def ask(self, timeout_s: float = 60) -> tuple[int, Any]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout_s)
        body = json.dumps({"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP64", "data": [1, 2]}]})
        try:
            self._connection.request(
                "POST",
                f"{self._path}/v2/models/slow/infer",
                body,
                {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            )
            with self._connection.getresponse() as response:
                return response.status, json.loads(response.read())
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            raise

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def value(answer: Any) -> float:
    return round(float(answer["outputs"][0]["data"][0]), 6)


@contextmanager
def load(server: Server, url: str, callers: int) -> Iterator[Counter[str]]:
    """So many ask all the time; what they got, by status or error."""
    got: Counter[str] = Counter()
    over = threading.Event()

    def run() -> None:
        caller = Caller(server, url)
        while not over.is_set():
            try:
                status, answer = caller.ask()
                got[str(status) if status == 200 else f"{status} {answer}"] += 1
                if status == 200:
                    assert value(answer) == 9.0
            except Exception as error:
                got[repr(error)] += 1
        caller.close()

    threads = [threading.Thread(target=run) for _ in range(callers)]
    for thread in threads:
        thread.start()
    try:
        yield got
    finally:
        over.set()
        for thread in threads:
            thread.join(70)


def records(server: Server, endpoint: Endpoint) -> list[dict[str, Any]]:
    """Usage records of an endpoint, oldest first."""
    found = server.http().get("/api/v1/projects/default/usage", params={"limit": 1000}).json()["items"]
    return [one for one in reversed(found) if one["subject"] == endpoint.id]


class TestReplicas:
    def test_it_answers_and_only_its_replica_costs(self, server: Server) -> None:
        endpoint = deploy(server, "plain")
        assert endpoint.revisions[0].runtime == "replicas"
        caller = Caller(server, endpoint.url)
        status, answer = caller.ask()
        assert (status, value(answer)) == (200, 9.0)
        caller.close()
        [one] = replicas(server, "plain")
        assert one.cold_start_s is not None
        assert 0 < one.cold_start_s < 60
        [record] = records(server, endpoint)
        assert (record["kind"], record["subject_name"], record["cpu"]) == ("endpoint", "plain", 0.25)
        assert record["ended_at"] is None
        [node] = server.http().get("/api/v1/nodes").json()["items"]
        assert [(one["kind"], one["name"]) for one in node["work"]] == [("endpoint", "plain")]
        [pid] = [pid for pid in server.work() if _is_replica(pid)]
        environment = _environ(pid)
        assert environment["NACRE_TOKEN"] == ""
        server.client().endpoints.delete("plain")
        wait_until("its replica is gone", lambda: not server.work())
        wait_until("its record is closed", lambda: records(server, endpoint)[0]["ended_at"])
        assert len(records(server, endpoint)) == 1

    def test_one_to_four_to_one_without_a_failed_request(self, server: Server) -> None:
        endpoint = deploy(server, "wide", max_replicas=4, target=4)
        with load(server, endpoint.url, 16) as got:
            began = time.monotonic()
            grown(server, "wide", 4)
            print(f"1 to 4 after {time.monotonic() - began:.1f} s")
            time.sleep(3)
        assert set(got) == {"200"}, got
        many = got["200"]
        with load(server, endpoint.url, 2) as got:
            began = time.monotonic()
            grown(server, "wide", 1)
            print(f"4 to 1 after {time.monotonic() - began:.1f} s")
            time.sleep(2)
        assert set(got) == {"200"}, got
        print(f"{many} and {got['200']} requests")
        rows = records(server, endpoint)
        assert len(rows) == 4
        assert sum(one["ended_at"] is None for one in rows) == 1
        server.client().endpoints.delete("wide")
        wait_until("its replicas are gone", lambda: not server.work())

    def test_a_deploy_and_a_roll_back_without_a_failed_request(self, server: Server) -> None:
        endpoint = deploy(server, "swap")
        nacre = server.client()

        def served(number: int) -> bool:
            found = {one.number: one for one in nacre.endpoints.get("swap").revisions}
            alone = all(not one.replicas for other, one in found.items() if other != number)
            return alone and found[number].state == "ready" and found[number].traffic == 100

        with load(server, endpoint.url, 4) as got:
            nacre.endpoints.deploy("swap", EndpointDeploy(model="slow", runtime="replicas"))
            wait_until("only the new revision answers, and has replicas", lambda: served(2), 120, 0.3)
            nacre.endpoints.rollback("swap")
            wait_until("only the old revision answers, and has replicas", lambda: served(1), 120, 0.3)
        assert set(got) == {"200"}, got
        rows = records(server, endpoint)
        assert len(rows) == 3
        assert sum(one["ended_at"] is None for one in rows) == 1
        nacre.endpoints.delete("swap")
        wait_until("its replicas are gone", lambda: not server.work())

    def test_kills_of_a_replica_and_of_the_server(self, server: Server) -> None:
        endpoint = deploy(server, "hardy", min_replicas=2, max_replicas=2, target=100)
        before = {one.id for one in grown(server, "hardy", 2)}
        with load(server, endpoint.url, 4) as got:
            time.sleep(1)
            os.kill(next(pid for pid in server.work() if _is_replica(pid)), signal.SIGKILL)
            wait_until("one is missed", lambda: {one.id for one in replicas(server, "hardy")} != before)
            after = {one.id for one in grown(server, "hardy", 2)}
            assert len(after & before) == 1
            time.sleep(1)
        assert got["200"] > 50
        failed = [(what, count) for what, count in got.items() if what != "200"]
        assert sum(count for _, count in failed) <= 4, got  # those in flight on it, at most
        assert all(what.startswith("503") for what, _ in failed), got

        with load(server, endpoint.url, 4) as got:
            server.kill9()
            time.sleep(3)
            assert got["200"] > 20, "the server being away is nothing to them"
            server.start()
            time.sleep(3)
        assert set(got) == {"200"}, got
        assert {one.id for one in grown(server, "hardy", 2)} == after
        assert sum(one["ended_at"] is None for one in records(server, endpoint)) == 2
        server.client().endpoints.delete("hardy")
        wait_until("its replicas are gone", lambda: not server.work())

    def test_one_that_hangs_is_replaced(self, server: Server) -> None:
        nacre = server.client()
        wish = EndpointDeploy(
            model="slow",
            runtime="replicas",
            type="cpu.tiny",
            scaling=Scaling(),
            settings=EndpointSettings(timeout_s=5),
        )
        endpoint = nacre.endpoints.deploy("stuck", wish)
        assert nacre.endpoints.wait("stuck", timeout_s=120).state is EndpointState.READY
        [before] = grown(server, "stuck", 1)
        os.kill(next(pid for pid in server.work() if _is_replica(pid)), signal.SIGSTOP)
        caller = Caller(server, endpoint.url)
        assert caller.ask()[0] == 504
        wait_until("another one answers", lambda: grown(server, "stuck", 1)[0].id != before.id, 120, 0.3)
        every = nacre.endpoints.get("stuck").revisions[0].replicas
        [hung] = [one for one in every if one.id == before.id]
        assert (hung.state, hung.reason) == ("failed", "hung")
        assert (hung.message or "").startswith("the replica hung: it has answered nothing for ")
        wait_until("it answers", lambda: caller.ask()[0] == 200)
        caller.close()
        nacre.endpoints.delete("stuck")
        wait_until("its replicas are gone", lambda: not server.work())

    def test_to_zero_and_back(self, server: Server) -> None:
        endpoint = deploy(server, "rare", min_replicas=0, max_replicas=2, target=100, idle_s=2)
        grown(server, "rare", 0)
        wait_until("nothing of it runs", lambda: not server.work())
        wait_until(
            "its record is closed", lambda: all(one["ended_at"] for one in records(server, endpoint))
        )
        caller = Caller(server, endpoint.url)
        began = time.monotonic()
        status, answer = caller.ask()
        took = time.monotonic() - began
        assert (status, value(answer)) == (200, 9.0)
        caller.close()
        [one] = replicas(server, "rare")
        assert one.cold_start_s is not None
        print(f"a cold start took {one.cold_start_s:.2f} s, the request that waited {took:.2f} s")
        assert one.cold_start_s <= took
        server.client().endpoints.update("rare", EndpointUpdate(scaling=Scaling(min_replicas=1)))
        time.sleep(5)
        assert replicas(server, "rare") == [one]
        server.client().endpoints.delete("rare")
        wait_until("its replicas are gone", lambda: not server.work())


def _is_replica(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"nacre.modelserver.replica" in file.read() and not file.name.endswith("sh")
    except OSError:
        return False


def _environ(pid: int) -> dict[str, str]:
    with open(f"/proc/{pid}/environ", "rb") as file:
        pairs = [item.partition("=") for item in file.read().decode(errors="replace").split("\0")]
    return {name: text for name, _, text in pairs}


def test_down_with_all_ends_replicas_and_up_starts_them_again(server: Server) -> None:
    endpoint = deploy(server, "rests")
    [before] = grown(server, "rests", 1)
    done = server.run("down", "--all", timeout_s=120)
    assert done.stdout.startswith(b"nacre is down")
    wait_until("nothing is left", lambda: not server.work() and not server.launchers(), 20)
    server.stop()
    server.start()
    got: Counter[int] = Counter()
    caller = Caller(server, endpoint.url)

    def answered() -> bool:
        """Until there is a replica: not listening yet, or at once the answer that there is none."""
        try:
            status, answer = caller.ask()
        except OSError:
            if got:
                raise
            return False
        got[status] += 1
        assert status in (200, 503), answer
        return status == 200

    wait_until("it answers again", answered, 200, 0.1)
    caller.close()
    assert grown(server, "rests", 1, 200)[0].id != before.id
    nacre = server.client()
    mine = [one for one in nacre.usage.list(limit=None) if one.subject_name == "rests"]
    assert [one.ended_at is None for one in mine].count(True) == 1
    assert len(mine) == 2
    nacre.endpoints.delete("rests")
