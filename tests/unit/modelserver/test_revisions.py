"""Revisions: loaded whole or not at all, swapped without a failed request, found again."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import modelserver_kit as kit
import numpy as np
import onnx
import pytest

from nacre.schema.serving import ServedRevision

Start = Callable[..., kit.Server]
ASK = {"inputs": [kit.tensor("x", "FP32", [1, 1], [0.0])]}


def number(server: kit.Server, endpoint: str = "p/c") -> float:
    answer = server.infer(endpoint, ASK)
    assert answer.status_code == 200, answer.text
    return float(answer.json()["outputs"][0]["data"][0])


@pytest.fixture
def one(tmp_path: Path) -> ServedRevision:
    return kit.revision(kit.constant(tmp_path / "1.onnx", 1.0), 1, version=1)


@pytest.fixture
def two(tmp_path: Path) -> ServedRevision:
    return kit.revision(kit.constant(tmp_path / "2.onnx", 2.0), 2, version=2)


def test_a_swap_under_load_fails_no_request(
    start: Start, tmp_path: Path, one: ServedRevision, two: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start().wait()
    done = threading.Event()
    seen: list[set[tuple[float, str]]] = []
    failures: list[str] = []
    counts: list[int] = []

    def client() -> None:
        found, count = set(), 0
        raw = server.connect()
        asking = kit.request(json.dumps(ASK).encode(), "/endpoints/p/c/v2/models/m/infer")
        try:
            while not done.is_set():
                status, _, body = raw.send(asking).answer()
                if status != 200:
                    failures.append(body.decode())
                    return
                answer = json.loads(body)
                found.add((answer["outputs"][0]["data"][0], answer["model_version"]))
                count += 1
        except Exception as error:
            failures.append(repr(error))
        finally:
            raw.close()
            seen.append(found)
            counts.append(count)

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    for turn in range(30):
        wanted = (two, one)[turn % 2]
        kit.write_routes(tmp_path, {"p/c": wanted}, generation=turn + 2)
        status = server.reload()
        assert status.generation == turn + 2
        assert status.endpoints["p/c"].revision == wanted.revision
        assert number(server) == wanted.revision
    done.set()
    for thread in clients:
        thread.join(kit.DEADLINE)
    assert failures == []
    # Every answer is one revision's own: value and version never mix.
    assert set().union(*seen) == {(1.0, "1"), (2.0, "2")}
    state = server.status().endpoints["p/c"]
    assert (state.requests, state.errors) == (sum(counts) + 30, 0)


def broken(tmp_path: Path, good: ServedRevision) -> dict[str, tuple[ServedRevision, str]]:
    text = tmp_path / "text.onnx"
    text.write_text("this is not a model\n" * 100)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(Path(good.path).read_bytes()[:-9])
    other = kit.mlp(tmp_path / "other.onnx")

    def at(path: Path) -> ServedRevision:
        digest = kit.blake3(path.read_bytes()).hexdigest()
        return good.model_copy(update={"revision": 9, "path": str(path), "digest": digest})

    gone = good.model_copy(update={"revision": 9, "path": str(tmp_path / "gone.onnx")})
    return {
        "text": (at(text), "not an ONNX model"),
        "empty": (at(empty), "empty"),
        "cut short": (at(cut), "not an ONNX model"),
        "absent": (gone, "is not there"),
        "another digest": (gone.model_copy(update={"path": str(other)}), "not the one that was"),
        "another signature": (at(other), "where its signature says"),
    }


@pytest.mark.parametrize(
    "case", ["text", "empty", "cut short", "absent", "another digest", "another signature"]
)
def test_a_revision_that_cannot_be_loaded_leaves_the_old_one_answering(
    start: Start, tmp_path: Path, one: ServedRevision, case: str
) -> None:
    wrong, said = broken(tmp_path, one)[case]
    kit.write_routes(tmp_path, {"p/c": one})
    server = start().wait()
    kit.write_routes(tmp_path, {"p/c": wrong, "p/new": wrong}, generation=2)
    status = server.reload()
    assert status.generation == 2
    old, new = status.endpoints["p/c"], status.endpoints["p/new"]
    assert (old.revision, old.state, new.revision, new.state) == (1, "failed", None, "failed")
    assert said in (old.message or "")
    assert old.message == new.message
    assert number(server) == 1.0
    refused = server.infer("p/new", ASK)
    assert (refused.status_code, said in refused.text) == (503, True)
    ready = server.get("/endpoints/p/new/v2/health/ready")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    kit.write_routes(tmp_path, {"p/c": one, "p/new": one}, generation=3)
    mended = server.reload().endpoints
    assert [(mended[key].state, mended[key].message) for key in ("p/c", "p/new")] == [("ready", None)] * 2


def test_routes_that_are_not_valid_change_nothing(
    start: Start, tmp_path: Path, one: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start().wait()
    for text in ("{", "[]", '{"generation": 2, "endpoints": {"p/c": 5}, "tokens": {}}'):
        (tmp_path / "routes.json").write_text(text)
        answer = server.control("POST", "/reload")
        assert answer.status_code == 422
        assert "routes.json is not valid" in answer.json()["error"]
    assert number(server) == 1.0


def test_a_removed_endpoint_is_gone(start: Start, tmp_path: Path, one: ServedRevision) -> None:
    kit.write_routes(tmp_path, {"p/c": one, "p/d": one})
    server = start().wait()
    kit.write_routes(tmp_path, {"p/d": one}, generation=2)
    assert list(server.reload().endpoints) == ["p/d"]
    gone = server.infer("p/c", ASK)
    assert (gone.status_code, "'d'" in gone.text) == (404, True)
    assert number(server, "p/d") == 1.0


def test_requests_in_flight_end_on_a_removed_endpoint(start: Start, tmp_path: Path) -> None:
    revision = kit.revision(kit.slow(tmp_path / "slow.onnx", 200_000))
    kit.write_routes(tmp_path, {"p/s": revision})
    server = start().wait()
    ask = {"inputs": [kit.tensor("x", "FP32", [1, 1], [7.0])]}
    raw = server.connect().send(
        kit.request(json.dumps(ask).encode(), "/endpoints/p/s/v2/models/m/infer") * 4
    )
    kit.until(lambda: server.status().endpoints["p/s"].requests > 0, "the first is answered")
    kit.write_routes(tmp_path, {}, generation=2)
    assert server.reload().endpoints == {}
    answers = [raw.answer()[0] for _ in range(4)]
    # Those that the server had begun end well; those still waiting meet the endpoint's absence.
    assert answers[:2] == [200, 200]
    assert set(answers) <= {200, 404}
    raw.close()


def external(tmp_path: Path, location: str) -> ServedRevision:
    """A model whose one weight lies in another file."""
    weight = onnx.TensorProto(name="w", dims=[1], data_type=onnx.TensorProto.FLOAT, data_location=1)
    for key, text in (("location", location), ("offset", "0"), ("length", "4")):
        weight.external_data.add(key=key, value=text)
    folder = tmp_path / "model"
    folder.mkdir(exist_ok=True)
    path = kit.save(
        folder / "m.onnx",
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])],
        [kit.value("x", "FP32", ["n", 1])],
        [kit.value("y", "FP32", ["n", 1])],
        (weight,),
    )
    tensor = {"datatype": "FP32", "shape": [-1, 1]}
    return ServedRevision.model_validate(
        {
            "revision": 1,
            "model": "m",
            "model_version": 1,
            "path": str(path),
            "digest": kit.blake3(path.read_bytes()).hexdigest(),
            "signature": {"inputs": [{"name": "x", **tensor}], "outputs": [{"name": "y", **tensor}]},
        }
    )


def test_weights_beside_the_model_are_read(start: Start, tmp_path: Path) -> None:
    revision = external(tmp_path, "weights.bin")
    (tmp_path / "model" / "weights.bin").write_bytes(np.array([5], "<f4").tobytes())
    kit.write_routes(tmp_path, {"p/c": revision})
    assert number(start().wait()) == 5.0


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "a/../../secret.bin", "link"])
def test_weights_outside_of_the_model_s_folder_are_refused(
    start: Start, tmp_path: Path, location: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(np.array([5], "<f4").tobytes())
    revision = external(tmp_path, location)
    (tmp_path / "model" / "link").symlink_to(tmp_path / "secret.bin")
    kit.write_routes(tmp_path, {"p/c": revision})
    state = start().wait().status().endpoints["p/c"]
    assert state.state == "failed"
    assert "outside of its own folder" in (state.message or "")


def test_after_kill_9_it_comes_back_from_routes_alone(
    start: Start, tmp_path: Path, one: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one}, generation=5)
    first = start().wait()
    first.kill()
    second = start(port=first.port).wait()
    assert second.port == first.port
    assert number(second) == 1.0
    assert second.status().generation == 5


def test_counts_and_latencies_outlive_a_swap(
    start: Start, tmp_path: Path, one: ServedRevision, two: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start().wait()
    assert server.status().endpoints["p/c"].latency_p50_ms is None
    for _ in range(3):
        number(server)
    assert server.infer("p/c", {"inputs": []}).status_code == 400
    kit.write_routes(tmp_path, {"p/c": two}, generation=2)
    state = server.reload().endpoints["p/c"]
    assert (state.requests, state.errors) == (4, 1)
    assert state.latency_p50_ms is not None
    assert state.latency_p99_ms is not None
    assert 0 < state.latency_p50_ms <= state.latency_p99_ms < 1000
    text = server.control("GET", "/metrics").text
    assert 'nacre_endpoint_requests_total{endpoint="p/c"} 4' in text
    assert 'nacre_endpoint_errors_total{endpoint="p/c"} 1' in text
    assert 'nacre_endpoint_latency_seconds_count{endpoint="p/c"} 4' in text


def test_a_failure_inside_the_model_is_told_and_counted(start: Start, tmp_path: Path) -> None:
    path = kit.save(
        tmp_path / "r.onnx",
        [onnx.helper.make_node("Reshape", ["x", "s"], ["y"])],
        [kit.value("x", "FP32", ["n", 2]), kit.value("s", "INT64", [2])],
        [kit.value("y", "FP32", ["a", "b"])],
    )
    kit.write_routes(tmp_path, {"p/r": kit.revision(path)})
    server = start().wait()

    def ask(shape: list[int]) -> httpx.Response:
        x = kit.tensor("x", "FP32", [2, 2], [1, 2, 3, 4])
        return server.infer("p/r", {"inputs": [x, kit.tensor("s", "INT64", [2], shape)]})

    assert ask([1, 4]).json()["outputs"][0]["shape"] == [1, 4]
    failed = ask([3, 3])
    assert failed.status_code in (400, 500)
    assert "model" in failed.json()["error"]
    assert ask([4, 1]).status_code == 200
    assert server.status().endpoints["p/r"].errors == 1
