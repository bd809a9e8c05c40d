"""Revisions under constant load: canary, shadow, promotion, roll-back by hand and by itself, and no failed
request."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import onnx
import psutil
import pytest
from onnx import TensorProto, helper
from real_server import Server, wait_until
from served import multiplying

from nacre.schema.endpoints import Endpoint, EndpointDeploy, EndpointState, EndpointUpdate

BODY = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1.0, 77.0]}]}


def picky() -> bytes:
    """``y = x * 5``, but where 77 is the greatest of all, it wants rows of three, and fails."""
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["places"], to=TensorProto.INT64),
            helper.make_node("ReduceMax", ["places"], ["most"], keepdims=0),
            helper.make_node("Equal", ["most", "bad"], ["is_bad"]),
            helper.make_node("Cast", ["is_bad"], ["place"], to=TensorProto.INT64),
            helper.make_node("Add", ["two", "place"], ["width"]),
            helper.make_node("Concat", ["any", "width"], ["shape"], axis=0),
            helper.make_node("Reshape", ["x", "shape"], ["rows"]),
            helper.make_node("Mul", ["rows", "five"], ["y"]),
        ],
        "picky",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 2])],
        [
            helper.make_tensor("five", TensorProto.FLOAT, [], [5.0]),
            helper.make_tensor("two", TensorProto.INT64, [1], [2]),
            helper.make_tensor("any", TensorProto.INT64, [1], [-1]),
            helper.make_tensor("bad", TensorProto.INT64, [], [77]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


class Load:
    """Clients that ask one after the other, without an end, on connections that last and that do not."""

    def __init__(self, server: Server, url: str) -> None:
        self.url = f"{url}/v2/models/multiply/infer"
        self.headers = {"Authorization": f"Bearer {server.token}"}
        self.over = threading.Event()
        self.statuses: Counter[int] = Counter()
        self.seen: list[tuple[float, float]] = []  # when it was asked, the answer
        self.slowest = 0.0
        self._threads = [threading.Thread(target=self._ask, args=(keep,)) for keep in (True, True, False)]

    def _ask(self, keep: bool) -> None:
        headers = self.headers if keep else self.headers | {"Connection": "close"}
        with httpx.Client(headers=headers, timeout=30, trust_env=False) as client:
            while not self.over.is_set():
                begin = time.perf_counter()
                answer = client.post(self.url, json=BODY)
                self.slowest = max(self.slowest, time.perf_counter() - begin)
                self.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    self.seen.append((begin, answer.json()["outputs"][0]["data"][0]))

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        for thread in self._threads:
            thread.join(30)

    def lately(self, count: int = 200) -> Counter[float]:
        """The answers to the next so many requests; none that was asked before."""
        now, start = time.perf_counter(), len(self.seen)

        def found() -> list[float]:
            return [answer for asked, answer in self.seen[start:] if asked >= now]

        wait_until("answers come", lambda: len(found()) >= count)
        return Counter(found()[:count])


class Stage:
    """A model ``multiply`` with versions that multiply by 2, 3 and 4 and one that fails; an endpoint."""

    def __init__(self, server: Server) -> None:
        self.server, self.nacre = server, server.client()
        project = f"rev{time.time_ns() % 10**9}"
        self.nacre.projects.create(project)
        self.nacre = server.client(project=project)
        self.project = project

    def register(self, content: bytes) -> int:
        files = self.server.home.parent / f"{self.project}.onnx"
        files.write_bytes(content)
        made = self.nacre.models.push(files, "multiply")
        found = self.nacre.models.wait("multiply", str(made.number), timeout_s=300)
        assert found.conversion == "ready", found
        return found.number

    def deploy(self, version: int, **fields: object) -> Endpoint:
        request = EndpointDeploy.model_validate({"model": "multiply", "version": str(version), **fields})
        self.nacre.endpoints.deploy("ask", request)
        found = self.nacre.endpoints.wait("ask", timeout_s=60)
        assert found.state is EndpointState.READY, found
        return found

    def get(self) -> Endpoint:
        return self.nacre.endpoints.get("ask")

    def cli(self, *words: str) -> Endpoint:
        done = self.server.run("-p", self.project, "-o", "json", *words)
        return Endpoint.model_validate_json(done.stdout)


def answering(found: Endpoint) -> dict[int, int]:
    return {one.number: one.answering for one in found.revisions if one.answering}


@pytest.fixture(scope="module")
def stage(nacre_server: Server) -> Iterator[Stage]:
    found = Stage(nacre_server)
    for factor in (2.0, 3.0, 4.0):
        found.register(multiplying(factor))
    yield found
    found.nacre.endpoints.delete("ask")


def test_canary_promotion_and_roll_back_fail_no_request(stage: Stage) -> None:
    found = stage.deploy(1)
    with Load(stage.server, found.url) as load:
        assert set(load.lately()) == {2.0}
        found = stage.cli("deploy", "multiply@2", "--name", "ask", "--traffic", "10")
        assert answering(found) == {1: 90, 2: 10}
        lately = load.lately(400)
        assert set(lately) == {2.0, 3.0}
        assert 20 <= lately[3.0] <= 60, lately
        found = stage.cli("endpoint", "promote", "ask")
        assert answering(found) == {2: 100}
        assert set(load.lately()) == {3.0}
        found = stage.cli("rollback", "ask")
        assert answering(found) == {1: 90, 2: 10}
        found = stage.cli("rollback", "ask")
        assert answering(found) == {1: 100}
        assert set(load.lately()) == {2.0}
        for number in range(6):
            stage.deploy(number % 3 + 1)
        assert answering(stage.get()) == {8: 100}
        assert set(load.lately()) == {4.0}
    assert set(load.statuses) == {200}, load.statuses
    assert {answer for _, answer in load.seen} == {2.0, 3.0, 4.0}
    print(f"{load.statuses[200]} requests, the slowest took {load.slowest * 1000:.0f} ms")


def test_a_shadow_gets_copies_and_answers_nobody(stage: Stage) -> None:
    found = stage.deploy(1)
    with Load(stage.server, found.url) as load:
        found = stage.cli("deploy", "multiply@3", "--name", "ask", "--shadow", "50")
        number = found.revisions[0].number
        assert found.revisions[0].shadow == 50
        assert set(load.lately(300)) == {2.0}
        wait_until("it got copies", lambda: (stage.get().revisions[0].requests or 0) >= 100)
        found = stage.cli("endpoint", "promote", "ask")
        assert answering(found) == {number: 100}
        assert set(load.lately()) == {4.0}
    assert set(load.statuses) == {200}, load.statuses


def test_a_revision_that_fails_is_taken_back_by_itself(stage: Stage) -> None:
    broken = stage.register(picky())
    before = stage.deploy(1).revisions[0].number
    rule = {"window_s": 10, "min_requests": 20}
    request = EndpointUpdate.model_validate({"settings": {"rollback": rule}})
    url = stage.nacre.endpoints.update("ask", request).url
    with Load(stage.server, url) as load:
        load.lately()
        stage.nacre.endpoints.deploy(
            "ask", EndpointDeploy(model="multiply", version=str(broken), traffic=20)
        )
        found = wait_until("it is taken back", lambda: stage.get().reason == "rolled_back" and stage.get())
        assert answering(found) == {before: 100}
        bad = found.revisions[0]
        assert (bad.state, bad.reason) == ("failed", "worse_errors")
        assert "requests failed, of the others'" in (bad.message or "")
        load.lately(50)
        failed = load.statuses[500]
        assert set(load.lately(300)) == {2.0}
        assert load.statuses[500] == failed
        print(f"taken back after {failed} failures: {bad.message}")
    assert set(load.statuses) <= {200, 500}


def test_each_request_is_booked_once_whatever_is_killed(stage: Stage) -> None:
    request = EndpointDeploy(model="multiply", version="1")
    stage.nacre.endpoints.deploy("counted", request)
    url = stage.nacre.endpoints.wait("counted", timeout_s=60).url

    def ask(times: int) -> None:
        for _ in range(times):
            answer = httpx.post(
                f"{url}/v2/models/multiply/infer",
                json=BODY,
                headers={"Authorization": f"Bearer {stage.server.token}"},
                trust_env=False,
            )
            assert answer.status_code == 200, answer.text

    def booked() -> int:
        lines = stage.nacre.usage.requests().lines
        return sum(line.requests for line in lines if line.endpoint == "counted")

    ask(50)
    stage.server.kill9()
    ask(5)  # the model server goes on, and writes it down
    stage.server.start()
    ask(7)
    wait_until("all of them are booked", lambda: booked() >= 62, timeout_s=30)
    model_server = int(json.loads((stage.server.home / "serving/modelserver.json").read_text())["pid"])
    os.kill(model_server, signal.SIGKILL)
    wait_until("it is there again", lambda: not psutil.pid_exists(model_server))
    wait_until("it answers again", lambda: _answers(url, stage.server.token))
    ask(3)
    stage.nacre.endpoints.delete("counted")
    wait_until("also what came last", lambda: booked() >= 65, timeout_s=30)
    usage = stage.server.home / "serving/usage"
    # Each worker that lives may have one.
    wait_until("the files of dead workers are gone", lambda: len(list(usage.glob("*.jsonl"))) <= 2)
    assert booked() == 65


def _answers(url: str, token: str) -> bool:
    try:
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.get(f"{url}/v2/models/multiply/ready", headers=headers, trust_env=False).is_success
    except httpx.HTTPError:
        return False
