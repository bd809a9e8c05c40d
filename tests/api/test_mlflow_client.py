"""MLflow's own client, unmodified, against Nacre: what a script logs is there, and found again."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag, ViewType
from mlflow.exceptions import MlflowException, RestException
from tests.mlflow_edge_kit import Edge, edge_on, environment

from nacre.db.connect import Database


@pytest.fixture
def edge(database: Database, tmp_path: Path) -> Iterator[Edge]:
    with edge_on(database, tmp_path) as found:
        yield found


@pytest.fixture
def client(edge: Edge) -> Iterator[MlflowClient]:
    """The client of ``ann``, told only where the server is and her token."""
    variables = {
        "MLFLOW_TRACKING_URI": edge.url,
        "MLFLOW_TRACKING_TOKEN": edge.token("ann"),
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_EXPERIMENT_NAME": None,
        "MLFLOW_EXPERIMENT_ID": None,
        "MLFLOW_RUN_ID": None,
        "MLFLOW_WORKSPACE": None,
    }
    with environment(**variables):
        mlflow.set_tracking_uri(edge.url)
        yield MlflowClient()
        while mlflow.active_run() is not None:
            mlflow.end_run()
        mlflow.set_tracking_uri(None)
        mlflow.tracking.fluent._active_experiment_id = None


@pytest.fixture
def run(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


class TestFluent:
    """What most scripts call."""

    def test_a_script_of_a_tutorial(self, client: MlflowClient) -> None:
        experiment = mlflow.set_experiment("MNIST/été")
        with mlflow.start_run(run_name="first", tags={"stage": "try"}, description="a note") as active:
            mlflow.log_param("lr", 0.1)
            mlflow.log_params({"layers": 3, "act": "relu"})
            for step in range(5):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
            mlflow.log_metrics({"acc": 0.9, "f1": 0.8}, step=4)
            mlflow.set_tags({"a": 1, "b": "two"})
            with mlflow.start_run(nested=True, run_name="child"):
                mlflow.log_metric("inner", 1)
        found = client.get_run(active.info.run_id)
        assert found.info.status == "FINISHED"
        assert found.info.run_name == "first"
        assert found.info.experiment_id == experiment.experiment_id
        assert found.info.end_time >= found.info.start_time
        assert found.data.params == {"lr": "0.1", "layers": "3", "act": "relu"}
        assert found.data.metrics == {"loss": 0.2, "acc": 0.9, "f1": 0.8}
        assert (
            found.data.tags.items()
            >= {
                "stage": "try",
                "a": "1",
                "mlflow.runName": "first",
                "mlflow.note.content": "a note",
            }.items()
        )
        history = client.get_metric_history(active.info.run_id, "loss")
        assert [(m.step, m.value) for m in history] == [(n, 1 / (n + 1)) for n in range(5)]
        [child] = client.search_runs(
            [experiment.experiment_id], f"tags.mlflow.parentRunId = '{active.info.run_id}'"
        )
        assert child.info.run_name == "child"

    def test_a_failing_script_leaves_a_failed_run(self, client: MlflowClient) -> None:
        with pytest.raises(ZeroDivisionError), mlflow.start_run() as active:
            raise ZeroDivisionError
        assert client.get_run(active.info.run_id).info.status == "FAILED"

    def test_a_run_can_be_gone_on_with(self, client: MlflowClient, run: str) -> None:
        client.set_terminated(run)
        with mlflow.start_run(run_id=run):
            assert client.get_run(run).info.status == "RUNNING"
            mlflow.log_metric("more", 1)
        assert client.get_run(run).data.metrics == {"more": 1}

    def test_logging_in_the_background(self, client: MlflowClient) -> None:
        with mlflow.start_run() as active:
            for step in range(300):
                mlflow.log_metric("m", step, step=step, synchronous=False)
            mlflow.flush_async_logging()
        assert len(client.get_metric_history(active.info.run_id, "m")) == 300

    def test_without_an_experiment_runs_are_in_the_default_one(self, client: MlflowClient) -> None:
        with mlflow.start_run() as active:
            pass
        assert active.info.experiment_id == "0"
        assert client.get_experiment("0").name == "Default"
        assert active.info.artifact_uri == f"mlflow-artifacts:/0/{active.info.run_id}/artifacts"


class TestExperiments:
    def test_make_read_and_search(self, client: MlflowClient) -> None:
        number = client.create_experiment("My Experiment", tags={"key1": "val1", "key2": ""})
        found = client.get_experiment(number)
        assert (found.name, found.tags, found.lifecycle_stage) == (
            "My Experiment",
            {"key1": "val1", "key2": ""},
            "active",
        )
        assert found.artifact_location == f"mlflow-artifacts:/{number}"
        named = client.get_experiment_by_name("My Experiment")
        assert named is not None
        assert named.experiment_id == number
        assert client.get_experiment_by_name("nobody's") is None
        assert {e.name for e in client.search_experiments()} == {"Default", "My Experiment"}

    def test_a_name_is_taken_once(self, client: MlflowClient) -> None:
        client.create_experiment("a")
        for name in ("a", "Default"):
            with pytest.raises(RestException, match="already exists") as caught:
                client.create_experiment(name)
            assert caught.value.error_code == "RESOURCE_ALREADY_EXISTS"

    def test_rename_delete_restore(self, client: MlflowClient) -> None:
        number = client.create_experiment("BadName")
        run = client.create_run(number).info.run_id
        client.rename_experiment(number, "GoodName")
        assert client.get_experiment(number).name == "GoodName"
        client.delete_experiment(number)
        assert client.get_experiment(number).lifecycle_stage == "deleted"
        assert client.get_run(run).info.lifecycle_stage == "deleted"
        with pytest.raises(MlflowException, match="must be in the 'active' state"):
            client.create_run(number)
        with pytest.raises(MlflowException, match="already exists in deleted state"):
            client.create_experiment("GoodName")
        with pytest.raises(MlflowException, match="non-active"):
            client.rename_experiment(number, "other")
        assert [e.name for e in client.search_experiments(view_type=ViewType.DELETED_ONLY)] == ["GoodName"]
        assert len(client.search_experiments(view_type=ViewType.ALL)) == 2
        client.restore_experiment(number)
        assert client.get_run(run).info.lifecycle_stage == "active"

    def test_tags(self, client: MlflowClient) -> None:
        number = client.create_experiment("tagged")
        client.set_experiment_tag(number, "dataset", "imagenet1K")
        client.set_experiment_tag(number, "dataset", "birdbike")
        client.set_experiment_tag("0", "multi line", "a\nb")
        assert client.get_experiment(number).tags == {"dataset": "birdbike"}
        client.delete_experiment_tag(number, "dataset")
        assert client.get_experiment(number).tags == {}
        with pytest.raises(MlflowException, match="No tag with name: dataset"):
            client.delete_experiment_tag(number, "dataset")

    def test_search_filters_sorts_and_pages(self, client: MlflowClient) -> None:
        for name, tags in (("a", {"key": "value"}), ("ab", {"key": "vaLue"}), ("Abc", {})):
            client.create_experiment(name, tags=tags)

        def names(text: str) -> list[str]:
            return [e.name for e in client.search_experiments(filter_string=text, order_by=["name"])]

        assert names("attribute.name = 'a'") == ["a"]
        assert names("name = 'Default'") == ["Default"]
        assert names("name != 'a'") == ["Abc", "Default", "ab"]
        assert names("name LIKE 'a%'") == ["a", "ab"]
        assert names("name ILIKE 'de%'") == ["Default"]
        assert names("tag.key = 'value'") == ["a"]
        assert names("tags.key != 'value'") == ["ab"]
        assert names("tag.key ILIKE '%alu%'") == ["a", "ab"]
        assert names("experiment_id = '0'") == ["Default"]
        assert names("creation_time > 0 and tag.key IS NULL") == ["Abc", "Default"]
        assert [e.name for e in client.search_experiments(order_by=["name DESC"])] == [
            "ab",
            "a",
            "Default",
            "Abc",
        ]
        first = client.search_experiments(max_results=3, order_by=["name"])
        second = client.search_experiments(max_results=3, order_by=["name"], page_token=first.token)
        assert [e.name for e in [*first, *second]] == ["Abc", "Default", "a", "ab"]
        assert second.token is None


class TestRuns:
    def test_what_a_client_says_of_a_run_is_kept(self, client: MlflowClient) -> None:
        number = client.create_experiment("Run A Lot")
        tags = {
            "mlflow.user": "username",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.name": "Hello",
            "mlflow.source.git.commit": "abc",
            "mlflow.parentRunId": "7",
            "my": "tag",
        }
        made = client.create_run(number, start_time=456, run_name="my name", tags=tags)
        fetched = client.get_run(made.info.run_id)
        for run in (made, fetched, *client.search_runs([number])):
            assert (run.info.user_id, run.info.start_time, run.info.run_name) == (
                "username",
                456,
                "my name",
            )
            assert run.data.tags == {**tags, "mlflow.runName": "my name"}
            assert run.info.status == "RUNNING"
            assert run.info.end_time is None

    def test_a_name_is_made_up_and_can_be_changed(self, client: MlflowClient, run: str) -> None:
        assert client.get_run(run).info.run_name
        client.update_run(run, name="second")
        client.set_tag(run, "mlflow.runName", "third")
        found = client.get_run(run)
        assert (found.info.run_name, found.data.tags["mlflow.runName"]) == ("third", "third")
        client.log_batch(run, tags=[RunTag("mlflow.runName", "fourth"), RunTag("x", "y")])
        assert client.get_run(run).info.run_name == "fourth"
        with pytest.raises(MlflowException, match="different values"):
            client.create_run("0", run_name="a", tags={"mlflow.runName": "b"})

    def test_end(self, client: MlflowClient, run: str) -> None:
        client.set_terminated(run, "KILLED", end_time=1234)
        found = client.get_run(run).info
        assert (found.status, found.end_time) == ("KILLED", 1234)
        client.update_run(run, status="RUNNING")
        assert client.get_run(run).info.end_time is None

    def test_delete_and_restore(self, client: MlflowClient, run: str) -> None:
        client.delete_run(run)
        assert client.get_run(run).info.lifecycle_stage == "deleted"
        assert client.search_runs(["0"]) == []
        assert [r.info.run_id for r in client.search_runs(["0"], run_view_type=ViewType.DELETED_ONLY)] == [
            run
        ]
        calls = (
            lambda: client.log_metric(run, "m", 1),
            lambda: client.log_param(run, "p", 1),
            lambda: client.set_tag(run, "t", 1),
            lambda: client.delete_tag(run, "t"),
            lambda: client.log_batch(run, metrics=[Metric("m", 1, 0, 0)]),
            lambda: client.set_terminated(run),
        )
        for call in calls:
            with pytest.raises(MlflowException, match=f"The run {run} must be in the 'active' state"):
                call()
        client.restore_run(run)
        client.log_metric(run, "m", 1)
        assert client.get_run(run).data.metrics == {"m": 1}

    def test_tags_go(self, client: MlflowClient, run: str) -> None:
        client.set_tag(run, "taggity", "do-dah")
        client.delete_tag(run, "taggity")
        assert "taggity" not in client.get_run(run).data.tags
        with pytest.raises(MlflowException, match="No tag with name: taggity"):
            client.delete_tag(run, "taggity")
        with pytest.raises(MlflowException, match=r"Run .+ not found"):
            client.delete_tag("fake_run_id", "taggity")

    def test_data_sets_that_a_run_read(self, client: MlflowClient, run: str, edge: Edge) -> None:
        given = mlflow.entities.DatasetInput(
            mlflow.entities.Dataset("mnist", "d1", "local", '{"uri": "x"}', schema="s"),
            [mlflow.entities.InputTag("mlflow.data.context", "train")],
        )
        for _ in range(2):
            client.log_inputs(run, [given])
        [found] = client.get_run(run).inputs.dataset_inputs
        assert (found.dataset.name, found.dataset.digest, found.dataset.schema) == ("mnist", "d1", "s")
        assert found.dataset.profile is None
        assert [(t.key, t.value) for t in found.tags] == [("mlflow.data.context", "train")]
        for text in ("dataset.name = 'mnist'", "datasets.context LIKE 'tr%'", "dataset.digest IN ('d1')"):
            assert [r.info.run_id for r in client.search_runs(["0"], text)] == [run]
        assert client.search_runs(["0"], "dataset.context = 'test'") == []
        token = os.environ["MLFLOW_TRACKING_TOKEN"]
        with edge.http(token) as http:
            listed = http.post("experiments/search-datasets", json={"experiment_ids": ["0"]}).json()
        summary = {"experiment_id": "0", "name": "mnist", "digest": "d1", "context": "train"}
        assert listed == {"dataset_summaries": [summary]}


class TestMetrics:
    def test_values_that_json_lacks(self, client: MlflowClient, run: str) -> None:
        client.log_metric(run, "nan", math.nan)
        client.log_metric(run, "inf", math.inf)
        client.log_batch(run, metrics=[Metric("-inf", -math.inf, 5, 1), Metric("nan2", math.nan, 5, 1)])
        found = client.get_run(run).data.metrics
        assert math.isnan(found["nan"])
        assert math.isnan(found["nan2"])
        assert (found["inf"], found["-inf"]) == (1.7976931348623157e308, -1.7976931348623157e308)
        assert math.isnan(client.get_metric_history(run, "nan")[0].value)
        assert client.get_metric_history(run, "inf")[0].value == 1.7976931348623157e308

    def test_steps_out_of_order_and_negative(self, client: MlflowClient, run: str) -> None:
        for step, ts in ((5, 50), (-3, 10), (5, 60), (0, 70)):
            client.log_metric(run, "m", step * 1.5, timestamp=ts, step=step)
        history = client.get_metric_history(run, "m")
        assert [(m.timestamp, m.step) for m in history] == [(10, -3), (50, 5), (60, 5), (70, 0)]
        assert client.get_run(run).data.metrics["m"] == 7.5

    def test_different_values_at_one_step_all_stay(self, client: MlflowClient, run: str) -> None:
        for value in (3.0, 1.0, 2.0, 1.0):
            client.log_metric(run, "m", value, timestamp=7, step=1)
        assert [m.value for m in client.get_metric_history(run, "m")] == [1.0, 2.0, 3.0]

    def test_times_in_seconds_are_times(self, client: MlflowClient, run: str) -> None:
        client.log_metric(run, "m", 1, timestamp=1_700_000_000, step=0)
        assert client.get_metric_history(run, "m")[0].timestamp == 1_700_000_000

    def test_a_batch_that_is_sent_again_counts_once(self, client: MlflowClient, run: str) -> None:
        batch = [Metric("m", n / 7, 1000 + n, n) for n in range(1000)]
        for _ in range(3):
            client.log_batch(run, metrics=batch, params=[Param("p", "1")], tags=[RunTag("t", "x")])
        history = client.get_metric_history(run, "m")
        assert [m.value for m in history] == [m.value for m in batch]

    def test_a_long_history_comes_in_pages(self, client: MlflowClient, run: str) -> None:
        for start in range(0, 3000, 1000):
            client.log_batch(run, metrics=[Metric("m", n, n, n) for n in range(start, start + 1000)])
        pages, token = [], None
        while True:
            page = client._tracking_client.store.get_metric_history(
                run, "m", max_results=700, page_token=token
            )
            pages.append([m.step for m in page])
            token = page.token
            if token is None:
                break
        assert [len(page) for page in pages] == [700, 700, 700, 700, 200]
        assert [step for page in pages for step in page] == list(range(3000))
        assert client.get_metric_history(run, "no such metric") == []

    @pytest.mark.parametrize("key", ["val/acc:top 5", "é漢字_-.x", "k" * 250])
    def test_keys(self, client: MlflowClient, run: str, key: str) -> None:
        client.log_metric(run, key, 1)
        client.log_param(run, key, "v")
        client.set_tag(run, key, "t")
        found = client.get_run(run).data
        assert (found.metrics[key], found.params[key], found.tags[key]) == (1, "v", "t")
        assert len(client.search_runs(["0"], f"metrics.`{key}` = 1 and params.`{key}` = 'v'")) == 1

    def test_a_param_has_one_value(self, client: MlflowClient, run: str) -> None:
        client.log_param(run, "lr", 0.1)
        client.log_param(run, "lr", 0.1)
        client.log_param(run, "empty", "")
        with pytest.raises(MlflowException, match=r"Changing param values is not allowed.*value='0.1'"):
            client.log_param(run, "lr", 0.2)
        with pytest.raises(MlflowException, match="Changing param values is not allowed"):
            client.log_batch(run, metrics=[Metric("m", 1, 1, 1)], params=[Param("lr", "0.3")])
        found = client.get_run(run).data
        assert (found.params, found.metrics) == ({"lr": "0.1", "empty": ""}, {})

    def test_long_values_are_cut(self, client: MlflowClient, run: str) -> None:
        client.log_batch(run, params=[Param("p", "x" * 6000)], tags=[RunTag("t", "y" * 8000)])
        found = client.get_run(run).data
        assert (len(found.params["p"]), len(found.tags["t"])) == (6000, 8000)


class TestSearch:
    def test_filters_orders_and_pages(self, client: MlflowClient) -> None:
        runs = [client.create_run("0", start_time=1, run_name=f"r{n}").info.run_id for n in range(10)]
        for n, run in enumerate(runs):
            client.log_batch(
                run,
                metrics=[Metric("acc", n / 10, 1, 1)] if n else [],
                params=[Param("lr", str(n % 3))],
                tags=[RunTag("odd", str(n % 2))],
            )
        found = client.search_runs(
            ["0"],
            "metrics.acc >= 0.3 and params.lr = '0' and tags.odd = '1'",
            order_by=["metrics.acc DESC"],
        )
        assert [r.info.run_id for r in found] == [runs[9], runs[3]]
        assert [r.info.run_id for r in client.search_runs(["0"], f"run_id IN ('{runs[4]}')")] == [runs[4]]
        uri = f"artifact_uri = 'mlflow-artifacts:/0/{runs[2]}/artifacts'"
        assert [r.info.run_id for r in client.search_runs(["0"], uri)] == [runs[2]]
        pages, token = [], None
        while True:
            page = client.search_runs(["0"], order_by=["metrics.acc ASC"], max_results=4, page_token=token)
            pages.append([r.info.run_id for r in page])
            token = page.token
            if token is None:
                break
        assert pages == [runs[1:5], runs[5:9], [runs[9], runs[0]]]
        plain = client.search_runs(["0"], max_results=10)
        assert [r.info.run_id for r in plain] == sorted(runs)

    def test_what_cannot_be_searched_for(self, client: MlflowClient) -> None:
        with pytest.raises(MlflowException, match="123456789 for parameter 'max_results'"):
            client.search_runs(["0"], max_results=123456789)
        with pytest.raises(MlflowException, match=r"expected AND.*at character 15"):
            client.search_runs(["0"], "metrics.a > 1 OR metrics.b > 1")
        with pytest.raises(MlflowException, match="page token"):
            client.search_runs(["0"], page_token="nonsense")
        with pytest.raises(MlflowException, match="must be a valid integer"):
            client.search_runs(["one"])
        assert client.search_runs(["999999"]) == []


class TestWhoAndWhere:
    """Tokens, passwords and workspaces."""

    def test_a_token_is_needed(self, client: MlflowClient) -> None:
        with (
            environment(MLFLOW_TRACKING_TOKEN="nacre_wrong"),
            pytest.raises(MlflowException, match="token"),
        ):
            client.search_experiments()

    def test_a_token_can_be_the_password_of_any_name(self, client: MlflowClient, edge: Edge) -> None:
        secret = edge.token("bob")
        with environment(
            MLFLOW_TRACKING_TOKEN=None, MLFLOW_TRACKING_USERNAME="whoever", MLFLOW_TRACKING_PASSWORD=secret
        ):
            client.create_experiment("bobs")
        assert client.get_experiment_by_name("bobs") is None

    def test_a_workspace_is_a_project(self, client: MlflowClient, edge: Edge) -> None:
        with environment(MLFLOW_WORKSPACE="ann"):
            client.create_experiment("here")
        with environment(MLFLOW_WORKSPACE="default"):  # MLflow's own default
            assert client.get_experiment_by_name("here") is not None
        edge.token("bob")
        with environment(MLFLOW_WORKSPACE="bob"), pytest.raises(MlflowException, match="no such project"):
            client.search_experiments()

    def test_workspaces_are_the_projects_that_one_is_in(self, client: MlflowClient, edge: Edge) -> None:
        edge.token("bob")
        assert [w.name for w in mlflow.list_workspaces()] == ["ann"]
        assert mlflow.get_workspace("ann").name == "ann"
        with pytest.raises(MlflowException, match="no such project"):
            mlflow.get_workspace("bob")
