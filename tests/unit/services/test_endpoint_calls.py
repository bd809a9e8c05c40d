"""Questions through the server, and what the model server counted as series."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict, InvalidSpec, NacreError, NotFound, PluginError, RateLimited, Unavailable
from nacre.schema.endpoints import Question
from nacre.schema.serving import ServedHistory, ServedSlice
from nacre.services.endpoint_calls import AT_ONCE, Inferred, series

QUESTION = Question.model_validate(
    {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [0.5, 1]}]}
)
ANSWER = {
    "model_name": "digits",
    "model_version": "1",
    "outputs": [{"name": "y", "shape": [1, 3], "datatype": "FP32", "data": [0.1, None, 0.7]}],
}


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    found = models_kit.world(database, clock, tmp_path)
    found.ready(people.editor)
    found.deploy(people.editor)
    found.answer = Inferred(200, json.dumps(ANSWER).encode(), 0.41234)
    return found


class TestPredict:
    def test_the_model_servers_answer_is_given_with_its_time(
        self, world: ModelsWorld, people: People
    ) -> None:
        world.serve()
        found = world.calls.predict(people.viewer, "ask", QUESTION)
        assert found.model_dump(exclude_none=True) == ANSWER | {"parameters": {"took_ms": 0.412}}
        project, name, body = world.asked[-1]
        assert (project, name, json.loads(body)) == (
            "vision",
            "ask",
            QUESTION.model_dump(exclude_none=True),
        )

    def test_an_endpoint_that_is_not_there(self, world: ModelsWorld, people: People) -> None:
        with pytest.raises(NotFound, match="nacre endpoint ls"):
            world.calls.predict(people.viewer, "nothing", QUESTION)
        assert world.asked == []

    @pytest.mark.parametrize(
        ("status", "kind", "sentence"),
        [
            (400, InvalidSpec, "input 'x' has shape"),
            (500, PluginError, "the model failed on this input"),
            (503, Unavailable, "256 requests are waiting already"),
            (401, Unavailable, "ask is not served yet"),
        ],
    )
    def test_its_refusals_are_errors_with_its_sentence(
        self, world: ModelsWorld, people: People, status: int, kind: type[NacreError], sentence: str
    ) -> None:
        world.serve()
        world.answer = Inferred(status, json.dumps({"error": sentence}).encode(), 1)
        with pytest.raises(kind, match=sentence):
            world.calls.predict(people.viewer, "ask", QUESTION)

    def test_while_it_starts(self, world: ModelsWorld, people: People) -> None:
        for answer in (Inferred(404, b"{}", 1), Unavailable("the model server does not answer: refused")):
            world.answer = answer
            with pytest.raises(Unavailable, match="ask is still starting"):
                world.calls.predict(people.viewer, "ask", QUESTION)

    def test_when_nothing_could_be_loaded(self, world: ModelsWorld, people: People) -> None:
        world.serve(failing="model.onnx is not an ONNX model")
        world.answer = Inferred(503, b'{"error": "model.onnx is not an ONNX model"}', 1)
        with pytest.raises(Conflict, match=r"ask serves nothing: model\.onnx is not an ONNX model"):
            world.calls.predict(people.viewer, "ask", QUESTION)

    def test_a_binary_answer_is_not_for_here(self, world: ModelsWorld, people: People) -> None:
        world.answer = Inferred(200, b'{"outputs": []}\x00\x01', 1)
        with pytest.raises(InvalidSpec, match="binary tensors at http://127"):
            world.calls.predict(people.viewer, "ask", QUESTION)

    def test_too_many_at_once(
        self, world: ModelsWorld, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nacre.services.endpoint_calls._WAIT_S", 0.01)
        for _ in range(AT_ONCE):
            assert world.calls._places.acquire(blocking=False)
        with pytest.raises(RateLimited, match="send traffic to http://127"):
            world.calls.predict(people.viewer, "ask", QUESTION)
        for _ in range(AT_ONCE):
            world.calls._places.release()
        world.calls.predict(people.viewer, "ask", QUESTION)


class TestStats:
    def test_half_an_hour_with_gaps_and_zeros(self) -> None:
        now = 100_000 * 5 + 2.0
        history = ServedHistory(
            since_ms=99_989 * 5000,
            first=99_989,
            last=99_998,
            requests=30,
            errors={"400": 2, "413": 1, "418": 1},
            slices=[
                ServedSlice(
                    slot=99_990,
                    requests=10,
                    samples=32,
                    errors={"400": 2},
                    latency_p50_ms=1.5,
                    latency_p99_ms=9,
                )
            ],
        )
        found = series("ask", history, now)
        assert (found.interval_s, len(found.time), found.requests, found.errors) == (5, 360, 30, 4)
        assert found.errors_by_kind == {"invalid": 2, "too_large": 1, "other": 1}
        assert found.since == found.time[-11]
        assert found.time[-1].timestamp() == 99_999 * 5
        assert found.requests_per_s[-12:] == [None, 0, 2, *[0] * 8, None]
        assert found.requests_per_s[:-11] == [None] * 349
        assert found.errors_per_s == {"invalid": [*[None] * 349, 0, 0.4, *[0] * 8, None]}
        assert (found.latency_p50_ms[-10], found.latency_p99_ms[-10], found.batch[-10]) == (1.5, 9, 4)
        assert (found.latency_p50_ms[-9], found.batch[-9]) == (None, None)

    def test_without_a_model_server_all_is_unknown(self, world: ModelsWorld, people: People) -> None:
        found = world.calls.stats(people.viewer, "ask")
        assert (found.endpoint, found.since, found.requests, found.errors) == ("ask", None, None, None)
        assert found.requests_per_s == [None] * 360
        with pytest.raises(NotFound):
            world.calls.stats(people.viewer, "nothing")
