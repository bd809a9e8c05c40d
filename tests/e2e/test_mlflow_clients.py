"""MLflow's own client, unmodified, with the frameworks that people use it with: in jobs and on a laptop."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path
from typing import Any

import pytest
from real_server import MakeServer, Server

from nacre.schema.jobs import Job, JobState

pytestmark = [pytest.mark.slow, pytest.mark.framework]

REQUIREMENTS = "mlflow==3.17.2\nkeras>=3\ntorch\nlightning\nscikit-learn\nskops\n"

SKLEARN = """
import mlflow
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

mlflow.autolog()
x, y = load_digits(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, random_state=0)
model = RandomForestClassifier(n_estimators=20, random_state=0).fit(x_train, y_train)
print("score", model.score(x_test, y_test))
"""

KERAS = """
import os
os.environ["KERAS_BACKEND"] = "torch"
import keras, mlflow
from sklearn.datasets import load_digits

mlflow.keras.autolog()
x, y = load_digits(return_X_y=True)
layers = keras.layers
model = keras.Sequential([layers.Dense(32, activation="relu"), layers.Dense(10, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x / 16, y, epochs=4, validation_split=0.2, verbose=2)
"""

LIGHTNING = """
import lightning, mlflow, torch
from lightning.pytorch.loggers import MLFlowLogger
from torch.utils.data import DataLoader, TensorDataset

class Line(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, index):
        x, y = batch
        loss = ((self.layer(x) - y) ** 2).mean()
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

mlflow.set_experiment("lines")
x = torch.linspace(-1, 1, 64).reshape(-1, 1)
logger = MLFlowLogger(experiment_name="lines", run_name="by-logger")
trainer = lightning.Trainer(max_epochs=5, logger=logger, log_every_n_steps=1, enable_progress_bar=False,
                            enable_checkpointing=False, enable_model_summary=False)
trainer.fit(Line(), DataLoader(TensorDataset(x, 3 * x), batch_size=16))
print("run", logger.run_id)
"""

LAPTOP = """
import mlflow, numpy
from mlflow import MlflowClient
from sklearn.linear_model import LogisticRegression

mlflow.set_experiment("laptop")
x, y = numpy.array([[0.0], [1.0], [2.0], [3.0]]), numpy.array([0, 0, 1, 1])
with mlflow.start_run(run_name="first") as run:
    mlflow.log_params({"c": 1.0, "kind": "logistic"})
    for step in range(10):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_text("hello", "notes/hello.txt")
    model = LogisticRegression().fit(x, y)
    info = mlflow.sklearn.log_model(model, name="model", input_example=x, registered_model_name="steps")
client = MlflowClient()
client.set_registered_model_alias("steps", "best", 1)
again = mlflow.sklearn.load_model("models:/steps@best")
assert (again.predict(x) == model.predict(x)).all()
assert (mlflow.pyfunc.load_model(info.model_uri).predict(x) == model.predict(x)).all()
assert client.get_model_version_by_alias("steps", "best").run_id == run.info.run_id
history = client.get_metric_history(run.info.run_id, "loss")
assert [m.value for m in history] == [1 / (n + 1) for n in range(10)]
assert mlflow.artifacts.load_text(f"runs:/{run.info.run_id}/notes/hello.txt") == "hello"
good = "metrics.loss < 0.2 and params.kind = 'logistic'"
found = mlflow.search_runs(experiment_names=["laptop"], filter_string=good)
assert list(found.run_id) == [run.info.run_id], found
assert mlflow.search_runs(experiment_names=["laptop"], filter_string="metrics.loss > 0.2").empty
print("done", run.info.run_id)
"""


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    """A server with an environment that has MLflow and the frameworks."""
    server = make_module_server()
    client = server.client()
    client.environments.create("mlflow", requirements=REQUIREMENTS)
    server.run("env", "build", "mlflow", timeout_s=900)
    return server


def job(server: Server, script: str, name: str, folder: Path) -> Job:
    """The script as a job, once it succeeded."""
    (folder / f"{name}.py").write_text(textwrap.dedent(script))
    server.run("run", "-e", "mlflow", "--name", name, "--memory", "6GB", "--no-capture", f"{name}.py",
               cwd=folder, timeout_s=300)  # fmt: skip
    found = server.client().jobs.get(name)
    assert found.state is JobState.SUCCEEDED, server.log(found).decode()
    return found


def metrics(server: Server, run: str) -> dict[str, Any]:
    return {metric.key: metric for metric in server.client().runs.get(run).metrics}


def test_autolog_of_scikit_learn_fills_the_jobs_run(server: Server, tmp_path: Path) -> None:
    done = job(server, SKLEARN, "forest", tmp_path)
    run = server.client().runs.get(done.run)
    assert run.params["n_estimators"] == "20"
    found = metrics(server, done.run)
    assert found["training_accuracy_score"].last == 1.0
    assert 0.9 < next(m.last for key, m in found.items() if key.endswith("_x_test")) < 1.0
    files = [entry.path for entry in server.client().runs.artifacts(done.run).files]
    assert any(path.endswith("estimator.html") for path in files), files


def test_autolog_of_keras_logs_every_epoch(server: Server, tmp_path: Path) -> None:
    done = job(server, KERAS, "dense", tmp_path)
    run = server.client().runs.get(done.run)
    assert run.params["epochs"] == "4"
    for key in ("loss", "accuracy", "val_loss", "val_accuracy"):
        points = server.client().runs.metric(done.run, key).points
        assert [point.step for point in points] == [0, 1, 2, 3], key


def test_lightnings_mlflow_logger_makes_a_run_of_its_own_in_the_project(
    server: Server, tmp_path: Path
) -> None:
    done = job(server, LIGHTNING, "line", tmp_path)
    run_id = server.log(done).decode().split("run ")[-1].strip()
    run = server.client().runs.get(run_id)
    assert (run.experiment, run.name, run.state) == ("lines", "by-logger", "finished")
    losses = [point.value for point in server.client().runs.metric(run_id, "train_loss").points]
    assert len(losses) == 20
    assert losses[-1] < losses[0] / 2


def test_a_laptop_with_a_token_does_everything(server: Server, tmp_path: Path) -> None:
    built = server.client().environments.get("mlflow").digest
    python = server.home / "environments" / str(built) / "bin" / "python"
    (tmp_path / "laptop.py").write_text(LAPTOP)
    variables = {
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_TRACKING_TOKEN": server.token,
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [python, "laptop.py"],
        cwd=tmp_path,
        env=server.environ(**variables),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    run = server.client().runs.get(done.stdout.decode().split()[-1])
    assert (run.experiment, run.name, run.state) == ("laptop", "first", "finished")
    model = server.client().models.get("steps")
    assert (model.versions, model.aliases) == ([1], {"best": 1})
