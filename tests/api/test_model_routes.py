"""Archives of models, and questions to endpoints, over HTTP."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import models_kit
from tests.api.conftest import Http
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.services.endpoint_calls import Inferred

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
MODELS = "/api/v1/projects/vision/models"
ASK = "/api/v1/projects/vision/endpoints/ask/predict"
QUESTION = {"inputs": [{"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [1, 2]}]}


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


@pytest.fixture
def http(world: ModelsWorld, people: People) -> Iterator[Http]:
    found = Http(models_kit.app_of(world, people))
    yield found
    found.close()


class TestArchive:
    def test_it_is_a_download_with_the_onnx_form(
        self, world: ModelsWorld, people: People, http: Http
    ) -> None:
        world.ready(people.editor, 'Häuser "A"')
        answer = http.request(
            "GET", f"{MODELS}/H%C3%A4user%20%22A%22/versions/latest/archive", token="viewer"
        )
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/zip"
        said = answer.headers["content-disposition"]
        assert said == "attachment; filename*=UTF-8''H%C3%A4user%20%22A%22-1.zip"
        assert answer.headers["x-content-type-options"] == "nosniff"
        with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
            assert {name: opened.read(name) for name in opened.namelist()} == {
                'Häuser "A"-1/model.pt': b"weights",
                'Häuser "A"-1/onnx/model.onnx': b"onnx",
            }

    def test_a_version_that_is_not_converted_has_its_files(
        self, world: ModelsWorld, people: People, http: Http
    ) -> None:
        world.register(people.editor)
        answer = http.request("GET", f"{MODELS}/digits/versions/1/archive", token="viewer")
        with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
            assert opened.namelist() == ["digits-1/model.pt"]

    def test_a_file_that_is_gone_is_said_before_the_download(
        self, world: ModelsWorld, people: People, http: Http
    ) -> None:
        version = world.register(people.editor)
        gone = world.models.files(people.viewer, "digits", str(version.number)).files[0].digest
        world.jobs.ledger.store.delete(gone)
        answer = http.request("GET", f"{MODELS}/digits/versions/1/archive", token="viewer")
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
        answer = http.request("GET", f"{MODELS}/nothing/versions/1/archive", token="viewer")
        assert answer.status_code == 404


class TestPredict:
    @pytest.fixture(autouse=True)
    def deployed(self, world: ModelsWorld, people: People) -> None:
        world.ready(people.editor)
        world.deploy(people.editor)
        world.serve()

    def test_a_viewer_may_ask(self, world: ModelsWorld, http: Http) -> None:
        outputs = [{"name": "y", "shape": [1], "datatype": "INT64", "data": [3]}]
        said = {"model_name": "digits", "model_version": "1", "outputs": outputs}
        world.answer = Inferred(200, json.dumps(said).encode(), 1.5)
        answer = http.request("POST", ASK, token="viewer", json=QUESTION)
        assert answer.status_code == 200, answer.text
        assert answer.json() == said | {"id": None, "parameters": {"took_ms": 1.5}}

    @pytest.mark.parametrize(
        "question",
        [
            {},
            {"inputs": []},
            {"inputs": [{"name": "x", "shape": [1], "datatype": "FLOAT", "data": [1]}]},
            {"inputs": QUESTION["inputs"], "more": 1},
        ],
    )
    def test_what_is_no_question_does_not_reach_the_model_server(
        self, world: ModelsWorld, http: Http, question: object
    ) -> None:
        answer = http.request("POST", ASK, token="viewer", json=question)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_spec")
        assert world.asked == []

    def test_a_model_that_fails_is_a_502(self, world: ModelsWorld, http: Http) -> None:
        world.answer = Inferred(500, b'{"error": "the model failed on this input: Loop"}', 1)
        answer = http.request("POST", ASK, token="viewer", json=QUESTION)
        assert (answer.status_code, answer.json()["detail"]) == (
            502,
            "the model failed on this input: Loop",
        )

    def test_a_question_is_16_mib_at_most(self, world: ModelsWorld, http: Http) -> None:
        answer = http.request("POST", ASK, token="viewer", content=b" " * (16 * 2**20 + 1))
        assert answer.status_code == 413
        assert world.asked == []
