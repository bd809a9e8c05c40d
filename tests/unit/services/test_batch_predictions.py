"""Predictions for datasets: what runs, what comes of it, and what is said when nothing does."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict, NotFound, Unavailable
from nacre.schema.predictions import Batch, BatchCreate
from nacre.services.lineage import Lineages

REPORT = json.dumps({"samples": 70_000, "outputs": [], "format": "parquet"}).encode()
LEFT = {
    "predictions.json": REPORT,
    "predictions/part-00000.parquet": b"one",
    "predictions/part-00001.parquet": b"two",
}


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


def batch(world: ModelsWorld, people: People, **fields: Any) -> Batch:
    given = {"data": "digits-test", "out": "answers"} | fields
    if "endpoint" not in given:
        given.setdefault("model", "digits")
    return world.batches.create(people.editor, BatchCreate.model_validate(given))


def words_of(world: ModelsWorld, people: People, found: Batch) -> dict[str, str]:
    job = world.jobs.jobs.get(people.viewer, found.job)
    words = shlex.split(job.spec.commands[0])
    assert words[:3] == ["python", "-m", "nacre.workloads.predict"]
    return dict(zip(words[3::2], words[4::2], strict=True))


class TestStart:
    @pytest.fixture(autouse=True)
    def data(self, world: ModelsWorld, people: People) -> None:
        world.dataset(people.editor, "digits-test", {"x.npz": b"123"})

    def test_the_onnx_form_is_asked(self, world: ModelsWorld, people: People) -> None:
        version = world.ready(people.editor)
        found = batch(world, people, features=["a", "b"])
        assert (found.model, found.version, found.data, found.state) == (
            "digits",
            1,
            "digits-test@1",
            "running",
        )
        assert words_of(world, people, found) == {
            "--framework": "onnx",
            "--model": "${{inputs.model}}/model.onnx",
            "--data": "${{inputs.data}}",
            "--format": "parquet",
            "--features": "a,b",
        }
        job = world.jobs.jobs.get(people.viewer, found.job)
        assert (job.kind, job.name, job.spec.max_restarts) == ("predict", "predict-digits-1", 2)
        assert job.record is not None
        assert job.record.environment.startswith("sklearn-with-")
        data = world.jobs.datasets.get_version(people.viewer, "digits-test", "1")
        assert job.record.manifests["data"] == data.manifest
        files = world.jobs.ledger.read_manifest(job.record.manifests["model"]).files
        assert version.onnx_digest in {f.digest for f in files}

    def test_an_endpoint_means_the_version_that_answers(self, world: ModelsWorld, people: People) -> None:
        world.ready(people.editor)
        world.deploy(people.editor)
        world.ready(people.editor)
        found = batch(world, people, endpoint="ask")
        assert (found.endpoint, found.model, found.version) == ("ask", "digits", 1)
        assert batch(world, people).version == 2

    def test_what_is_not_converted_runs_as_a_replica_would(
        self, world: ModelsWorld, people: People
    ) -> None:
        code = world.send(people.editor, {"train.py": b"print()"})
        made = world.trained(people.editor, {"model.pt": b"w"}, commands=["python train.py"], code=code)
        version = world.register(people.editor, run=made.name)
        with pytest.raises(Conflict, match="still being converted"):
            batch(world, people)
        assert version.conversion_job is not None
        world.finish(people.editor, version.conversion_job, {}, reason="exit_nonzero", exit_code=2)
        world.loop.run_once()
        found = batch(world, people)
        words = words_of(world, people, found)
        assert words["--framework"] == "pytorch"
        assert words["--model"] == "${{inputs.model}}/model.pt"
        assert words["--script"] == "train.py"
        assert world.jobs.jobs.get(people.viewer, found.job).spec.code == code

    def test_a_pickle_from_elsewhere_is_not_loaded(self, world: ModelsWorld, people: People) -> None:
        files = {"MLmodel": b"flavors:\n  prophet: {data: model.pr}\n", "model.pr": b"p"}
        world.register(people.editor, manifest=world.send(people.editor, files), path=".")
        with pytest.raises(Conflict):
            batch(world, people)

    def test_what_is_not_there_is_named(self, world: ModelsWorld, people: People) -> None:
        world.ready(people.editor)
        with pytest.raises(NotFound, match="no endpoint 'ask'"):
            batch(world, people, endpoint="ask")
        with pytest.raises(NotFound, match="no dataset 'nothing'"):
            batch(world, people, data="nothing")
        with pytest.raises(NotFound, match="no model 'nothing'"):
            batch(world, people, model="nothing")
        assert world.batches.list(people.viewer).items == []

    def test_either_an_endpoint_or_a_model(self) -> None:
        for fields in ({}, {"endpoint": "ask", "model": "digits"}):
            with pytest.raises(ValidationError, match="name an endpoint or a model"):
                BatchCreate.model_validate({"data": "d", "out": "o", **fields})


class TestEnd:
    @pytest.fixture(autouse=True)
    def ready(self, world: ModelsWorld, people: People) -> None:
        world.dataset(people.editor, "digits-test", {"x.npz": b"123"})
        world.ready(people.editor)

    def end(self, world: ModelsWorld, people: People, found: Batch, left: Any, **end: Any) -> Batch:
        world.finish(people.editor, found.job, left, **end)
        world.loop.run_once()
        return world.batches.get(people.viewer, found.id)

    def test_the_answers_become_a_dataset(self, world: ModelsWorld, people: People) -> None:
        found = self.end(world, people, batch(world, people), LEFT)
        assert (found.state, found.result, found.samples) == ("succeeded", "answers@1", 70_000)
        made = world.jobs.datasets.files(people.viewer, "answers", "1")
        assert [f.path for f in made.files] == ["part-00000.parquet", "part-00001.parquet"]
        assert made.version.note == "Predictions of digits/1 for digits-test@1"
        assert made.version.user == "editor"

    def test_it_is_known_where_they_come_from(self, world: ModelsWorld, people: People) -> None:
        self.end(world, people, batch(world, people), LEFT)
        lineages = Lineages(world.jobs.db)
        graph = lineages.get(people.viewer, "data:answers/1")
        assert {("data:digits-test/1", "data:answers/1"), ("model:digits/1", "data:answers/1")} <= set(
            graph.edges
        )
        for subject in ("data:digits-test/1", "model:digits/1"):
            assert (subject, "data:answers/1") in lineages.get(people.viewer, subject).edges

    def test_settling_again_makes_no_other_version(
        self, world: ModelsWorld, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        found = batch(world, people)
        world.finish(people.editor, found.job, LEFT)
        create = world.jobs.datasets.create

        def killed(*arguments: Any) -> None:
            create(*arguments)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(world.jobs.datasets, "create", killed)
            with pytest.raises(KeyboardInterrupt):
                world.loop.run_once()
        world.loop.run_once()
        world.loop.run_once()
        assert world.batches.get(people.viewer, found.id).result == "answers@1"
        assert world.jobs.datasets.get(people.viewer, "answers").versions == [1]

    def test_it_is_tried_again_and_then_it_has_failed(self, world: ModelsWorld, people: People) -> None:
        job = batch(world, people)
        for _ in range(3):  # it is tried again, in vain
            world.jobs.clock.advance(10)
            found = self.end(world, people, job, {}, reason="exit_nonzero", exit_code=1)
        attempt = world.jobs.attempt(world.jobs.jobs.get(people.viewer, job.job))
        assert attempt.number == 3
        assert (found.state, found.reason, found.result) == ("failed", "exit_nonzero", None)

    def test_data_that_does_not_fit_is_not_tried_again(self, world: ModelsWorld, people: People) -> None:
        job = batch(world, people)
        said = "x.npy, row 7 (counted from 0): the input 'x' takes FP32, which 'a' is not"
        message = f"The command ended with exit code 2: error: {said}"
        world.jobs.build_environments()
        world.jobs.queue.advance()
        attempt = world.jobs.attempt(world.jobs.jobs.get(people.viewer, job.job))
        event = {"type": "exit", "reason": "exit_nonzero", "exit_code": 2, "message": message}
        world.jobs.report(attempt.id, event)
        world.jobs.engine.see(attempt.id, launcher=False, work=False, exited=True, done=True)
        world.jobs.loop.run_once()
        world.loop.run_once()
        found = world.batches.get(people.viewer, job.id)
        assert (found.state, found.reason, found.message) == ("failed", "prediction_failed", said)
        assert world.jobs.attempt(world.jobs.jobs.get(people.viewer, job.job)).number == 1

    def test_memory_that_ran_out_is_tried_again_whatever_the_code(
        self, world: ModelsWorld, people: People
    ) -> None:
        job = batch(world, people)
        found = self.end(world, people, job, {}, reason="out_of_memory", exit_code=2)
        assert found.state == "running"

    @pytest.mark.parametrize(
        "left",
        [
            {},
            {"predictions.json": REPORT},
            {"predictions/part-00000.parquet": b"1"},
            {**LEFT, "predictions.json": b"[]"},
            {**LEFT, "predictions.json": b'{"samples": "many"}'},
        ],
    )
    def test_a_success_without_answers_is_a_failure(
        self, world: ModelsWorld, people: People, left: dict[str, bytes]
    ) -> None:
        found = self.end(world, people, batch(world, people), left)
        assert (found.state, found.reason) == ("failed", "prediction_failed")
        assert found.message is not None

    def test_a_job_that_was_deleted_leaves_nothing_running(
        self, world: ModelsWorld, people: People
    ) -> None:
        found = batch(world, people)
        world.jobs.jobs.stop(people.editor, found.job)
        world.jobs.jobs.delete(people.editor, found.job)
        world.loop.run_once()
        assert world.batches.get(people.viewer, found.id).reason == "job_deleted"

    def test_one_that_cannot_be_read_now_holds_up_no_other(
        self, world: ModelsWorld, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        first, second = batch(world, people), batch(world, people, out="others")
        world.finish(people.editor, first.job, LEFT)
        world.finish(people.editor, second.job, LEFT)
        read, broken = world.jobs.ledger.read_manifest, []

        def once(digest: str) -> Any:
            if not broken:
                broken.append(digest)
                raise Unavailable("the disk is away")
            return read(digest)

        monkeypatch.setattr(world.jobs.ledger, "read_manifest", once)
        world.loop.run_once()
        states = [world.batches.get(people.viewer, b.id).state for b in (first, second)]
        assert states == ["running", "succeeded"]
        world.loop.run_once()
        assert world.batches.get(people.viewer, first.id).state == "succeeded"

    def test_a_version_with_predictions_may_be_deleted(self, world: ModelsWorld, people: People) -> None:
        found = self.end(world, people, batch(world, people), LEFT)
        world.models.delete_version(people.editor, "digits", "1")
        with pytest.raises(NotFound):
            world.batches.get(people.viewer, found.id)
        assert world.jobs.datasets.get(people.viewer, "answers").versions == [1]
