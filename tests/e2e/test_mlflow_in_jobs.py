"""MLflow's client in a job without network, unchanged: its address is on loopback, its run is the job's."""

from __future__ import annotations

import pytest
from real_server import MakeServer, Server

pytestmark = [pytest.mark.slow]

FLUENT = """
import mlflow, os, time
assert "MLFLOW_WORKSPACE" not in os.environ
with open("note.txt", "w") as file:
    file.write("kept")
with mlflow.start_run() as run:
    assert run.info.run_id == os.environ["NACRE_RUN_ID"], run.info
    mlflow.log_params({"lr": 0.1, "depth": 3})
    for step in range(3):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
        print(f"step={step} loss={1 / (step + 1)} acc={step / 10}")
    mlflow.log_artifact("note.txt", "notes")
    mlflow.set_tag("kind", "fluent")
"""

ANOTHER = """
import mlflow, os, subprocess, sys
mlflow.set_experiment("another")
mlflow.log_metric("inside", 1.0)
run = mlflow.active_run()
print("same", run.info.run_id == os.environ["NACRE_RUN_ID"])
mlflow.end_run()
with mlflow.start_run(run_name="second"):
    mlflow.log_metric("second", 2.0)
code = "import mlflow; mlflow.start_run(run_name='third'); mlflow.log_metric('third', 3.0)"
subprocess.run([sys.executable, "-c", code], check=True)
"""


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    made = make_module_server()
    made.client().environments.create("mlflow", requirements="mlflow-skinny==3.17.2")
    made.run("env", "build", "mlflow", timeout_s=600)
    return made


def submit(server: Server, script: str, **spec: object) -> str:
    resources = {"cpu": 0.5, "memory": "1GB", "shm_size": "16MB"}
    job = server.submit({"main.py": script}, environment="mlflow", resources=resources, **spec)
    ended = server.wait(job, timeout_s=180)
    assert ended.state == "succeeded", server.log(job).decode()
    return ended.run


def test_the_fluent_interface_logs_to_the_jobs_own_run(server: Server) -> None:
    run = submit(server, FLUENT, experiment_name="bridged")
    client = server.client()
    found = client.runs.get(run)
    assert found.experiment == "bridged"
    assert found.state == "finished"
    assert found.params == {"lr": "0.1", "depth": "3"}
    assert found.tags["kind"] == "fluent"
    loss = client.runs.metric(run, "loss")
    assert [(p.step, p.value) for p in loss.points] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert [p.value for p in client.runs.metric(run, "acc").points] == [0.0, 0.1, 0.2]  # printed only
    assert "notes/note.txt" in [file.path for file in client.runs.artifacts(run).files]


def test_an_experiment_that_the_program_chooses_takes_the_jobs_run_in(server: Server) -> None:
    run = submit(server, ANOTHER, experiment_name="first-choice")
    client = server.client()
    assert client.runs.get(run).experiment == "another"
    names = {found.name: found for found in client.runs.list(experiment="another")}
    assert {"second", "third"} <= set(names)
    assert [point.value for point in client.runs.metric(run, "inside").points] == [1.0]


def test_with_capture_off_the_choice_is_respected_too(server: Server) -> None:
    run = submit(server, ANOTHER, experiment_name="first-choice", capture="off")
    assert server.client().runs.get(run).experiment == "another"
