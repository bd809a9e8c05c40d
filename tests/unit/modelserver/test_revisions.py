"""Revisions: loaded whole or not at all, swapped without a failed request, found again."""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import httpx
import modelserver_kit as kit
import numpy as np
import onnx
import pytest

from nacre.schema.serving import ServedEndpoint, ServedRevision

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

    def client() -> None:
        found = set()
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
        except Exception as error:
            failures.append(repr(error))
        finally:
            raw.close()
            seen.append(found)

    clients = [threading.Thread(target=client) for _ in range(8)]
    for thread in clients:
        thread.start()
    for turn in range(30):
        wanted = (two, one)[turn % 2]
        kit.write_routes(tmp_path, {"p/c": wanted}, generation=turn + 2)
        status = server.reload()
        assert status.generation == turn + 2
        assert [(n, one.state) for n, one in kit.states(status, "p/c").items()] == [
            (wanted.revision, "ready")
        ]
        assert number(server) == wanted.revision
    done.set()
    for thread in clients:
        thread.join(kit.DEADLINE)
    assert failures == []
    # Every answer is one revision's own: value and version never mix.
    assert set().union(*seen) == {(1.0, "1"), (2.0, "2")}


def broken(tmp_path: Path, good: ServedRevision) -> dict[str, tuple[ServedRevision, str]]:
    text = tmp_path / "text.onnx"
    text.write_text("this is not a model\n" * 100)
    empty = tmp_path / "empty.onnx"
    empty.write_bytes(b"")
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(Path(good.path).read_bytes()[:-9])
    other = kit.mlp(tmp_path / "other.onnx")
    bomb = tmp_path / "bomb.onnx"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(50 * 2**20))
    strange = kit.save(
        tmp_path / "strange.onnx",
        [onnx.helper.make_node("Mine", ["x"], ["y"], domain="com.example")],
        [kit.value("x", "FP32", ["n", 1])],
        [kit.value("y", "FP32", ["n", 1])],
    )

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
        "a zip bomb": (at(bomb), "not an ONNX model"),
        "custom operators": (at(strange), "com.example"),
    }


@pytest.mark.parametrize(
    "case",
    [
        *("text", "empty", "cut short", "absent", "another digest", "another signature"),
        *("a zip bomb", "custom operators"),
    ],
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
    told, new = kit.states(status, "p/c"), kit.states(status, "p/new")
    assert {number: one.state for number, one in told.items()} == {1: "ready", 9: "failed"}
    assert new[9].state == "failed"
    assert said in (told[9].message or "")
    assert told[9].message == new[9].message
    assert number(server) == 1.0
    refused = server.infer("p/new", ASK)
    assert (refused.status_code, said in refused.text) == (503, True)
    ready = server.get("/endpoints/p/new/v2/health/ready")
    assert (ready.status_code, ready.json()["ready"]) == (503, False)
    kit.write_routes(tmp_path, {"p/c": one, "p/new": one}, generation=3)
    mended = server.reload()
    for key in ("p/c", "p/new"):
        assert [(n, one.state, one.message) for n, one in kit.states(mended, key).items()] == [
            (1, "ready", None)
        ]


def test_routes_that_are_not_valid_change_nothing(
    start: Start, tmp_path: Path, one: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start().wait()
    for text in ("{", "[]", '{"generation": 2, "endpoints": {"p/c": 5}}'):
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
    state = kit.states(start().wait().status(), "p/c")[1]
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


def test_counts_and_latencies_of_a_revision(
    start: Start, tmp_path: Path, one: ServedRevision, two: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start().wait()
    assert server.status().endpoints["p/c"].latency_p50_ms is None
    for _ in range(3):
        number(server)
    assert server.infer("p/c", {"inputs": []}).status_code == 400
    other = two.model_copy(update={"traffic": 0})
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=[one, other])}, generation=2)
    state = server.reload().endpoints["p/c"]
    assert (state.requests, state.errors) == (4, 1)
    assert [(one.requests, one.errors, one.samples) for one in state.revisions] == [
        (4, {"400": 1}, 3),
        (0, {}, 0),
    ]
    assert state.latency_p50_ms is not None
    assert state.latency_p99_ms is not None
    assert 0 < state.latency_p50_ms <= state.latency_p99_ms < 1000
    text = server.control("GET", "/metrics").text
    labels = 'endpoint="p/c",revision="1"'
    assert f"nacre_endpoint_requests_total{{{labels}}} 4" in text
    assert f'nacre_endpoint_errors_total{{{labels},kind="invalid"}} 1' in text
    assert f"nacre_endpoint_latency_seconds_count{{{labels}}} 4" in text


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


def test_traffic_is_shared_as_asked(
    start: Start, tmp_path: Path, one: ServedRevision, two: ServedRevision
) -> None:
    shares = [one.model_copy(update={"traffic": 90}), two.model_copy(update={"traffic": 10})]
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=shares)})
    server = start().wait()
    answers = [number(server) for _ in range(50)]
    assert 4 <= answers.count(2.0) <= 6
    by_version = server.post("/endpoints/p/c/v2/models/m/versions/2/infer", ASK)
    assert by_version.json()["outputs"][0]["data"] == [2.0]
    missing = server.post("/endpoints/p/c/v2/models/m/versions/3/infer", ASK)
    assert (missing.status_code, "version 1, 2" in missing.text) == (404, True)


def test_a_share_of_what_cannot_answer_goes_to_the_others(
    start: Start, tmp_path: Path, one: ServedRevision
) -> None:
    wrong, _ = broken(tmp_path, one)["text"]
    shares = [one.model_copy(update={"traffic": 10}), wrong.model_copy(update={"traffic": 90})]
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=shares)})
    server = start().wait()
    assert {number(server) for _ in range(20)} == {1.0}


