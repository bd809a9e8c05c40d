"""Endpoints whose model lies in replicas: real ones, which come and go."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import modelserver_kit as kit
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB

from nacre.schema.serving import ServedEndpoint, ServedReplica, ServedRevision

DIGITS = load_digits()
IMAGES = (DIGITS.data / 16).astype(np.float32)


class Replicas:
    """Replica processes of one model."""

    def __init__(self, folder: Path, model: Path) -> None:
        self._folder = folder
        self._model = model
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> ServedReplica:
        path = self._folder / f"{name}.sock"
        command = [sys.executable, "-m", "nacre.modelserver.replica"]
        self.running[name] = subprocess.Popen(
            [*command, "--model", str(self._model), "--socket", str(path)], stdin=subprocess.DEVNULL
        )
        kit.until(path.exists, f"replica {name} listens")
        return ServedReplica(id=name, socket=str(path))

    def kill(self, name: str) -> None:
        os.kill(self.running[name].pid, signal.SIGKILL)
        self.running[name].wait(kit.DEADLINE)

    def end(self) -> None:
        for process in self.running.values():
            if process.poll() is None:
                process.kill()
            process.wait(kit.DEADLINE)


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    folder = tmp_path / "model"
    folder.mkdir()
    fitted = GaussianNB().fit(IMAGES[:500], DIGITS.target[:500])
    (folder / "model.pkl").write_bytes(pickle.dumps(fitted))
    made = Replicas(tmp_path, folder)
    yield made
    made.end()


def served(*replicas: ServedReplica, cold: bool = False, **more: float) -> ServedEndpoint:
    revision = ServedRevision(
        revision=1, model="m", model_version=1, runtime="replicas", replicas=list(replicas)
    )
    return ServedEndpoint(revisions=[revision], cold=cold, **more)  # type: ignore[arg-type]


def ask(server: kit.Server, rows: int = 2, name: str = "p/d") -> tuple[int, list[int] | str]:
    [spec] = server.get(f"/endpoints/{name}/v2/models/m").json().get("inputs") or [{"name": "x"}]
    values = IMAGES[1000 : 1000 + rows]
    x = kit.tensor(spec["name"], spec.get("datatype", "FP32"), list(values.shape), values.ravel().tolist())
    answer = server.infer(name, {"inputs": [x]})
    if answer.status_code != 200:
        return answer.status_code, answer.text
    return 200, answer.json()["outputs"][0]["data"]


def test_a_scikit_learn_model_answers_from_its_replica(
    start: Callable[..., kit.Server], tmp_path: Path, replicas: Replicas
) -> None:
    kit.write_routes(tmp_path, {"p/d": served(replicas.start("a"))})
    server = start().wait()
    kit.until(lambda: kit.states(server.status(), "p/d")[1].state == "ready", "it is ready")
    fitted = pickle.loads((tmp_path / "model" / "model.pkl").read_bytes())
    status, data = ask(server, 5)
    assert (status, data) == (200, fitted.predict(IMAGES[1000:1005]).tolist())
    told = kit.states(server.status(), "p/d")[1]
    assert (told.replicas, told.samples, told.batches) == ({"a": "up"}, 5, 1)


def test_replicas_come_and_go_without_a_failed_request(
    start: Callable[..., kit.Server], tmp_path: Path, replicas: Replicas
) -> None:
    kit.write_routes(tmp_path, {"p/d": served(replicas.start("a"))})
    server = start().wait()
    kit.until(lambda: kit.states(server.status(), "p/d")[1].state == "ready", "it is ready")
    over = threading.Event()
    failures: list[object] = []
    counts = [0] * 4

    def client(number: int) -> None:
        while not over.is_set():
            status, said = ask(server, 1)
            if status != 200:
                failures.append(said)
            counts[number] += 1

    clients = [threading.Thread(target=client, args=(n,)) for n in range(4)]
    for thread in clients:
        thread.start()
    more = [replicas.start(name) for name in "bcd"]
    first = served().revisions[0].model_copy(update={"replicas": []})
    generation = 2
    for wanted in (more, more[:1]):
        endpoint = ServedEndpoint(revisions=[first.model_copy(update={"replicas": wanted})])
        kit.write_routes(tmp_path, {"p/d": endpoint}, generation=generation)
        server.reload()
        generation += 1
        before = sum(counts)
        kit.until(lambda before=before: sum(counts) > before + 40, "it goes on")
    over.set()
    for thread in clients:
        thread.join(kit.DEADLINE)
    assert failures == []
    assert kit.states(server.status(), "p/d")[1].replicas == {"b": "up"}


def test_a_request_waits_for_the_first_replica_and_is_told_as_demand(
    start: Callable[..., kit.Server], tmp_path: Path, replicas: Replicas
) -> None:
    one = replicas.start("a")
    kit.write_routes(tmp_path, {"p/d": served(one, cold=True)})
    server = start().wait()
    kit.until(lambda: kit.states(server.status(), "p/d")[1].state == "ready", "it is ready")
    kit.write_routes(tmp_path, {"p/d": served(cold=True)}, generation=2)
    server.reload()
    kit.until(lambda: kit.states(server.status(), "p/d")[1].state == "unloaded", "none is left")
    assert server.control("GET", "/demand").json() == {"waiting": {}}
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(ask(server)))
    asking.start()
    assert server.control("GET", "/demand?wait=30").json() == {"waiting": {"p/d": 1}}
    kit.write_routes(tmp_path, {"p/d": served(one, cold=True)}, generation=3)
    server.reload()
    asking.join(kit.DEADLINE)
    assert [status for status, _ in answers] == [200]  # type: ignore[misc]


def test_a_replica_that_is_killed_is_told_and_the_other_answers(
    start: Callable[..., kit.Server], tmp_path: Path, replicas: Replicas
) -> None:
    kit.write_routes(tmp_path, {"p/d": served(replicas.start("a"), replicas.start("b"))})
    server = start().wait()
    kit.until(
        lambda: kit.states(server.status(), "p/d")[1].replicas == {"a": "up", "b": "up"}, "both are up"
    )
    replicas.kill("a")
    kit.until(lambda: kit.states(server.status(), "p/d")[1].replicas["a"] != "up", "it is seen")
    assert {ask(server)[0] for _ in range(10)} == {200}
    replicas.kill("b")
    kit.until(lambda: kit.states(server.status(), "p/d")[1].state == "unloaded", "none is left")


def test_nobody_waits_beyond_the_deadline(
    start: Callable[..., kit.Server], tmp_path: Path, replicas: Replicas
) -> None:
    kit.write_routes(tmp_path, {"p/d": served(replicas.start("a"), cold=True, timeout_s=1.0)})
    server = start().wait()
    kit.until(lambda: kit.states(server.status(), "p/d")[1].state == "ready", "it is ready")
    replicas.kill("a")
    kit.until(lambda: kit.states(server.status(), "p/d")[1].state == "unloaded", "it is seen")
    status, said = ask(server)
    assert status == 504, said
