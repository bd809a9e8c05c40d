"""Models with a ``predict.py`` behind the model server: answers, event streams, who may read them on."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import modelserver_kit as kit
import pytest
from tests import replica_kit

from nacre.schema.serving import ServedCapture, ServedEndpoint, ServedReplica, ServedRevision

CODE = """
import time

ended = []

def decode(request):
    if "authorization" in request.headers:
        raise RuntimeError("the token has come as far as here")
    return request.json()

def predict(inputs):
    if "count" in inputs:
        return tell(inputs)
    if inputs.get("ended"):
        return ended
    if inputs.get("wait"):
        time.sleep(inputs["wait"])
    return {"echo": inputs["text"][::-1]}

def tell(inputs):
    n = 0
    try:
        for n in range(inputs["count"]):
            yield {"n": n}
            time.sleep(inputs.get("pause", 0))
            if n == inputs.get("fail"):
                raise RuntimeError("cannot go on")
    finally:
        ended.append(n)
"""
PREDICT = "/endpoints/p/own/predict"


def served(*replicas: replica_kit.Replica) -> ServedRevision:
    return ServedRevision(
        revision=1,
        model="own",
        model_version=1,
        runtime="replicas",
        replicas=[ServedReplica(id=one.socket.rpartition("/")[2], socket=one.socket) for one in replicas],
    )


@pytest.fixture(scope="module")
def replica(tmp_path_factory: pytest.TempPathFactory) -> Iterator[replica_kit.Replica]:
    folder = tmp_path_factory.mktemp("replica")
    with replica_kit.Replica(replica_kit.write(folder / "model", CODE), folder) as running:
        running.connect().sock.close()
        yield running


Start = Callable[..., kit.Server]


@pytest.fixture
def own(start: Start, tmp_path: Path, replica: replica_kit.Replica) -> kit.Server:
    mlp = kit.revision(kit.mlp(tmp_path / "mlp.onnx"))
    kit.write_routes(tmp_path, {"p/own": served(replica), "p/mlp": mlp})
    server = start().wait()
    kit.until(lambda: kit.states(server.status(), "p/own")[1].state == "ready", "it is ready")
    return server


def test_it_answers_at_both_paths(own: kit.Server) -> None:
    for path in ("predict", "invocations"):
        answer = own.post(f"/endpoints/p/own/{path}", {"text": "abc"})
        assert (answer.status_code, answer.json()) == (200, {"echo": "cba"})
        assert answer.headers["content-type"] == "application/json"
    assert own.post(PREDICT, {"text": "abc"}, token="another").status_code == 401
    wrong = own.post(PREDICT, b"{")
    assert wrong.status_code == 400
    assert wrong.json()["error"].startswith(
        "the request cannot be decoded: predict.py, line 9: JSONDecodeError"
    )
    failed = own.post(PREDICT, {"text": 5})
    assert failed.status_code == 500
    assert "predict.py, line 18: TypeError" in failed.json()["error"]
    state = kit.states(own.status(), "p/own")[1]
    assert (state.requests, state.errors, state.in_flight) == (4, {"400": 1, "500": 1}, 0)


def test_a_shadow_with_code_of_its_own_is_asked_too(
    start: Start, tmp_path: Path, replica: replica_kit.Replica
) -> None:
    shadow = {"revision": 2, "traffic": 0, "shadow": 100}
    tensors = kit.revision(kit.mlp(tmp_path / "mlp.onnx"))
    kit.write_routes(
        tmp_path,
        {
            "p/own": ServedEndpoint(revisions=[served(replica), served(replica).model_copy(update=shadow)]),
            "p/mlp": ServedEndpoint(revisions=[tensors, served(replica).model_copy(update=shadow)]),
        },
    )
    server = start().wait()
    for key in ("p/own", "p/mlp"):
        kit.until(lambda key=key: kit.states(server.status(), key)[2].state == "ready", f"{key} is ready")

    def shadowed(key: str) -> tuple[int, dict[str, int]]:
        told = kit.states(server.status(), key)[2]
        return told.requests, told.errors

    assert server.post(PREDICT, {"text": "abc"}).json() == {"echo": "cba"}
    assert server.post(PREDICT, {"count": 3}).text.count("data:") == 3
    assert server.post(PREDICT, {"text": 5}).status_code == 500
    kit.until(lambda: shadowed("p/own") == (3, {"500": 1}), "the shadow has answered all three")
    assert server.post("/endpoints/p/mlp/predict", {"instances": [[0.5] * 8]}).status_code == 200
    kit.until(lambda: shadowed("p/mlp") == (1, {"500": 1}), "the other one's shadow has answered")


def test_its_requests_are_kept_with_their_answers(
    start: Start, tmp_path: Path, replica: replica_kit.Replica
) -> None:
    kept = tmp_path / "kept"
    capture = ServedCapture(share=1.0, folder=str(kept), budget_bytes=2**20)
    kit.write_routes(tmp_path, {"p/own": ServedEndpoint(revisions=[served(replica)], capture=capture)})
    server = start().wait()
    kit.until(lambda: kit.states(server.status(), "p/own")[1].state == "ready", "it is ready")
    assert server.post(PREDICT, {"text": "abc"}).json() == {"echo": "cba"}
    assert server.post(PREDICT, {"text": 5}).status_code == 500
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(kit.DEADLINE) == 0
    (line,) = [json.loads(line) for file in kept.iterdir() for line in file.read_text().splitlines()]
    assert [json.loads(line[way]["body"]["data"][0]) for way in ("inputs", "outputs")] == [
        {"text": "abc"},
        {"echo": "cba"},
    ]


def test_a_model_without_code_has_other_clients_at_these_paths(own: kit.Server) -> None:
    for path in ("predict", "invocations"):
        answer = own.post(f"/endpoints/p/mlp/{path}", {"instances": [[0.5] * 8]})
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["predictions"]) == 1


def test_clients_with_tensors_are_told_that_it_takes_none(own: kit.Server) -> None:
    for method, path in (
        ("POST", "v1/models/own:predict"),
        ("POST", "v2/models/own/infer"),
        ("GET", "v2/models/own"),
        ("GET", "v1/models/own/metadata"),
    ):
        url = f"/endpoints/p/own/{path}"
        answer = own.post(url, {"instances": [1]}) if method == "POST" else own.get(url)
        assert answer.status_code == (400 if method == "POST" else 404), answer.text
        assert "POST what that code takes to predict" in answer.json()["error"]


def test_events_come_as_they_are_made(own: kit.Server) -> None:
    headers = {"Authorization": f"Bearer {kit.TOKEN}"}
    body = {"count": 4, "pause": 0.2}
    with httpx.stream("POST", own.url(PREDICT), json=body, headers=headers, trust_env=False) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        seen = []
        times = []
        for line in answer.iter_lines():
            if line:
                seen.append(json.loads(line.removeprefix("data: "))["n"])
                times.append(time.monotonic())
    assert seen == [0, 1, 2, 3]
    assert times[-1] - times[0] > 0.3
    raw = own.connect().send(kit.request(b'{"count": 1}', PREDICT) + kit.request(b'{"text": "x"}', PREDICT))
    status, headers, _ = raw.answer(body=False)
    assert (status, headers["transfer-encoding"]) == (200, "chunked")
    while b"0\r\n\r\n" not in raw.buffer:
        raw.buffer += raw.socket.recv(1000)
    chunk, _, raw.buffer = raw.buffer.partition(b"0\r\n\r\n")
    assert chunk == b'10\r\ndata: {"n": 0}\n\n\r\n'
    assert json.loads(raw.answer()[2]) == {"echo": "x"}  # the connection goes on
    raw.close()


def test_a_stream_that_fails_ends_with_an_event_that_says_so(own: kit.Server) -> None:
    text = own.post(PREDICT, {"count": 5, "fail": 1}).text
    *_, last = text.split("\n\n")[:-1]
    assert last.startswith('event: error\ndata: {"error": "predict.py, line ')


def test_the_client_that_goes_away_ends_the_generator(own: kit.Server) -> None:
    before = len(own.post(PREDICT, {"ended": True}).json())
    raw = own.connect().send(kit.request(b'{"count": 1000000000, "pause": 0.01}', PREDICT))
    assert raw.answer(body=False)[0] == 200
    raw.close()

    kit.until(lambda: len(own.post(PREDICT, {"ended": True}).json()) > before, "the generator is closed")
    kit.until(lambda: kit.states(own.status(), "p/own")[1].in_flight == 0, "nothing is under way")


def test_a_token_that_is_revoked_ends_its_stream(own: kit.Server, tmp_path: Path) -> None:
    raw = own.connect().send(kit.request(b'{"count": 1000000000, "pause": 0.05}', PREDICT))
    assert raw.answer(body=False)[0] == 200
    kit.write_tokens(tmp_path, {})
    began = time.monotonic()
    while data := raw.socket.recv(65536):
        raw.buffer += data
    assert time.monotonic() - began < 15
    assert b"event: error\ndata: " in raw.buffer[-300:]
    assert not raw.buffer.endswith(b"0\r\n\r\n")  # it does not look whole
    raw.close()


def test_a_request_waits_for_a_cold_start(start: Start, tmp_path: Path) -> None:
    cold = served()
    kit.write_routes(tmp_path, {"p/own": ServedEndpoint(revisions=[cold], cold=True)})
    server = start().wait()
    raw = server.connect().send(kit.request(b'{"text": "abc"}', PREDICT))
    demand = server.control("GET", "/demand?wait=10").json()
    assert demand["waiting"] == {"p/own": 1}
    with replica_kit.Replica(replica_kit.write(tmp_path / "model", CODE), tmp_path) as replica:
        warm = cold.model_copy(update={"replicas": served(replica).replicas})
        kit.write_routes(tmp_path, {"p/own": ServedEndpoint(revisions=[warm], cold=True)}, generation=2)
        server.reload()
        assert json.loads(raw.answer()[2]) == {"echo": "cba"}
        raw.close()