def test_a_shadow_is_asked_too_and_answers_nobody(
    start: Start, tmp_path: Path, one: ServedRevision, two: ServedRevision
) -> None:
    shadow = two.model_copy(update={"traffic": 0, "shadow": 50})
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=[one, shadow])})
    server = start().wait()
    assert {number(server) for _ in range(20)} == {1.0}
    told = kit.states(server.status(), "p/c")
    assert told[1].requests == 20
    assert 9 <= told[2].requests <= 11


def test_an_idle_model_is_unloaded_and_comes_back(
    start: Start, tmp_path: Path, one: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=[one], idle_s=0.6)})
    server = start().wait()
    kit.until(lambda: kit.states(server.status(), "p/c")[1].state == "unloaded", "it is unloaded")
    assert number(server) == 1.0
    assert kit.states(server.status(), "p/c")[1].state == "ready"


def test_a_model_over_its_memory_limit_is_not_served(
    start: Start, tmp_path: Path, one: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=[one], memory_bytes=100)})
    told = kit.states(start().wait().status(), "p/c")[1]
    assert (told.state, "over the endpoint's limit" in (told.message or "")) == ("failed", True)


def test_limits_of_sizes(start: Start, tmp_path: Path, one: ServedRevision) -> None:
    served = ServedEndpoint(revisions=[one], max_request_bytes=200, max_response_bytes=300)
    kit.write_routes(tmp_path, {"p/c": served})
    server = start().wait()
    assert number(server) == 1.0
    long = server.infer("p/c", {"inputs": [kit.tensor("x", "FP32", [50, 1], [0.0] * 50)]})
    assert (long.status_code, "limit of 200" in long.text) == (413, True)
    short = (
        b'{"inputs":[{"name":"x","datatype":"FP32","shape":[60,1],"data":['
        + b",".join([b"0"] * 60)
        + b"]}]}"
    )
    answer = server.infer("p/c", short)
    assert (answer.status_code, "over the limit of 300" in answer.text) == (500, True)


def test_more_rows_than_the_endpoint_allows(start: Start, tmp_path: Path, one: ServedRevision) -> None:
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=[one], max_batch=3)})
    server = start().wait()

    def ask(rows: int) -> httpx.Response:
        return server.infer("p/c", {"inputs": [kit.tensor("x", "FP32", [rows, 1], [0.0] * rows)]})

    assert ask(3).status_code == 200
    refused = ask(4)
    assert (refused.status_code, "limit of 3" in refused.text) == (400, True)


def test_pages_of_other_origins(start: Start, tmp_path: Path, one: ServedRevision) -> None:
    served = ServedEndpoint(revisions=[one], cors_origins=["https://app.example"])
    kit.write_routes(tmp_path, {"p/c": served, "p/d": one})
    server = start().wait()
    url = "/endpoints/p/c/v2/models/m/infer"

    def ask(method: str, path: str, origin: str, token: str | None = kit.TOKEN) -> httpx.Response:
        headers = {"Origin": origin} | ({"Authorization": f"Bearer {token}"} if token else {})
        return httpx.request(method, server.url(path), headers=headers, content=json.dumps(ASK))

    before = ask("OPTIONS", url, "https://app.example", None)
    assert before.status_code == 204
    assert before.headers["access-control-allow-origin"] == "https://app.example"
    assert "authorization" in before.headers["access-control-allow-headers"]
    assert ask("OPTIONS", url, "https://evil.example", None).status_code == 403
    assert ask("OPTIONS", url.replace("/c/", "/d/"), "https://app.example", None).status_code == 403
    given = ask("POST", url, "https://app.example")
    assert (given.status_code, given.headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert "access-control-allow-origin" not in ask("POST", url, "https://evil.example").headers
    for status, path, token in ((401, url, "stranger"), (404, f"{url}/there", kit.TOKEN)):
        wrong = ask("POST", path, "https://app.example", token)
        assert wrong.status_code == status
        assert wrong.headers["access-control-allow-origin"] == "https://app.example"
        assert "access-control-allow-origin" not in ask("POST", path, "https://evil.example", token).headers


def test_a_slow_load_holds_up_no_change_of_routes_and_no_other_load(
    start: Start, tmp_path: Path, one: ServedRevision, two: ServedRevision
) -> None:
    kit.write_routes(tmp_path, {"p/c": one})
    server = start().wait()
    # It is run once when it is loaded, which takes hours.
    endless = kit.revision(kit.slow(tmp_path / "slow.onnx", 10**12))
    kit.write_routes(tmp_path, {"p/c": one, "p/slow": endless, "p/d": two}, generation=2)
    assert server.control("POST", "/reload").json()["generation"] == 2
    kit.until(lambda: kit.states(server.status(), "p/d")[2].state == "ready", "the other one is loaded")
    assert number(server, "p/d") == 2.0
    kit.write_routes(tmp_path, {"p/c": two, "p/slow": endless}, generation=3)
    status = server.control("POST", "/reload").json()
    assert (status["generation"], [*status["endpoints"]]) == (3, ["p/c", "p/slow"])
    kit.until(lambda: [*kit.states(server.status(), "p/c")] == [2], "the swap is done")
    assert number(server) == 2.0
    assert server.infer("p/d", ASK).status_code == 404
    assert kit.states(server.status(), "p/slow")[1].state == "loading"
    refused = server.infer("p/slow", ASK)
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    kit.write_routes(tmp_path, {"p/c": one}, generation=4)
    assert [*server.reload().endpoints] == ["p/c"]  # it may be given up while it is loaded
    assert number(server) == 1.0
