"""Programs that log nothing: their curves are there while they train, unless the job has capture off."""

from __future__ import annotations

import pytest
from real_server import Server, wait_until
from tests.capture_kit import FRAMEWORKS

from nacre.schema.jobs import Job, JobState
from nacre.schema.runs import Run

pytestmark = [pytest.mark.slow, pytest.mark.framework]

# As in a tutorial: nothing in it knows of Nacre.
TUTORIAL = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras
import numpy as np

rng = np.random.default_rng(0)
x = rng.normal(size=(512, 16)).astype("float32")
y = (x[:, 0] > 0).astype("int32")
hidden, last = keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1, activation="sigmoid")
model = keras.Sequential([hidden, last])
model.compile(optimizer="adam", loss="binary_crossentropy", metrics=["accuracy"])
model.fit(x, y, epochs=EPOCHS, batch_size=64, validation_split=0.25, verbose=2)
"""


@pytest.fixture(scope="module")
def frameworks(nacre_server: Server) -> str:
    """An environment with Keras, by name."""
    name = "capture-frameworks"
    nacre_server.client().environments.create(name, requirements="\n".join(FRAMEWORKS))
    return name


def submit(server: Server, frameworks: str, epochs: int, **spec: str) -> Job:
    program = TUTORIAL.replace("EPOCHS", str(epochs))
    resources = {"cpu": 0.5, "memory": "2GB", "shm_size": "16MB"}
    return server.submit({"main.py": program}, environment=frameworks, resources=resources, **spec)


def latest(server: Server, job: Job) -> Run:
    return server.client().runs.get(job.run)


def test_a_plain_keras_program_has_its_curves_while_it_trains(
    nacre_server: Server, frameworks: str
) -> None:
    client = nacre_server.client()
    job = submit(nacre_server, frameworks, epochs=100_000)

    def curves() -> dict[str, int]:
        found = client.jobs.get(job.id)
        assert found.state not in (JobState.FAILED, JobState.SUCCEEDED), nacre_server.log(job)
        metrics = latest(nacre_server, job).metrics
        return {metric.key: metric.step for metric in metrics}

    wait_until("two epochs are there", lambda: curves().get("val_loss", 0) >= 2, 240)
    before = curves()
    assert client.jobs.get(job.id).state == JobState.RUNNING
    wait_until("more of them come", lambda: curves()["val_loss"] > before["val_loss"], 60)
    run = latest(nacre_server, job)
    assert {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "batch/loss"} <= set(before)
    assert run.params["optimizer"] == "Adam"
    assert run.params["batch_size"] == "64"
    steps = [point.step for point in client.runs.metric(job.run, "loss").points]
    assert steps == list(range(len(steps)))
    client.jobs.stop(job.id)
    nacre_server.wait(job)


def test_capture_off_leaves_the_run_to_the_program(nacre_server: Server, frameworks: str) -> None:
    on = submit(nacre_server, frameworks, epochs=2)
    off = submit(nacre_server, frameworks, epochs=2, capture="off")
    for job in (on, off):
        assert nacre_server.wait(job, timeout_s=240).state == JobState.SUCCEEDED, nacre_server.log(job)
    kept = [file.path for file in nacre_server.client().runs.artifacts(on.run).files]
    assert kept == ["model_summary.txt"]
    assert latest(nacre_server, on).params["epochs"] == "2"
    run = latest(nacre_server, off)
    assert [metric.key for metric in run.metrics if not metric.key.startswith("system/")] == []
    assert run.params == {}
    assert nacre_server.client().runs.artifacts(off.run).files == []
