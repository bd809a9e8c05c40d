"""MLflow's client inside a job: its run is the job's, runs that it makes are its own, others' are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from tests.mlflow_edge_kit import Edge, edge_on, environment

from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.domain.identity import Caller
from nacre.schema.runs import RunCreate, RunState
from nacre.services.tokens import WORK_SCOPES


@dataclass
class Job:
    """A job that is running, and what its program is told."""

    run: str
    token: str
    owner: Caller
    edge: Edge


@pytest.fixture
def job(database: Database, tmp_path: Path) -> Iterator[Job]:
    with edge_on(database, tmp_path) as edge:
        owner = edge.caller(edge.token("ann"))
        with database.write() as session:
            run = edge.runs.create_for_job(
                session,
                project_id=owner.project_id,
                user_id=owner.user_id,
                job_id="job_1",
                job_name="train",
            )
            session.add(
                AttemptRow(
                    id="att_1",
                    project_id=owner.project_id,
                    kind="job",
                    subject_id="job_1",
                    number=1,
                    run_id=run,
                    allocated_at=edge.identity.clock.now(),
                    state="running",
                    cpu=1.0,
                    memory=1,
                )
            )
            token, _ = edge.identity.tokens.issue(
                session,
                user_id=owner.user_id,
                kind="attempt",
                name="job",
                scopes=WORK_SCOPES,
                project_id=owner.project_id,
                attempt_id="att_1",
            )
        variables = {
            "MLFLOW_TRACKING_URI": edge.url,
            "MLFLOW_TRACKING_TOKEN": token,
            "MLFLOW_RUN_ID": run,
            "MLFLOW_EXPERIMENT_ID": None,
            "MLFLOW_EXPERIMENT_NAME": None,
            "MLFLOW_WORKSPACE": "ann",
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        }
        with environment(**variables):
            mlflow.set_tracking_uri(edge.url)
            yield Job(run, token, owner, edge)
            while mlflow.active_run() is not None:
                mlflow.end_run()
            mlflow.set_tracking_uri(None)
            mlflow.tracking.fluent._active_experiment_id = None


def test_a_script_logs_to_its_jobs_run_which_goes_on(job: Job) -> None:
    with mlflow.start_run() as active:
        mlflow.log_metric("loss", 1)
        mlflow.set_tag("x", "y")
    assert active.info.run_id == job.run
    found = job.edge.runs.get(job.owner, job.run)
    assert (found.state, found.ended_at) == (RunState.RUNNING, None)
    assert found.metrics[0].last == 1


def test_the_end_that_a_client_tells_is_not_the_jobs(job: Job) -> None:
    client = MlflowClient()
    for status in ("FAILED", "KILLED", "FINISHED"):
        client.set_terminated(job.run, status)
        assert client.get_run(job.run).info.status == "RUNNING"
    client.update_run(job.run, name="better name")
    assert job.edge.runs.get(job.owner, job.run).name == "better name"


def test_a_script_that_names_an_experiment_takes_its_jobs_run_there(job: Job) -> None:
    mlflow.set_experiment("MNIST")
    with mlflow.start_run() as active:
        mlflow.log_metric("loss", 1)
    assert active.info.run_id == job.run
    assert job.edge.runs.get(job.owner, job.run).experiment == "MNIST"


def test_nested_and_later_runs_are_the_jobs_to_write_to(job: Job) -> None:
    with mlflow.start_run():
        for depth in (1, 2):
            with mlflow.start_run(nested=True, run_name=f"depth {depth}"):
                mlflow.log_param("depth", depth)
    with mlflow.start_run() as second:
        mlflow.log_metric("later", 1)
    assert second.info.run_id != job.run
    names = {run.name: run for run in job.edge.runs.list(job.owner).items}
    assert {"depth 1", "depth 2"} <= set(names)
    assert names["depth 1"].tags["mlflow.parentRunId"] == job.run
    assert names["depth 1"].state is RunState.FINISHED


def test_runs_of_others_are_read_and_not_written(job: Job) -> None:
    others = job.edge.runs.create(job.owner, RunCreate(name="other")).id
    client = MlflowClient()
    assert client.get_run(others).info.run_name == "other"
    calls = (
        lambda: client.log_metric(others, "m", 1),
        lambda: client.log_param(others, "p", 1),
        lambda: client.set_tag(others, "t", 1),
        lambda: client.delete_tag(others, "t"),
        lambda: client.set_terminated(others),
        lambda: client.delete_run(others),
        lambda: client.log_inputs(others, []),
    )
    for call in calls:
        with pytest.raises(MlflowException, match="job's own run") as caught:
            call()
        assert caught.value.error_code == "PERMISSION_DENIED"


def test_a_job_makes_and_tags_experiments_and_does_not_delete_them(job: Job) -> None:
    client = MlflowClient()
    number = client.create_experiment("made by a job")
    client.set_experiment_tag(number, "k", "v")
    for call in (
        lambda: client.delete_experiment(number),
        lambda: client.rename_experiment(number, "x"),
        lambda: client.delete_experiment_tag(number, "k"),
    ):
        with pytest.raises(MlflowException, match="rename or delete"):
            call()


def test_another_project_is_out_of_reach(job: Job) -> None:
    job.edge.token("bob")
    with environment(MLFLOW_WORKSPACE="bob"), pytest.raises(MlflowException, match="no such project"):
        MlflowClient().search_experiments()
    with environment(MLFLOW_WORKSPACE=None):
        assert MlflowClient().get_run(job.run).info.run_id == job.run
