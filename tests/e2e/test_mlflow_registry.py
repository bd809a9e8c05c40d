"""Models that MLflow's client registers are converted, deployed and evaluated like any other."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from real_server import MakeServer, Server
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from nacre.schema.endpoints import EndpointDeploy, EndpointState
from nacre.schema.models import EvaluationCreate

pytestmark = [pytest.mark.slow, pytest.mark.framework]

SKLEARN = """
import mlflow
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

x, y = load_digits(return_X_y=True)
model = LogisticRegression(max_iter=500).fit(x[:1500], y[:1500])
with mlflow.start_run():
    for form in ("skops", "pickle", "cloudpickle"):
        made = mlflow.sklearn.log_model(
            model, name=f"digits-{form}", serialization_format=form, registered_model_name="Digits (MLflow)"
        )
        print(form, made.registered_model_version)
"""

TORCH = """
import mlflow, torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
example = torch.randn(2, 64).numpy()
signature = mlflow.models.infer_signature(example, model(torch.from_numpy(example)).detach().numpy())
with mlflow.start_run():
    mlflow.pytorch.log_model(
        model, name="net", signature=signature, serialization_format="pickle", registered_model_name="net"
    )
"""


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    return make_module_server()


def on_a_laptop(server: Server, folder: Path, script: str, *requirements: str) -> None:
    """Run a script with MLflow's client and a token, in an environment of these packages."""
    name = f"laptop-{requirements[0].split('=')[0]}"
    needs = "\n".join(["mlflow==3.17.2", *requirements])
    server.client().environments.create(name, requirements=needs)
    server.run("env", "build", name, timeout_s=900)
    built = server.client().environments.get(name).digest
    python = server.home / "environments" / str(built) / "bin" / "python"
    variables = {
        "MLFLOW_TRACKING_URI": server.url,
        "MLFLOW_TRACKING_TOKEN": server.token,
        "HOME": str(folder),
    }
    done = subprocess.run(
        [python, "-c", script],
        cwd=folder,
        env=server.environ(**variables),
        capture_output=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr.decode()[-3000:]


def test_scikit_learn_in_each_of_its_formats(server: Server, tmp_path: Path) -> None:
    on_a_laptop(server, tmp_path, SKLEARN, "scikit-learn", "skops")
    nacre = server.client()
    for number in (1, 2, 3):
        found = nacre.models.wait("Digits (MLflow)", str(number), timeout_s=300)
        assert found.conversion == "ready", found.message
    x, y = load_digits(return_X_y=True)
    np.savez(tmp_path / "held-out.npz", x=x[1500:].astype(np.float32), y=y[1500:])
    server.run("data", "push", str(tmp_path / "held-out.npz"), "--name", "held-out")
    measured = nacre.evaluations.create("Digits (MLflow)", "1", EvaluationCreate(data="held-out"))
    result = nacre.evaluations.wait(measured.id, timeout_s=120)
    assert result.accuracy is not None, result.message
    assert result.accuracy > 0.85
    server.run("deploy", "models:/Digits (MLflow)/3", timeout_s=120)
    endpoint = nacre.endpoints.get("digits-mlflow")
    assert endpoint.state is EndpointState.READY
    asked = {"name": "x", "datatype": "FP32", "shape": [2, 64], "data": x[1500:1502].ravel().tolist()}
    answer = nacre.endpoints.infer(endpoint, {"inputs": [asked]})
    same = LogisticRegression(max_iter=500).fit(x[:1500], y[:1500])
    assert answer["outputs"][0]["data"] == same.predict(x[1500:1502]).tolist()


def test_a_pytorch_module(server: Server, tmp_path: Path) -> None:
    on_a_laptop(server, tmp_path, TORCH, "torch==2.13.0")
    nacre = server.client()
    found = nacre.models.wait("net", "1", timeout_s=300)
    assert (found.framework, found.conversion) == ("pytorch", "ready"), found.message
    nacre.endpoints.deploy("net", EndpointDeploy(model="net"))
    assert nacre.endpoints.wait("net", timeout_s=60).state is EndpointState.READY
