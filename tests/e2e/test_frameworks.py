"""Training on two processes with each framework: job files that differ in environment and distribution.

The programs in ``training/`` train a small net on scikit-learn's digits, data-parallel; each process prints
the accuracy of the net that it ends with and a digest of its weights.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from real_server import MakeServer, Server

from nacre.plugins.environments.machine import find_python
from nacre.schema.jobs import Job, JobState

pytestmark = [pytest.mark.slow, pytest.mark.framework, pytest.mark.timeout(1200)]

JOB = """
commands: python train.py
replicas: 2
resources: {cpu: 1, memory: 3GB, shm_size: 64MB}
max_duration: 10m
"""
TRAINING = Path(__file__).with_name("training")
EPOCHS = 12

_SAID = re.compile(r"^process (\d) of (\d): accuracy ([\d.]+), weights ([0-9a-f]{64})$", re.MULTILINE)


class Said(NamedTuple):
    """What a process said at its end."""

    rank: int
    processes: int
    accuracy: float
    weights: str


@pytest.fixture(scope="module")
def server(make_module_server: MakeServer) -> Server:
    return make_module_server()


def train(
    server: Server, folder: Path, framework: str, model: str, job: str = JOB
) -> tuple[Job, list[str]]:
    """Run the framework's program as a job, and check what came of it: the job, and its replicas' logs.

    Args:
        model: the file that it leaves.
        job: the job file but for environment and distribution.
    """
    server.run("env", "build", framework, timeout_s=900)
    shutil.copytree(TRAINING / framework, folder, dirs_exist_ok=True)
    text = f"{job}\nenvironment: {framework}\ndistribution: {{type: {framework}}}\n"
    (folder / "job.yaml").write_text(text)
    said = server.run("--output", "json", "run", "--detach", "-f", "job.yaml", cwd=folder).stdout
    client = server.client()
    ended = server.wait(json.loads(said)["name"], timeout_s=300)
    ranks = [replica.rank for replica in ended.attempts[-1].replicas]
    logs = [b"".join(client.jobs.logs(ended.id, replica=rank)).decode() for rank in ranks]
    assert ended.state is JobState.SUCCEEDED, f"{ended.message}\n" + "\n".join(logs)
    assert len(ended.attempts) == 1

    heard = [Said(int(r), int(n), float(a), w) for log in logs for r, n, a, w in _SAID.findall(log)]
    assert sorted(one.rank for one in heard) == [0, 1], logs
    assert {one.processes for one in heard} == {2}
    assert len({one.weights for one in heard}) == 1  # they learned together
    assert heard[0].accuracy > 0.9

    assert ended.run is not None
    accuracy = [point.value for point in client.runs.metric(ended.run, "accuracy").points]
    assert accuracy == [pytest.approx(heard[0].accuracy, abs=0.001)]
    losses = client.runs.metric(
        ended.run, "loss"
    ).points  # of one process, or each step would be there twice
    assert [point.step for point in losses] == list(range(EPOCHS))
    assert losses[-1].value is not None
    assert losses[0].value is not None
    assert losses[-1].value < losses[0].value / 2
    assert model in [file.path for file in client.runs.artifacts(ended.run).files]
    return ended, logs


def test_pytorch(server: Server, tmp_path: Path) -> None:
    _, logs = train(server, tmp_path, "pytorch", "model.pt")
    assert [f"process {rank} of 2" in log for rank, log in enumerate(logs)] == [True, True]


def test_pytorch_by_two_processes_of_one_replica(server: Server, tmp_path: Path) -> None:
    job = JOB.replace("replicas: 2", "processes_per_replica: 2").replace("cpu: 1", "cpu: 2")
    ended, _ = train(server, tmp_path, "pytorch", "model.pt", job)
    assert len(ended.attempts[0].replicas) == 1


@pytest.mark.parametrize("shape", ["replicas: 2", "processes_per_replica: 2"])
def test_torchrun_without_options(server: Server, tmp_path: Path, shape: str) -> None:
    job = JOB.replace("python train.py", "torchrun train.py").replace("replicas: 2", shape)
    train(server, tmp_path, "pytorch", "model.pt", job)


def test_tensorflow(server: Server, tmp_path: Path) -> None:
    train(server, tmp_path, "tensorflow", "model.keras")


def test_jax(server: Server, tmp_path: Path) -> None:
    train(server, tmp_path, "jax", "model.npz")


def test_keras(server: Server, tmp_path: Path) -> None:
    train(server, tmp_path, "keras", "model.keras")


def test_mxnet(server: Server, tmp_path: Path) -> None:
    if find_python("3.8", os.environ) is None:
        pytest.skip("there is no Python 3.8 on this machine")
    train(server, tmp_path, "mxnet", "model.params")
