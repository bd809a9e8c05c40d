"""What is run to convert a version, and what becomes of the version, however it ends."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict, Unavailable
from nacre.schema.jobs import Job
from nacre.schema.models import ModelVersion


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


def job_of(world: ModelsWorld, people: People, version: ModelVersion) -> Job:
    assert version.conversion_job is not None
    return world.jobs.jobs.get(people.viewer, version.conversion_job)


def again(world: ModelsWorld, people: People, version: ModelVersion) -> ModelVersion:
    return world.models.get_version(people.viewer, version.model, str(version.number))


class TestStart:
    def test_the_job_has_the_model_the_code_and_the_data_of_the_run(
        self, world: ModelsWorld, people: People
    ) -> None:
        code = world.send(people.editor, {"src/train.py": b"print()"})
        data = world.dataset(people.editor, "digits-train", {"x.npz": b"123"})
        made = world.trained(
            people.editor,
            {"model.pt": b"w"},
            commands=["echo 'ready'", "python train.py --epochs 5"],
            code=code,
            workdir="src",
            inputs={"train": "digits-train"},
        )
        inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 2]}]
        version = world.register(people.editor, run=made.name, inputs=inputs)
        job = job_of(world, people, version)
        assert (job.kind, job.name, job.user) == ("convert", "convert-digits-1", "editor")
        assert job.spec.workdir == "src"
        assert job.record is not None
        assert job.record.code == code
        assert job.record.manifests == {"model": version.manifest, "data-train": data.manifest}
        words = shlex.split(job.spec.commands[0])
        assert words[:3] == ["python", "-m", "nacre.workloads.convert_pytorch"]
        options = dict(zip(words[3::2], words[4::2], strict=True))
        assert json.loads(options.pop("--inputs")) == inputs
        assert options == {
            "--model": "${{inputs.model}}/model.pt",
            "--data": "${{inputs.data-train}}",
            "--script": "train.py",
        }

    @pytest.mark.parametrize(
        ("command", "wanted"),
        [
            ("python -m pkg.train --lr 1", "--module pkg.train"),
            ("torchrun --nproc-per-node 2 train.py", "--script train.py"),
            ("echo don't; python train.py", "--script train.py"),
            ("python -m torch.distributed.run train.py", "--script train.py"),
            ("./train", None),
        ],
    )
    def test_the_training_program_is_found(
        self, world: ModelsWorld, people: People, command: str, wanted: str | None
    ) -> None:
        made = world.trained(people.editor, {"model.pt": b"w"}, commands=[command], name="made")
        job = job_of(world, people, world.register(people.editor, run=made.name))
        found = job.spec.commands[0].partition("model.pt'")[2].strip()
        assert found == (wanted or "")

    def test_it_runs_where_the_model_was_made_with_what_the_converter_needs_added(
        self, world: ModelsWorld, people: People
    ) -> None:
        version = world.register(people.editor)
        record = job_of(world, people, version).record
        assert record is not None
        assert record.environment.startswith("base-with-")

    def test_an_onnx_file_needs_no_framework(self, world: ModelsWorld, people: People) -> None:
        version = world.register(people.editor, manifest=world.send(people.editor, {"m.onnx": b"o"}))
        record = job_of(world, people, version).record
        assert record is not None
        assert record.environment == "sklearn"


class TestSettle:
    def test_success_brings_the_onnx_form_and_the_signature(
        self, world: ModelsWorld, people: People
    ) -> None:
        version = world.ready(people.editor, onnx=b"the onnx form")
        assert (version.conversion, version.reason, version.message) == ("ready", None, None)
        assert version.signature is not None
        assert version.signature.model_dump() == models_kit.SIGNATURE
        files = world.models.files(people.viewer, "digits", "1")
        assert files.onnx is not None
        assert world.jobs.ledger.read(files.onnx.digest) == b"the onnx form"
        assert files.onnx.digest == version.onnx_digest

    def test_the_onnx_form_outlives_the_job_that_made_it(self, world: ModelsWorld, people: People) -> None:
        version = world.ready(people.editor)
        world.jobs.jobs.delete(people.editor, job_of(world, people, version).id)
        world.jobs.clock.advance(7 * 24 * 3600)
        for _ in range(3):
            world.jobs.ledger.collect()
            world.jobs.clock.advance(7 * 24 * 3600)
        assert version.onnx_digest is not None
        assert world.jobs.ledger.read(version.onnx_digest) == b"onnx"
        found = again(world, people, version)
        assert (found.conversion, found.conversion_job) == ("ready", None)

    def test_the_converters_own_sentence_is_the_message(self, world: ModelsWorld, people: People) -> None:
        version = world.register(people.editor)
        said = "The command ended with exit code 2: error: model.pt holds only weights: save the module"
        end(world, people, version, reason="exit_nonzero", exit_code=2, message=said)
        found = again(world, people, version)
        assert (found.conversion, found.reason) == ("failed", "conversion_failed")
        assert found.message == "model.pt holds only weights: save the module"

    def test_the_jobs_own_reason_is_kept(self, world: ModelsWorld, people: People) -> None:
        version = world.register(people.editor)
        end(world, people, version, reason="out_of_memory", exit_code=None, message="It ran out of memory.")
        found = again(world, people, version)
        assert (found.conversion, found.reason) == ("failed", "out_of_memory")
        assert found.message == "It ran out of memory."

    @pytest.mark.parametrize(
        "left",
        [
            {},
            {"model.onnx": b"o"},
            {"conversion.json": b"{}"},
            {"model.onnx": b"o", "conversion.json": b"not json"},
            {"model.onnx": b"o", "conversion.json": b"[]"},
            {"model.onnx": b"o", "conversion.json": b'{"signature": {"inputs": 1}}'},
            {"model.onnx": b"o", "conversion.json": b" " * (2**20 + 1)},
        ],
    )
    def test_a_success_without_a_result_is_a_failure(
        self, world: ModelsWorld, people: People, left: dict[str, bytes]
    ) -> None:
        version = world.register(people.editor)
        assert version.conversion_job is not None
        world.finish(people.editor, version.conversion_job, left)
        world.loop.run_once()
        found = again(world, people, version)
        assert (found.conversion, found.reason) == ("failed", "conversion_failed")

    def test_a_job_that_was_deleted_leaves_nothing_converting(
        self, world: ModelsWorld, people: People
    ) -> None:
        version = world.register(people.editor)
        job = job_of(world, people, version)
        world.jobs.jobs.stop(people.editor, job.id)
        world.jobs.jobs.delete(people.editor, job.id)
        world.loop.run_once()
        found = again(world, people, version)
        assert (found.conversion, found.reason) == ("failed", "job_deleted")

    def test_settling_twice_or_after_a_kill_changes_nothing(
        self, world: ModelsWorld, people: People
    ) -> None:
        version = world.ready(people.editor)
        world.loop.run_once()
        restarted = models_kit.ModelsWorld(world.jobs.restarted())
        restarted.loop.run_once()
        assert again(world, people, version) == version

    def test_a_kill_before_the_result_is_written_is_made_up_for(
        self, world: ModelsWorld, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        version = world.register(people.editor)
        report = json.dumps({"signature": models_kit.SIGNATURE}).encode()
        assert version.conversion_job is not None
        world.finish(people.editor, version.conversion_job, {"model.onnx": b"o", "conversion.json": report})

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(world.jobs.ledger, "add_reference", killed)
            with pytest.raises(KeyboardInterrupt):
                world.loop.run_once()
        assert again(world, people, version).conversion == "converting"
        world.loop.run_once()
        assert again(world, people, version).conversion == "ready"

    def test_one_that_cannot_be_read_now_holds_up_no_other(
        self, world: ModelsWorld, people: People, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        versions = [world.register(people.editor) for _ in range(2)]
        report = json.dumps({"signature": models_kit.SIGNATURE}).encode()
        for version in versions:
            assert version.conversion_job is not None
            world.finish(
                people.editor, version.conversion_job, {"model.onnx": b"o", "conversion.json": report}
            )
        read, calls = world.jobs.ledger.read_manifest, []

        def away_once(digest: str) -> object:
            calls.append(digest)
            if len(calls) == 1:
                raise Unavailable("the disk is away")
            return read(digest)

        monkeypatch.setattr(world.jobs.ledger, "read_manifest", away_once)
        world.loop.run_once()
        assert sorted(again(world, people, v).conversion for v in versions) == ["converting", "ready"]
        world.loop.run_once()
        assert [again(world, people, v).conversion for v in versions] == ["ready", "ready"]


class TestAgain:
    def test_a_failed_conversion_is_started_again(self, world: ModelsWorld, people: People) -> None:
        version = world.register(people.editor)
        end(world, people, version, reason="out_of_memory", exit_code=None)
        found = world.models.convert(people.editor, "digits", "1")
        assert (found.conversion, found.reason, found.message) == ("converting", None, None)
        assert found.conversion_job == "convert-digits-1-1"
        assert world.convert(people.editor, found).conversion == "ready"

    def test_one_that_is_under_way_or_done_is_not(self, world: ModelsWorld, people: People) -> None:
        version = world.register(people.editor)
        with pytest.raises(Conflict, match="is converting"):
            world.models.convert(people.editor, "digits", "1")
        world.convert(people.editor, version)
        with pytest.raises(Conflict, match="is ready"):
            world.models.convert(people.editor, "digits", "1")


def end(world: ModelsWorld, people: People, version: ModelVersion, **event: object) -> None:
    """End the conversion badly."""
    assert version.conversion_job is not None
    world.jobs.build_environments()
    world.jobs.queue.advance()
    attempt = world.jobs.attempt(world.jobs.jobs.get(people.viewer, version.conversion_job))
    world.jobs.report(attempt.id, {"type": "exit", "message": "it ended", **event})
    world.jobs.engine.see(attempt.id, launcher=False, work=False, exited=True, done=True)
    world.jobs.loop.run_once()
    world.loop.run_once()
