"""Versions made from what runs left: names, numbers, aliases, lineage, and what may be deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.data import BlobReferenceRow
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.models import AliasSet


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


class TestRegister:
    def test_a_version_knows_the_run_the_code_the_data_and_the_environment(
        self, world: ModelsWorld, people: People
    ) -> None:
        data = world.dataset(people.editor, "digits-train", {"x.npz": b"123"})
        code = world.send(people.editor, {"train.py": b"print()"})
        job = world.trained(
            people.editor, {"model.pt": b"weights"}, code=code, inputs={"train": "digits-train"}
        )
        version = world.register(people.editor, run=job.name, path="model.pt", description="first")
        assert (version.model, version.number, version.framework) == ("digits", 1, "pytorch")
        assert (version.user, version.description, version.size) == ("editor", "first", 7)
        assert version.conversion == "converting"
        lineage = version.lineage
        assert (lineage.run, lineage.job, lineage.path) == (job.run, job.name, "model.pt")
        assert (lineage.code, lineage.data) == (code, {"train": f"digits-train@{data.number}"})
        assert job.record is not None
        assert (lineage.environment, lineage.environment_digest) == ("base", job.record.environment_digest)

    def test_the_only_artifact_needs_no_name_and_its_sidecar_comes_along(
        self, world: ModelsWorld, people: People
    ) -> None:
        left = {"out/model.pt": b"w", "out/model.pt.signature.json": b"{}", "out/notes.txt": b"n"}
        job = world.trained(people.editor, left)
        version = world.register(people.editor, run=job.run, path="out/model.pt")
        files = world.models.files(people.viewer, "digits", "1")
        assert [f.path for f in files.files] == ["model.pt", "model.pt.signature.json"]
        assert version.files == 2
        alone = world.trained(people.editor, {"model.keras": b"w"})
        assert world.register(people.editor, run=alone.name).framework == "keras"

    def test_a_folder_is_taken_whole(self, world: ModelsWorld, people: People) -> None:
        left = {"sm/saved_model.pb": b"g", "sm/variables/v": b"w", "other.txt": b"o"}
        job = world.trained(people.editor, left)
        version = world.register(people.editor, run=job.name, path="sm/")
        assert version.framework == "tensorflow"
        found = world.models.files(people.viewer, "digits", "latest").files
        assert sorted(f.path for f in found) == ["sm/saved_model.pb", "sm/variables/v"]

    def test_everything_that_a_run_left_is_called_dot(self, world: ModelsWorld, people: People) -> None:
        job = world.trained(people.editor, {"saved_model.pb": b"g", "variables/v": b"w"})
        assert world.register(people.editor, run=job.name, path=".").framework == "tensorflow"

    @pytest.mark.parametrize(
        ("left", "fields", "said"),
        [
            ({"a.pt": b"1", "b.pt": b"2"}, {}, r"several artifacts \(a.pt, b.pt\): name one"),
            ({"a.pt": b"1"}, {"path": "b.pt"}, r"no artifact 'b.pt': it has a.pt"),
            ({"a.pt.signature.json": b"1"}, {"path": "a.pt"}, "no artifact 'a.pt'"),
            ({"a.weights": b"1"}, {}, r"cannot tell the framework of 'a.weights' \(.*\.pt.*--framework"),
            ({}, {}, "left no artifacts"),
            ({"a.pt": b"1"}, {"alias": "latest"}, "cannot be an alias"),
            ({"a.pt": b"1"}, {"alias": "3"}, "cannot be an alias"),
        ],
    )
    def test_what_cannot_be_registered_is_refused_with_a_sentence(
        self,
        world: ModelsWorld,
        people: People,
        left: dict[str, bytes],
        fields: dict[str, str],
        said: str,
    ) -> None:
        job = world.trained(people.editor, left)
        with pytest.raises(InvalidSpec, match=said):
            world.register(people.editor, run=job.name, **fields)
        assert world.models.list(people.viewer).items == []

    def test_a_name_that_is_none_is_refused(self, world: ModelsWorld, people: People) -> None:
        for name in ("../etc", "a:b", " ", "..", "x" * 251, "line\nbreak"):
            with pytest.raises(InvalidSpec, match="Invalid model name"):
                world.register(people.editor, name)

    def test_a_name_may_be_free_text(self, world: ModelsWorld, people: People) -> None:
        version = world.register(people.editor, "Ziffern-Modell № 1 @home")
        assert version.model == "Ziffern-Modell № 1 @home"
        assert version.conversion_job == "convert-ziffern-modell-1-home-1"

    def test_a_framework_may_be_said(self, world: ModelsWorld, people: People) -> None:
        job = world.trained(people.editor, {"a.weights": b"1"})
        assert world.register(people.editor, run=job.name, framework="pytorch").framework == "pytorch"

    def test_files_that_were_sent_become_a_version(self, world: ModelsWorld, people: People) -> None:
        sent = world.send(people.editor, {"net.onnx": b"onnx"})
        version = world.register(people.editor, manifest=sent)
        assert (version.framework, version.lineage.path, version.lineage.run) == ("onnx", "net.onnx", None)

    def test_nobody_gets_a_file_by_naming_its_digest(self, world: ModelsWorld, people: People) -> None:
        """A manifest may only name blobs that the project has sent."""
        foreign = models_kit.FileEntry(path="a.onnx", size=3, digest="ab" * 32)
        manifest = world.jobs.ledger.write_manifest(people.project.id, models_kit.Manifest(files=[foreign]))
        with pytest.raises(InvalidSpec, match="have not been sent"):
            world.register(people.editor, manifest=manifest)

    def test_an_unknown_run_or_environment_is_named(self, world: ModelsWorld, people: People) -> None:
        with pytest.raises(NotFound, match="nothing"):
            world.register(people.editor, run="nothing")
        with pytest.raises(NotFound, match="nothing"):
            world.register(people.editor, environment="nothing")

    def test_the_code_of_a_version_outlives_its_job(self, world: ModelsWorld, people: People) -> None:
        code = world.send(people.editor, {"train.py": b"print()"})
        job = world.trained(people.editor, {"model.pt": b"w"}, code=code)
        version = world.convert(people.editor, world.register(people.editor, run=job.name))
        world.jobs.jobs.delete(people.editor, job.id)
        with world.jobs.db.read() as session:
            mine = select(BlobReferenceRow.manifest).where(BlobReferenceRow.owner_id == version.id)
            assert {code, version.manifest} < set(session.scalars(mine))


class TestNumbersAndAliases:
    def test_numbers_rise_and_are_never_used_again(self, world: ModelsWorld, people: People) -> None:
        for number in (1, 2):
            assert world.register(people.editor).number == number
        world.models.delete_version(people.editor, "digits", "2")
        assert world.register(people.editor).number == 3
        assert world.models.get(people.viewer, "digits").versions == [1, 3]

    def test_an_alias_moves(self, world: ModelsWorld, people: People) -> None:
        world.register(people.editor, alias="best")
        world.register(people.editor)
        assert world.models.get_version(people.viewer, "digits", "best").number == 1
        model = world.models.set_alias(people.editor, "digits", "best", AliasSet(version=2))
        assert model.aliases == {"best": 2}
        assert world.models.get_version(people.viewer, "digits", "best").aliases == ["best"]
        world.models.delete_alias(people.editor, "digits", "best")
        with pytest.raises(NotFound, match="no version or alias 'best': it has 1, 2"):
            world.models.get_version(people.viewer, "digits", "best")

    @pytest.mark.parametrize("alias", ["latest", "7", "Not A Name"])
    def test_an_alias_that_means_something_else_is_refused(
        self, world: ModelsWorld, people: People, alias: str
    ) -> None:
        world.register(people.editor)
        with pytest.raises(InvalidSpec):
            world.models.set_alias(people.editor, "digits", alias, AliasSet(version=1))

    @pytest.mark.parametrize("version", ["2", "0", "9" * 30, "²", "-1"])
    def test_versions_that_are_not_there(self, world: ModelsWorld, people: People, version: str) -> None:
        world.register(people.editor)
        with pytest.raises(NotFound, match="it has 1"):
            world.models.get_version(people.viewer, "digits", version)


class TestDelete:
    def test_a_version_goes_with_its_aliases_and_files(self, world: ModelsWorld, people: People) -> None:
        version = world.ready(people.editor)
        world.models.set_alias(people.editor, "digits", "best", AliasSet(version=1))
        world.models.delete_version(people.editor, "digits", "best")
        assert world.models.get(people.viewer, "digits").aliases == {}
        with world.jobs.db.read() as session:
            mine = select(BlobReferenceRow).where(BlobReferenceRow.owner_id == version.id)
            assert session.scalars(mine).all() == []

    def test_a_model_goes_with_every_version(self, world: ModelsWorld, people: People) -> None:
        world.register(people.editor)
        world.register(people.editor)
        world.models.delete(people.editor, "digits")
        with pytest.raises(NotFound, match="nacre model ls"):
            world.models.get(people.viewer, "digits")

    def test_what_an_endpoint_serves_stays(self, world: ModelsWorld, people: People) -> None:
        world.ready(people.editor)
        world.deploy(people.editor)
        for delete in (
            lambda: world.models.delete(people.editor, "digits"),
            lambda: world.models.delete_version(people.editor, "digits", "1"),
        ):
            with pytest.raises(Conflict, match="endpoint ask serves digits: 'nacre undeploy ask' first"):
                delete()
        world.endpoints.delete(people.editor, "ask")
        world.models.delete(people.editor, "digits")

    def test_what_an_endpoint_served_once_may_go(self, world: ModelsWorld, people: People) -> None:
        for _ in range(2):
            world.ready(people.editor)
            world.deploy(people.editor)
            world.serve()
        world.models.delete_version(people.editor, "digits", "1")
        assert [r.version for r in world.endpoints.get(people.viewer, "ask").revisions] == [2]

    def test_what_answers_after_a_failed_swap_stays(self, world: ModelsWorld, people: People) -> None:
        world.ready(people.editor)
        world.deploy(people.editor)
        world.serve()
        world.ready(people.editor, onnx=b"broken")
        world.deploy(people.editor)
        world.serve(2, failing="broken")
        with pytest.raises(Conflict):
            world.models.delete_version(people.editor, "digits", "1")


def test_lists_are_newest_first_and_paged(world: ModelsWorld, people: People) -> None:
    for name in ("a", "b", "c"):
        world.register(people.editor, name)
    first = world.models.list(people.viewer, limit=2)
    assert [m.name for m in first.items] == ["c", "b"]
    rest = world.models.list(people.viewer, cursor=first.next, limit=2)
    assert [(m.name, m.versions) for m in rest.items] == [("a", [1])]
    assert rest.next is None
