"""An evaluation runs as a job on the ONNX form, and its result stays with the version."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict, NotFound
from nacre.schema.models import Evaluation, EvaluationCreate

RESULT: dict[str, Any] = {
    "samples": 4,
    "accuracy": 0.75,
    "precision": 0.8,
    "recall": 0.7,
    "f1": 0.72,
    "labels": ["cat", "dog"],
    "confusion": [[2, 0], [1, 1]],
    "per_class": {"cat": {"precision": 2 / 3, "recall": 1.0, "f1": 0.8, "support": 2}},
}


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


def started(world: ModelsWorld, people: People, **fields: str) -> Evaluation:
    """An evaluation of a converted version on ``digits-test``."""
    world.ready(people.editor)
    world.dataset(people.editor, "digits-test", {"test.npz": b"123"})
    request = EvaluationCreate.model_validate({"data": "digits-test", **fields})
    return world.evaluations.create(people.editor, "digits", "latest", request)


def ended(
    world: ModelsWorld, people: People, found: Evaluation, left: dict[str, Any] | bytes | None
) -> Evaluation:
    body = left if isinstance(left, bytes) else json.dumps(left).encode()
    world.finish(people.editor, found.job, {} if left is None else {"evaluation.json": body})
    world.loop.run_once()
    return world.evaluations.get(people.viewer, found.id)


def test_the_job_has_the_onnx_form_and_the_data(world: ModelsWorld, people: People) -> None:
    found = started(world, people, features="pixels", label="digit")
    assert (found.state, found.model, found.version, found.data) == (
        "running",
        "digits",
        1,
        "digits-test@1",
    )
    job = world.jobs.jobs.get(people.viewer, found.job)
    assert (job.kind, job.name) == ("evaluate", "evaluate-digits-1")
    assert shlex.split(job.spec.commands[0]) == [
        *("python", "-m", "nacre.workloads.evaluate"),
        *("--model", "${{inputs.model}}/model.onnx", "--data", "${{inputs.data}}"),
        *("--features", "pixels", "--label", "digit"),
    ]
    data = world.jobs.datasets.resolve(None, people.project.id, "digits-test@1")
    assert job.record is not None
    assert job.record.manifests["data"] == data.manifest
    assert job.record.environment == "sklearn"


def test_the_result_stays_with_the_version(world: ModelsWorld, people: People) -> None:
    found = ended(world, people, started(world, people), RESULT)
    assert found.state == "succeeded"
    assert {key: getattr(found, key) for key in RESULT} == RESULT
    assert found.ended_at is not None
    version = world.models.get_version(people.viewer, "digits", "1")
    assert version.evaluations == [found]
    assert world.evaluations.list(people.viewer, "digits", "1").items == [found]
    world.jobs.jobs.delete(people.editor, found.job)
    assert world.evaluations.get(people.viewer, found.id).accuracy == 0.75


@pytest.mark.parametrize(
    "left", [None, b"not json", b"[]", {"accuracy": 1}, {**RESULT, "confusion": "all right"}]
)
def test_a_success_without_a_result_is_a_failure(
    world: ModelsWorld, people: People, left: dict[str, Any] | bytes | None
) -> None:
    found = ended(world, people, started(world, people), left)
    assert (found.state, found.reason) == ("failed", "evaluation_failed")
    assert found.message == "the evaluator ended without a result"


def test_a_result_cannot_say_more_than_it_may(world: ModelsWorld, people: People) -> None:
    found = ended(world, people, started(world, people), {**RESULT, "id": "evl_other", "model": "other"})
    assert (found.model, found.accuracy) == ("digits", 0.75)


def test_the_evaluators_own_sentence_is_the_message(world: ModelsWorld, people: People) -> None:
    found = started(world, people)
    world.jobs.build_environments()
    world.jobs.queue.advance()
    attempt = world.jobs.attempt(world.jobs.jobs.get(people.viewer, found.job))
    said = "The command ended with exit code 2: error: the data has no labels: name them with --label"
    world.jobs.report(
        attempt.id, {"type": "exit", "reason": "exit_nonzero", "exit_code": 2, "message": said}
    )
    world.jobs.engine.see(attempt.id, launcher=False, work=False, exited=True, done=True)
    world.jobs.loop.run_once()
    world.loop.run_once()
    failed = world.evaluations.get(people.viewer, found.id)
    assert (failed.state, failed.reason) == ("failed", "evaluation_failed")
    assert failed.message == "the data has no labels: name them with --label"


def test_a_job_that_was_stopped_and_deleted_ends_it(world: ModelsWorld, people: People) -> None:
    found = started(world, people)
    world.jobs.jobs.stop(people.editor, found.job)
    world.jobs.jobs.delete(people.editor, found.job)
    world.loop.run_once()
    assert world.evaluations.get(people.viewer, found.id).reason == "job_deleted"


def test_settling_again_changes_nothing(world: ModelsWorld, people: People) -> None:
    found = ended(world, people, started(world, people), RESULT)
    world.jobs.clock.advance(60)
    models_kit.ModelsWorld(world.jobs.restarted()).loop.run_once()
    assert world.evaluations.get(people.viewer, found.id) == found


class TestRefused:
    def test_before_the_conversion_is_over(self, world: ModelsWorld, people: People) -> None:
        world.register(people.editor)
        world.dataset(people.editor, "digits-test", {"test.npz": b"123"})
        with pytest.raises(Conflict, match=r"digits/1 is still being converted.*nacre model show digits/1"):
            world.evaluations.create(
                people.editor, "digits", "latest", EvaluationCreate(data="digits-test")
            )

    def test_after_the_conversion_failed(self, world: ModelsWorld, people: People) -> None:
        version = world.register(people.editor)
        assert version.conversion_job is not None
        world.finish(people.editor, version.conversion_job, {})
        world.loop.run_once()
        with pytest.raises(Conflict, match=r"could not be converted .*nacre model convert digits/1"):
            world.evaluations.create(people.editor, "digits", "1", EvaluationCreate(data="digits-test"))

    def test_data_or_version_that_is_not_there(self, world: ModelsWorld, people: People) -> None:
        world.ready(people.editor)
        with pytest.raises(NotFound, match="nothing"):
            world.evaluations.create(people.editor, "digits", "1", EvaluationCreate(data="nothing"))
        with pytest.raises(NotFound, match="best"):
            world.evaluations.create(people.editor, "digits", "best", EvaluationCreate(data="nothing"))

    def test_another_projects_evaluation(self, world: ModelsWorld, people: People) -> None:
        with pytest.raises(NotFound, match="evl_other"):
            world.evaluations.get(people.viewer, "evl_other")
