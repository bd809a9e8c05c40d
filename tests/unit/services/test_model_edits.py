"""Models without versions, descriptions, tags, new names, on both databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import People
from tests.models_kit import ModelsWorld, world

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied
from nacre.schema.models import ModelCreate, ModelUpdate, VersionUpdate


@pytest.fixture
def models(database: Database, clock: FixedClock, tmp_path: Path) -> ModelsWorld:
    return world(database, clock, tmp_path)


def test_a_model_may_have_no_version(models: ModelsWorld, people: People) -> None:
    asked = ModelCreate(name="House prices", description="of houses", tags={"a": "1"})
    made = models.models.edits.create(people.editor, asked)
    assert (made.versions, made.latest, made.description, made.tags) == ([], None, "of houses", {"a": "1"})
    with pytest.raises(NotFound, match="it has none"):
        models.models.get_version(people.viewer, "House prices", "latest")
    with pytest.raises(Conflict, match="already"):
        models.models.edits.create(people.editor, asked)
    assert models.register(people.editor, "House prices").number == 1
    assert models.models.get(people.viewer, "House prices").tags == {"a": "1"}


def test_what_is_not_said_stays(models: ModelsWorld, people: People) -> None:
    edits = models.models.edits
    edits.create(people.editor, ModelCreate(name="m", description="d", tags={"a": "1", "b": "2"}))
    edits.update(people.editor, "m", ModelUpdate(tags={"a": None, "c": "3"}))
    found = edits.update(people.editor, "m", ModelUpdate(name="n"))
    assert (found.name, found.description, found.tags) == ("n", "d", {"b": "2", "c": "3"})
    assert found.updated_at is not None
    with pytest.raises(NotFound):
        models.models.get(people.viewer, "m")


def test_a_name_that_is_taken_or_none(models: ModelsWorld, people: People) -> None:
    edits = models.models.edits
    for name in ("m", "n"):
        edits.create(people.editor, ModelCreate(name=name))
    with pytest.raises(Conflict, match="already"):
        edits.update(people.editor, "m", ModelUpdate(name="n"))
    with pytest.raises(InvalidSpec):
        edits.update(people.editor, "m", ModelUpdate.model_construct(name="a/b", tags={}))


def test_tags_of_versions_are_their_own_and_go_with_them(models: ModelsWorld, people: People) -> None:
    models.register(people.editor, "m", tags={"v": "1"})
    models.models.edits.update(people.editor, "m", ModelUpdate(tags={"model": "1"}))
    change = VersionUpdate(description="said", tags={"w": "2"})
    found = models.models.edits.update_version(people.editor, "m", "1", change)
    assert (found.description, found.tags) == ("said", {"v": "1", "w": "2"})
    models.models.delete_version(people.editor, "m", "1")
    models.register(people.editor, "m")
    assert models.models.get_version(people.viewer, "m", "2").tags == {}
    assert models.models.get(people.viewer, "m").tags == {"model": "1"}


def test_a_job_registers_models_and_deletes_none(models: ModelsWorld, people: People) -> None:
    models.register(people.editor, "m")
    job = replace(people.editor, attempt_id="att_1", scopes=frozenset({"models:write"}))
    for delete in (
        lambda: models.models.delete(job, "m"),
        lambda: models.models.delete_version(job, "m", "1"),
    ):
        with pytest.raises(PermissionDenied):
            delete()
    assert models.models.get(people.viewer, "m").versions == [1]
