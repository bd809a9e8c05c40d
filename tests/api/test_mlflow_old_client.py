"""A client of MLflow 2, in an environment of its own, on the same server as one of MLflow 3."""

from __future__ import annotations

import json
import os
import subprocess
import textwrap
from pathlib import Path

import pytest
from tests.database_kit import sqlite_in
from tests.mlflow_edge_kit import edge_on
from tests.uv_python import python_with

pytestmark = pytest.mark.slow

SCRIPT = """
import json
import mlflow
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

assert mlflow.__version__.startswith("2."), mlflow.__version__
experiment = mlflow.set_experiment("old")
with mlflow.start_run(run_name="outer", tags={"a": "b"}) as run:
    mlflow.log_param("lr", 0.1)
    mlflow.log_params({"x": 1, "y": "z"})
    for step in range(10):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    mlflow.log_metrics({"nan": float("nan"), "inf": float("inf")})
    mlflow.set_tag("c", "d")
    with mlflow.start_run(nested=True):
        mlflow.log_metric("inner", 1)
client = MlflowClient()
points = [Metric("m", n, n, n) for n in range(1000)]
client.log_batch(run.info.run_id, points, [Param("p", "1")], [RunTag("t", "1")])
try:
    client.log_param(run.info.run_id, "lr", 5)
except mlflow.exceptions.MlflowException as error:
    refused = str(error)
found = client.get_run(run.info.run_id)
asked = "metrics.loss < 0.5 and params.lr = '0.1'"
fitting = client.search_runs([experiment.experiment_id], asked, order_by=["metrics.loss"])
client.set_experiment_tag(experiment.experiment_id, "k", "v")
client.delete_run(run.info.run_id)
client.restore_run(run.info.run_id)
print(json.dumps({
    "status": found.info.status, "name": found.info.run_name, "params": found.data.params,
    "loss": found.data.metrics["loss"], "nan": str(found.data.metrics["nan"]), "refused": refused,
    "history": len(client.get_metric_history(run.info.run_id, "m")),
    "found": [r.info.run_name for r in fitting],
    "experiments": sorted(e.name for e in client.search_experiments()),
}))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter that has mlflow-skinny 2.22, from uv's cache when it was there before."""
    return python_with(tmp_path_factory.mktemp("old") / "env", "mlflow-skinny==2.22.0")


def test_the_fluent_api_of_mlflow_2(python: Path, tmp_path: Path) -> None:
    database = sqlite_in(tmp_path)
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    with edge_on(database, tmp_path) as edge:
        done = subprocess.run(
            [python, "script.py"],
            cwd=tmp_path,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "MLFLOW_TRACKING_URI": edge.url,
                "MLFLOW_TRACKING_TOKEN": edge.token("ann"),
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    database.close()
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert "Changing param values is not allowed" in told.pop("refused")
    assert told == {
        "status": "FINISHED",
        "name": "outer",
        "params": {"lr": "0.1", "x": "1", "y": "z", "p": "1"},
        "loss": 0.1,
        "nan": "nan",
        "history": 1000,
        "found": ["outer"],
        "experiments": ["Default", "old"],
    }
