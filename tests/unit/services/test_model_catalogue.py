"""Versions in pages, and the best evaluation of a model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import NotFound
from nacre.schema.models import BestEvaluation, EvaluationCreate


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


def evaluate(world: ModelsWorld, people: People, version: int, data: str, accuracy: float | None) -> None:
    """Null: the evaluation fails."""
    found = world.evaluations.create(people.editor, "digits", str(version), EvaluationCreate(data=data))
    result = {"samples": 1, "accuracy": accuracy, "precision": 0, "recall": 0, "f1": 0}
    result |= {"labels": ["a"], "confusion": [[1]], "per_class": {}}
    files = {} if accuracy is None else {"evaluation.json": json.dumps(result).encode()}
    world.finish(people.editor, found.job, files)
    world.loop.run_once()


def test_versions_come_newest_first_in_pages(world: ModelsWorld, people: People) -> None:
    for _ in range(3):
        world.register(people.editor)
    world.register(people.editor, "other")
    first = world.models.catalogue.versions(people.viewer, "digits", limit=2)
    assert [v.number for v in first.items] == [3, 2]
    rest = world.models.catalogue.versions(people.viewer, "digits", limit=2, cursor=first.next)
    assert ([v.number for v in rest.items], rest.next) == ([1], None)
    with pytest.raises(NotFound):
        world.models.catalogue.versions(people.viewer, "nothing")


def test_the_best_evaluation_is_the_highest_accuracy_of_any_version(
    world: ModelsWorld, people: People
) -> None:
    for name in ("one", "two"):
        world.dataset(people.editor, name, {"x.npz": name.encode()})
    world.ready(people.editor)
    world.ready(people.editor, onnx=b"second")
    assert world.models.get(people.viewer, "digits").best is None
    evaluate(world, people, 1, "one", None)
    assert world.models.get(people.viewer, "digits").best is None
    evaluate(world, people, 1, "one", 0.9)
    evaluate(world, people, 1, "two", 0.95)
    evaluate(world, people, 2, "one", 0.1)
    best = BestEvaluation(version=1, data="two@1", accuracy=0.95)
    assert world.models.get(people.viewer, "digits").best == best
    assert world.models.list(people.viewer).items[0].best == best
