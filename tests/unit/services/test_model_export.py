"""Versions as the trees that Triton, TensorFlow Serving and MLflow load."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from google.protobuf import text_format
from tests import models_kit
from tests.conftest import People
from tests.models_kit import SIGNATURE, ModelsWorld
from tritonclient.grpc import model_config_pb2

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict
from nacre.schema.models import ExportLayout
from nacre.services.model_export import ModelExports

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


def exported(
    world: ModelsWorld, people: People, layout: ExportLayout, model: str = "digits"
) -> dict[str, bytes]:
    exports = ModelExports(world.models, world.jobs.ledger)
    _, pieces = exports.export(people.viewer, model, "latest", layout)
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name) for name in archive.namelist()}


class TestTrees:
    def test_tritons(self, world: ModelsWorld, people: People) -> None:
        world.ready(people.editor, 'Häuser "A"', onnx=b"the onnx form")
        found = exported(world, people, "triton", 'Häuser "A"')
        assert set(found) == {'Häuser "A"/config.pbtxt', 'Häuser "A"/1/model.onnx'}
        assert found['Häuser "A"/1/model.onnx'] == b"the onnx form"
        config = text_format.Parse(
            found['Häuser "A"/config.pbtxt'].decode(), model_config_pb2.ModelConfig()
        )
        assert config.name == 'Häuser "A"', "Triton wants the folder's name"
        assert [t.name for t in config.input] == [t["name"] for t in SIGNATURE["inputs"]]

    def test_tensorflows(self, world: ModelsWorld, people: People) -> None:
        files = {"out/saved_model.pb": b"g", "out/variables/v": b"w", "notes.txt": b"n"}
        job = world.trained(people.editor, files)
        world.register(people.editor, run=job.name, path="out")
        assert exported(world, people, "tfserving") == {
            "digits/1/saved_model.pb": b"g",
            "digits/1/variables/v": b"w",
        }

    @pytest.mark.parametrize(
        ("file", "said"),
        [("m.keras", r"model\.export\('served'\) and register"), ("m.pt", "--layout triton")],
    )
    def test_without_a_saved_model_there_is_a_sentence(
        self, world: ModelsWorld, people: People, file: str, said: str
    ) -> None:
        world.register(people.editor, run=world.trained(people.editor, {file: b"1"}).name)
        with pytest.raises(Conflict, match=f"digits/1 is not a SavedModel.*{said}"):
            exported(world, people, "tfserving")

    def test_mlflows(self, world: ModelsWorld, people: People) -> None:
        world.ready(people.editor)
        found = exported(world, people, "mlflow")
        assert set(found) == {f"digits/1/{n}" for n in ("MLmodel", "requirements.txt", "model.onnx")}

    def test_what_mlflow_logged_goes_back_as_it_was(self, world: ModelsWorld, people: People) -> None:
        told = b"flavors:\n  prophet: {data: model.pr}\n"
        job = world.trained(people.editor, {"model/MLmodel": told, "model/model.pr": b"p"})
        world.register(people.editor, run=job.name, path="model")
        assert exported(world, people, "mlflow") == {"digits/1/MLmodel": told, "digits/1/model.pr": b"p"}

    @pytest.mark.parametrize("layout", ["triton", "mlflow"])
    def test_a_version_that_is_not_converted_has_no_tree(
        self, world: ModelsWorld, people: People, layout: ExportLayout
    ) -> None:
        version = world.register(people.editor)
        with pytest.raises(Conflict, match=r"still being converted.*--wait"):
            exported(world, people, layout)
        assert version.conversion_job is not None
        world.finish(people.editor, version.conversion_job, {}, reason="exit_nonzero", exit_code=1)
        world.loop.run_once()
        with pytest.raises(Conflict, match=r"no ONNX form.*nacre model pull digits/1"):
            exported(world, people, layout)
