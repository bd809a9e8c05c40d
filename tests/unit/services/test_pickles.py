"""Files that are code are taken from the project's own runs alone; programs and data from anywhere."""

from __future__ import annotations

import io
import shlex
import struct
import zipfile
from pathlib import Path

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.models import ModelVersionRow
from nacre.errors import Conflict, InvalidSpec
from nacre.schema.models import ModelVersion

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


def archive(*names: str) -> bytes:
    """A ZIP with these files in it, as PyTorch writes them."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w") as target:
        for name in names:
            target.writestr(name, b"x")
    return found.getvalue()


MODULE = archive("m/data.pkl", "m/byteorder", "m/data/0", "m/version")
SCRIPT = archive("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl", "m/version")
EXPORT = archive("m/models/model.json", "m/archive_format", "m/byteorder")


def words(world: ModelsWorld, people: People, version: ModelVersion) -> list[str]:
    assert version.conversion_job is not None
    job = world.jobs.jobs.get(people.viewer, version.conversion_job)
    return shlex.split(job.spec.commands[0])


class TestSentFiles:
    @pytest.mark.parametrize(
        ("name", "data", "instead"),
        [
            ("m.pkl", b"\x80\x04.", "skops"),
            ("m.joblib", b"\x80\x04.", "skops"),
            ("M.PICKLE", b"\x80\x04.", "skops"),
            ("m.pt", MODULE, "torch.export.save"),
            ("m.pth", b"\x80\x02\x8a\nl\xfc\x9cF", "torch.export.save"),
            ("m.pt2", MODULE, "torch.export.save"),
            ("m.pt", SCRIPT[:-30], "torch.export.save"),
        ],
    )
    def test_a_pickle_is_refused_with_what_to_do(
        self, world: ModelsWorld, people: People, name: str, data: bytes, instead: str
    ) -> None:
        sent = world.send(people.editor, {name: data})
        with pytest.raises(InvalidSpec, match=f"{name} is a pickle.*model register RUN:PATH.*{instead}"):
            world.register(people.editor, manifest=sent)
        assert world.models.list(people.viewer).items == []

    def test_a_framework_that_is_said_changes_nothing(self, world: ModelsWorld, people: People) -> None:
        sent = world.send(people.editor, {"weights.bin": b"\x80\x04."})
        for framework in ("sklearn", "pytorch"):
            with pytest.raises(InvalidSpec, match="is a pickle"):
                world.register(people.editor, manifest=sent, framework=framework)

    def test_a_pickle_in_a_folder_of_mlflow_is_refused(self, world: ModelsWorld, people: People) -> None:
        told = b"flavors:\n  sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle}\n"
        sent = world.send(people.editor, {"MLmodel": told, "model.pkl": b"\x80\x04."})
        with pytest.raises(InvalidSpec, match=r"model\.pkl is a pickle"):
            world.register(people.editor, manifest=sent, path=".")

    @pytest.mark.parametrize(
        ("name", "data"), [("m.pt", SCRIPT), ("m.pt2", EXPORT), ("m.skops", b"z"), ("m.keras", b"z")]
    )
    def test_data_is_converted_without_unpickling(
        self, world: ModelsWorld, people: People, name: str, data: bytes
    ) -> None:
        version = world.register(people.editor, manifest=world.send(people.editor, {name: data}))
        assert "--untrusted" in words(world, people, version)

    def test_a_directory_of_an_archive_that_lies_about_its_length_is_not_read_whole(
        self, world: ModelsWorld, people: People
    ) -> None:
        size = 64 * 2**20
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, size, 0, 0)
        sent = world.send(people.editor, {"m.pt": bytes(size) + end})
        with pytest.raises(InvalidSpec, match="is a pickle"):
            world.register(people.editor, manifest=sent)


class TestRuns:
    @pytest.mark.parametrize("name", ["m.pkl", "m.pt"])
    def test_what_a_run_left_may_be_a_pickle(self, world: ModelsWorld, people: People, name: str) -> None:
        job = world.trained(people.editor, {name: b"\x80\x04."})
        version = world.register(people.editor, run=job.name)
        assert "--untrusted" not in words(world, people, version)

    def test_the_very_files_of_a_version_from_a_run_are_still_that_runs(
        self, world: ModelsWorld, people: People
    ) -> None:
        job = world.trained(people.editor, {"m.pkl": b"\x80\x04."})
        first = world.register(people.editor, run=job.name)
        copy = world.register(people.editor, "copy", manifest=first.manifest)
        assert copy.lineage == first.lineage
        assert "--untrusted" not in words(world, people, copy)

    def test_a_version_of_before_that_rule_is_not_converted_again(
        self, world: ModelsWorld, people: People
    ) -> None:
        job = world.trained(people.editor, {"m.pkl": b"\x80\x04."})
        version = world.register(people.editor, run=job.name)
        with world.jobs.db.write() as session:
            row = session.get_one(ModelVersionRow, version.id)
            row.lineage, row.conversion = {"path": "m.pkl"}, "failed"
        with pytest.raises(InvalidSpec, match="is a pickle"):
            world.models.convert(people.editor, version.model, "1")


class TestReplicas:
    """Whether a replica may load it."""

    def deploy(self, world: ModelsWorld, people: People) -> str:
        return world.deploy(people.editor, runtime="replicas").revisions[0].runtime

    def test_data_from_elsewhere_that_was_converted_may_be(
        self, world: ModelsWorld, people: People
    ) -> None:
        version = world.register(people.editor, manifest=world.send(people.editor, {"m.pt": SCRIPT}))
        with pytest.raises(Conflict, match=r"may be a pickle.*register it from the run"):
            self.deploy(world, people)
        world.convert(people.editor, version)
        assert self.deploy(world, people) == "replicas"

    def test_a_model_of_mlflow_from_elsewhere_may_not(self, world: ModelsWorld, people: People) -> None:
        files = {"MLmodel": b"flavors:\n  prophet: {data: model.pr}\n", "model.pr": b"p"}
        files["code/predict.py"] = b"not what a replica runs"
        world.register(people.editor, manifest=world.send(people.editor, files), path=".")
        with pytest.raises(Conflict):
            self.deploy(world, people)

    def test_what_a_run_left_or_has_a_program_may_be(self, world: ModelsWorld, people: People) -> None:
        world.register(people.editor, run=world.trained(people.editor, {"m.pkl": b"\x80\x04."}).name)
        assert self.deploy(world, people) == "replicas"
        sent = world.send(people.editor, {"predict.py": b"...", "m.pkl": b"\x80\x04."})
        world.register(people.editor, manifest=sent, path=".")
        assert self.deploy(world, people) == "replicas"


class TestPrograms:
    def test_a_folder_with_a_program_is_kept_as_it_is(self, world: ModelsWorld, people: People) -> None:
        files = {
            "predict.py": b"def predict(x): ...",
            "model.joblib": b"\x80",
            "requirements.txt": b"rich # x\n",
        }
        version = world.register(people.editor, manifest=world.send(people.editor, files), path=".")
        assert (version.framework, version.entry, version.files) == ("custom", ".", 3)
        assert (version.conversion, version.conversion_job) == ("none", None)
        assert version.message is not None
        assert "predict.py" in version.message
        assert self._environment(world, people, version) == ["rich"]

    def test_without_requirements_it_runs_where_its_model_would(
        self, world: ModelsWorld, people: People
    ) -> None:
        for other, wanted in (("net.pt", "pytorch"), ("net.onnx", "sklearn"), ("notes.txt", "base")):
            files = {"predict.py": b"...", other: b"x"}
            version = world.register(people.editor, manifest=world.send(people.editor, files), path=".")
            with world.jobs.db.read() as session:
                row = session.get_one(ModelVersionRow, version.id)
            assert world.jobs.environments.get(people.viewer, row.environment_id).name == wanted

    def test_a_custom_model_has_a_program(self, world: ModelsWorld, people: People) -> None:
        sent = world.send(people.editor, {"net.bin": b"x"})
        with pytest.raises(InvalidSpec, match=r"predict\.py"):
            world.register(people.editor, manifest=sent, framework="custom")

    def test_requirements_are_text(self, world: ModelsWorld, people: People) -> None:
        sent = world.send(people.editor, {"predict.py": b"...", "requirements.txt": b"\xff\xfe"})
        with pytest.raises(InvalidSpec, match="no list of packages"):
            world.register(people.editor, manifest=sent, path=".")

    def _environment(self, world: ModelsWorld, people: People, version: ModelVersion) -> list[str]:
        with world.jobs.db.read() as session:
            row = session.get_one(ModelVersionRow, version.id)
        return world.jobs.environments.get(people.viewer, row.environment_id).requirements
