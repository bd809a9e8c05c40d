"""``nacre predict --data``, ``endpoint batches`` and ``drift``, ``model export``: over HTTP, with jobs
that end as the test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld
from tests.tracking_kit import serving
from tests.unit.services.test_batch_predictions import LEFT
from tests.unit.services.test_drift_reports import MEASURED, captured, served
from typer.testing import CliRunner, Result

from nacre.cli.app import out
from nacre.cli.main import app
from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict, InvalidSpec, RequestError

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@dataclass
class Stage:
    world: ModelsWorld
    people: People

    def run(self, *arguments: str, left: dict[str, bytes] | None = None, exit_code: int = 0) -> Result:
        """Run a command; meanwhile the job that it submits leaves these files and ends."""
        working = None if left is None else threading.Thread(target=self._end, args=(left, exit_code))
        if working:
            working.start()
        result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
        if working:
            working.join(30)
        assert result.exit_code == exit_code, result.output
        return result

    def _end(self, left: dict[str, bytes], exit_code: int) -> None:
        jobs = self.world.jobs.jobs
        kinds = ("predict", "drift")
        while True:
            found = [j for j in jobs.list(self.people.viewer, active=True).items if j.kind in kinds]
            if found:
                break
            threading.Event().wait(0.01)
        end: dict[str, Any] = {"reason": "out_of_memory", "exit_code": None} if exit_code else {}
        for _ in range(3 if exit_code else 1):  # one that fails is tried again
            self.world.finish(self.people.editor, found[0].id, left, **end)
            self.world.jobs.clock.advance(10)
        self.world.loop.run_once()


@pytest.fixture
def stage(
    database: Database, clock: FixedClock, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Stage]:
    world = models_kit.world(database, clock, tmp_path)
    with serving(models_kit.app_of(world, people)) as url:
        for name, value in {"URL": url, "TOKEN": "editor", "PROJECT": "vision"}.items():
            monkeypatch.setenv(f"NACRE_{name}", value)
        monkeypatch.setattr(out, "width", 200)
        monkeypatch.chdir(tmp_path)
        yield Stage(world, people)


def test_predictions_for_a_dataset(stage: Stage) -> None:
    served(stage.world, stage.people, data="digits")
    assert "none yet: nacre predict" in stage.run("endpoint", "batches").output
    shown = stage.run("predict", "ask", "--data", "digits", "--out", "answers", left=LEFT).output
    assert "digits/1 for digits@1: 70,000 samples in answers@1" in shown
    stage.run("predict", "--model", "digits/1", "--data", "digits@1", "--out", "more", "--no-wait")
    listed = stage.run("endpoint", "batches").output
    assert "answers@1" in listed
    assert "running" in listed
    found = json.loads(stage.run("-o", "json", "endpoint", "batches").stdout)
    assert [(b["endpoint"], b["out"], b["state"]) for b in found] == [
        (None, "more", "running"),
        ("ask", "answers", "succeeded"),
    ]


def test_predictions_that_fail_say_why(stage: Stage) -> None:
    served(stage.world, stage.people, data="digits")
    shown = stage.run("predict", "ask", "--data", "digits", "--out", "answers", left={}, exit_code=1).output
    assert "failed it out_of_memory" in shown
    assert "nacre logs predict-digits-1" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ask", "--data", "digits"), "need --data DATASET and --out DATASET"),
        (("ask", "--out", "answers"), "need --data DATASET and --out DATASET"),
        (("ask", "x.json", "--data", "d", "--out", "o"), "not both"),
        (("--data", "d", "--out", "o"), "name an endpoint or a model"),
        (("ask", "--model", "m", "--data", "d", "--out", "o"), "name an endpoint or a model"),
        (("ask", "--data", "d", "--out", "Not A Name"), "is not a name"),
        (("ask", "--data", "d", "--out", "o", "--format", "csv"), "parquet"),
        (("ask",), "name an endpoint and a file"),
    ],
)
def test_what_does_not_go_together_is_said(stage: Stage, words: tuple[str, ...], said: str) -> None:
    with pytest.raises(InvalidSpec, match=said):
        stage.run("predict", *words)


def test_drift(stage: Stage) -> None:
    served(stage.world, stage.people, data="digits")
    with pytest.raises(Conflict, match="--capture DATASET"):
        stage.run("endpoint", "drift", "ask")
    stage.run("endpoint", "set", "ask", "--capture", "asked", "--capture-share", "0.5")
    captured(stage.world, stage.people)
    left = {"drift.json": json.dumps(MEASURED).encode()}
    shown = stage.run("endpoint", "drift", "ask", left=left).output
    assert "ask: asked@1 against digits@1" in shown
    assert "x[0]" in shown
    assert "0.3000" in shown
    assert "drifted: drifted from the training data (0.25 or more); 700 against 4,000 samples" in shown
    assert "x[0] 0.3000" in stage.run("endpoint", "drift", "ask", "--list").output


def test_capture_is_switched_on_and_off(stage: Stage) -> None:
    served(stage.world, stage.people)
    words = ("--capture", "asked", "--capture-share", "0.5", "--capture-budget", "2GB")
    found = json.loads(stage.run("-o", "json", "endpoint", "set", "ask", *words).stdout)
    assert found["settings"]["capture"] == {"dataset": "asked", "share": 0.5, "budget_bytes": 2 * 2**30}
    found = json.loads(stage.run("-o", "json", "endpoint", "set", "ask", "--default", "capture").stdout)
    assert found["settings"]["capture"] is None
    with pytest.raises(InvalidSpec, match="name the dataset too"):
        stage.run("endpoint", "set", "ask", "--capture-share", "0.5")


def test_export(stage: Stage, tmp_path: Path) -> None:
    stage.world.ready(stage.people.editor, onnx=b"the onnx form")
    shown = stage.run("model", "export", "digits/1", "--layout", "triton", "--out", "repository").output
    assert "tritonserver --model-repository repository" in shown
    assert Path("repository/digits/1/model.onnx").read_bytes() == b"the onnx form"
    assert 'name: "digits"' in Path("repository/digits/config.pbtxt").read_text()
    stage.world.ready(stage.people.editor, onnx=b"the second")
    stage.run("model", "export", "digits", "--layout", "triton", "--out", "repository")
    assert Path("repository/digits/2/model.onnx").read_bytes() == b"the second"
    assert sorted(p.name for p in Path("repository").iterdir()) == ["digits"]
    with pytest.raises(RequestError, match="digits/2 is there already"):
        stage.run("model", "export", "digits/2", "--layout", "triton", "--out", "repository")
    stage.run("model", "export", "digits/2", "--layout", "mlflow", "--out", "other")
    assert "mlflow.onnx" in Path("other/digits/2/MLmodel").read_text()
    with pytest.raises(InvalidSpec, match="no layout: use triton, tfserving, mlflow"):
        stage.run("model", "export", "digits", "--layout", "torchserve", "--out", "x")
    with pytest.raises(Conflict, match="is not a SavedModel"):
        stage.run("model", "export", "digits", "--layout", "tfserving", "--out", "served")
    assert list(Path("served").iterdir()) == []
