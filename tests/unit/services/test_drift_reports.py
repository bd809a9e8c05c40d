"""Drift reports: what is compared with what, and what becomes of the report."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import SIGNATURE, ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict, NotFound
from nacre.schema.endpoints import EndpointUpdate
from nacre.schema.predictions import Drift, DriftCreate

FEATURE = {"input": "x", "feature": "x[0]", "kind": "number", "psi": 0.3}
MEASURED = {
    "captured_samples": 700,
    "reference_samples": 4000,
    "features": [FEATURE],
    "worst": FEATURE,
    "verdict": "drifted",
}


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ModelsWorld:
    return models_kit.world(database, clock, tmp_path)


def served(world: ModelsWorld, people: People, **inputs: str) -> None:
    """An endpoint whose model was trained on these datasets."""
    for name in inputs.values():
        world.dataset(people.editor, name, {"x.npz": name.encode()})
    job = world.trained(people.editor, {"model.pt": b"weights"}, inputs=inputs)
    world.convert(people.editor, world.register(people.editor, run=job.name))
    world.deploy(people.editor)


def captured(world: ModelsWorld, people: People) -> None:
    update = EndpointUpdate.model_validate({"settings": {"capture": {"dataset": "asked"}}})
    world.endpoints.update(people.editor, "ask", update)
    world.dataset(people.editor, "asked", {"captured/1.parquet": b"rows"})


def drift(world: ModelsWorld, people: People, **fields: Any) -> Drift:
    return world.drifts.create(people.editor, "ask", DriftCreate.model_validate(fields))


class TestStart:
    def test_what_was_captured_is_compared_with_the_training_data(
        self, world: ModelsWorld, people: People
    ) -> None:
        served(world, people, data="digits")
        captured(world, people)
        found = drift(world, people)
        assert (found.endpoint, found.model, found.version) == ("ask", "digits", 1)
        assert (found.captured, found.reference, found.state) == ("asked@1", "digits@1", "running")
        job = world.jobs.jobs.get(people.viewer, found.job)
        assert job.kind == "drift"
        assert shlex.split(job.spec.commands[0])[2:] == [
            "nacre.workloads.drift",
            "--captured",
            "${{inputs.captured}}",
            "--reference",
            "${{inputs.reference}}",
        ]
        assert json.loads(job.spec.env["NACRE_MODEL_SIGNATURE"]) == SIGNATURE
        assert job.record is not None
        assert set(job.record.manifests) == {"captured", "reference"}

    def test_of_several_data_that_which_is_called_training(
        self, world: ModelsWorld, people: People
    ) -> None:
        served(world, people, data="digits-train", test="digits-test")
        captured(world, people)
        assert drift(world, people).reference == "digits-train@1"

    def test_both_may_be_named(self, world: ModelsWorld, people: People) -> None:
        served(world, people)
        captured(world, people)
        world.dataset(people.editor, "other", {"x.npz": b"1"})
        with pytest.raises(
            Conflict, match=r"was trained on \(no job with data made it\): name it with --ref"
        ):
            drift(world, people)
        found = drift(world, people, captured="other", reference="asked@1", features=["a", "b"])
        assert (found.captured, found.reference) == ("other@1", "asked@1")
        words = world.jobs.jobs.get(people.viewer, found.job).spec.commands[0]
        assert words.endswith("--features a,b")

    def test_data_that_could_both_be_meant_is_asked_for(self, world: ModelsWorld, people: People) -> None:
        served(world, people, one="first", two="second")
        captured(world, people)
        with pytest.raises(Conflict, match=r"it used first@1, second@1"):
            drift(world, people)

    def test_without_captured_requests_it_is_said_how_to_get_some(
        self, world: ModelsWorld, people: People
    ) -> None:
        served(world, people, data="digits")
        with pytest.raises(Conflict, match="nacre endpoint set ask --capture DATASET"):
            drift(world, people)
        update = EndpointUpdate.model_validate({"settings": {"capture": {"dataset": "asked"}}})
        world.endpoints.update(people.editor, "ask", update)
        with pytest.raises(Conflict, match="nothing of ask was captured yet in asked"):
            drift(world, people)
        with pytest.raises(NotFound, match="no endpoint 'nothing'"):
            world.drifts.create(people.editor, "nothing", DriftCreate())


class TestEnd:
    @pytest.fixture(autouse=True)
    def ready(self, world: ModelsWorld, people: People) -> None:
        served(world, people, data="digits")
        captured(world, people)

    def end(self, world: ModelsWorld, people: People, left: Any, **end: Any) -> Drift:
        found = drift(world, people)
        world.finish(people.editor, found.job, left, **end)
        world.loop.run_once()
        return world.drifts.get(people.viewer, "ask", found.id)

    def test_the_report_is_kept_with_the_endpoint(self, world: ModelsWorld, people: People) -> None:
        found = self.end(world, people, {"drift.json": json.dumps(MEASURED).encode()})
        assert found.state == "succeeded"
        assert found.result is not None
        assert found.result.model_dump() == MEASURED
        assert world.drifts.list(people.viewer, "ask").items == [found]
        world.endpoints.delete(people.editor, "ask")
        with pytest.raises(NotFound):
            world.drifts.get(people.viewer, "ask", found.id)

    @pytest.mark.parametrize(
        "left", [{}, {"drift.json": b"no"}, {"drift.json": b"[]"}, {"drift.json": b'{"verdict": "fine"}'}]
    )
    def test_a_success_without_a_report_is_a_failure(
        self, world: ModelsWorld, people: People, left: dict[str, bytes]
    ) -> None:
        assert self.end(world, people, left).reason == "drift_failed"

    def test_the_programs_own_sentence_is_the_message(self, world: ModelsWorld, people: People) -> None:
        found = self.end(world, people, {}, reason="exit_nonzero", exit_code=2)
        assert (found.state, found.reason) == ("failed", "drift_failed")

    def test_a_report_is_found_under_its_endpoint_only(self, world: ModelsWorld, people: People) -> None:
        found = drift(world, people)
        world.deploy(people.editor, "other")
        with pytest.raises(NotFound, match="endpoint other has no drift report"):
            world.drifts.get(people.viewer, "other", found.id)
