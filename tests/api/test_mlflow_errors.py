"""What MLflow's protocol refuses, with the codes and words that its client expects."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.database_kit import sqlite_in
from tests.mlflow_edge_kit import Edge, edge_on

from nacre.schema.access import Role
from nacre.schema.projects import MemberSet

INVALID = "INVALID_PARAMETER_VALUE"
ABSENT = "RESOURCE_DOES_NOT_EXIST"


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    folder: Path = tmp_path_factory.mktemp("edge")
    database = sqlite_in(folder)
    with edge_on(database, folder) as found:
        yield found
    database.close()


@pytest.fixture(scope="module")
def token(edge: Edge) -> str:
    return edge.token("ann")


@pytest.fixture(scope="module")
def http(edge: Edge, token: str) -> Iterator[httpx.Client]:
    with edge.http(token) as client:
        yield client


@pytest.fixture
def run(http: httpx.Client) -> str:
    return str(http.post("runs/create", json={"experiment_id": "0"}).json()["run"]["info"]["run_id"])


def refused(answer: httpx.Response, status: int, code: str) -> str:
    """The message of an error with this status and code."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"error_code", "message"}
    assert body["error_code"] == code
    return str(body["message"])


def metric(**changes: Any) -> dict[str, Any]:
    return {"key": "m", "value": 1.0, "timestamp": 1, "step": 0} | changes


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"run_id": 31}, "Invalid value 31 for parameter 'run_id' supplied"),
        ({"run_id": None}, "Missing value for required parameter 'run_id'"),
        ({"key": 31}, "Invalid value 31 for parameter 'key' supplied"),
        ({"key": None}, "Missing value for required parameter 'key'"),
        ({"key": ""}, "Missing value for required parameter 'key'"),
        ({"value": None}, "Missing value for required parameter 'value'"),
        ({"value": "much"}, "Please specify value as a valid double"),
        ({"value": True}, "Please specify value as a valid double"),
        ({"value": [1]}, "Please specify value as a valid double"),
        ({"step": "foo"}, "Invalid value \"foo\" for parameter 'step' supplied"),
        ({"step": 1.5}, "Invalid value 1.5 for parameter 'step' supplied"),
        ({"step": 2**63}, "for parameter 'step' supplied"),
        ({"timestamp": "foo"}, "Invalid value \"foo\" for parameter 'timestamp' supplied"),
        ({"timestamp": None}, "Missing value for required parameter 'timestamp'"),
        ({"timestamp": -1}, "Timestamp must be a nonnegative long"),
        ({"key": "k" * 251}, "'Metric name' exceeds the maximum length of 250 characters"),
        ({"key": "a\nb"}, "Names may only contain alphanumerics"),
        ({"key": "../a"}, "must not resolve to other names"),
        ({"key": "/a"}, "must not resolve to other names"),
        ({"key": "a//b"}, "This name would resolve to 'a/b'"),
        ({"key": "a;b"}, "Names may only contain alphanumerics"),
        ({"key": "a%b"}, "Names may only contain alphanumerics"),
    ],
)
def test_a_metric_that_is_none(http: httpx.Client, run: str, changes: dict[str, Any], why: str) -> None:
    answer = http.post("runs/log-metric", json={"run_id": run} | metric(**changes))
    assert why in refused(answer, 400, INVALID)


@pytest.mark.parametrize("value", [1, 1.5, "2.5", "NaN", "Infinity", "-Infinity", "1e3"])
@pytest.mark.parametrize("step", [0, -7, "12", 2**63 - 1, None])
def test_numbers_come_as_numbers_or_as_texts(http: httpx.Client, run: str, value: Any, step: Any) -> None:
    body = {"run_id": run} | metric(value=value, step=step, timestamp="17")
    assert http.post("runs/log-metric", json=body).json() == {}
    [point] = http.get("metrics/get-history", params={"run_id": run, "metric_key": "m"}).json()["metrics"]
    assert (point["timestamp"], point["step"]) == (17, int(step or 0))


def test_a_metric_without_a_step_has_step_0_and_old_clients_say_run_uuid(
    http: httpx.Client, run: str
) -> None:
    body = metric() | {"run_uuid": run}
    del body["step"]
    assert http.post("runs/log-metric", json=body).status_code == 200
    found = http.get("runs/get", params={"run_uuid": run}).json()["run"]
    assert found["data"]["metrics"] == [{"key": "m", "value": 1.0, "timestamp": 1, "step": 0}]


@pytest.mark.parametrize(
    "call", ["log-metric", "log-parameter", "set-tag", "log-batch", "update", "delete-tag"]
)
@pytest.mark.parametrize("name", ["0" * 32, "fake_run_id"])
def test_a_run_that_there_is_not(http: httpx.Client, call: str, name: str) -> None:
    answer = http.post(f"runs/{call}", json=metric(value="1") | {"run_id": name})
    assert f"Run with id={name} not found" in refused(answer, 404, ABSENT)


def test_a_run_of_somebody_else_is_none(edge: Edge, http: httpx.Client, run: str) -> None:
    with edge.http(edge.token("mallory")) as other:
        for call in ("log-metric", "log-batch", "set-tag", "delete", "restore", "update", "log-inputs"):
            answer = other.post(f"runs/{call}", json=metric(value="1") | {"run_id": run})
            assert "not found" in refused(answer, 404, ABSENT)
        for path in ("runs/get", "metrics/get-history"):
            answer = other.get(path, params={"run_id": run, "metric_key": "m"})
            assert "not found" in refused(answer, 404, ABSENT)
        number = http.post("experiments/create", json={"name": f"of ann {run}"}).json()["experiment_id"]
        assert other.post("runs/search", json={"experiment_ids": [number]}).json() == {"runs": []}
        gone = other.get("experiments/get", params={"experiment_id": number})
        assert "No Experiment with id=" in refused(gone, 404, ABSENT)
    assert http.get("runs/get", params={"run_id": run}).json()["run"]["data"]["metrics"] == []


def test_a_batch_over_its_limits(http: httpx.Client, run: str) -> None:
    def send(metrics: int = 0, params: int = 0, tags: int = 0) -> httpx.Response:
        body = {
            "run_id": run,
            "metrics": [metric(step=n) for n in range(metrics)],
            "params": [{"key": f"p{n}", "value": "v"} for n in range(params)],
            "tags": [{"key": f"t{n}", "value": "v"} for n in range(tags)],
        }
        return http.post("runs/log-batch", json=body)

    for over, what in (
        ({"metrics": 1001}, "1000 metrics"),
        ({"params": 101}, "100 params"),
        ({"tags": 101}, "100 tags"),
    ):
        assert f"at most {what}" in refused(send(**over), 400, INVALID)
    together = send(metrics=900, params=60, tags=41)
    assert "at most 1000 metrics, params, and tags. Got 1001" in refused(together, 400, INVALID)
    assert send(metrics=800, params=100, tags=100).status_code == 200


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"metrics": "foo"}, "Invalid value \"foo\" for parameter 'metrics' supplied"),
        ({"params": "foo"}, "Invalid value \"foo\" for parameter 'params' supplied"),
        ({"tags": {"a": 1}}, "for parameter 'tags' supplied"),
        ({"metrics": ["foo"]}, "Invalid value \"foo\" for parameter 'metrics[0]' supplied"),
        ({"metrics": [metric(), {"key": "mae", "value": 2.5}]}, "parameter 'metrics[1].timestamp'"),
        (
            {"metrics": [{"value": 2.5, "timestamp": 1}]},
            "Missing value for required parameter 'metrics[0].key'",
        ),
        ({"params": [{"value": "x"}]}, "Missing value for required parameter 'params[0].key'"),
        ({"params": [{"key": "x", "value": 3}]}, "Invalid value 3 for parameter 'params[0].value'"),
        (
            {"params": [{"key": "x", "value": "1"}, {"key": "x", "value": "2"}]},
            "Duplicate parameter keys have been submitted: ['x']",
        ),
        ({"run_id": "no id!"}, "Invalid value \"no id!\" for parameter 'run_id' supplied"),
    ],
)
def test_a_batch_that_is_none_changes_nothing(
    http: httpx.Client, run: str, body: dict[str, Any], why: str
) -> None:
    whole = {"run_id": run, "metrics": [metric()], "tags": [{"key": "t", "value": "v"}]} | body
    assert why in refused(http.post("runs/log-batch", json=whole), 400, INVALID)
    data = http.get("runs/get", params={"run_id": run}).json()["run"]["data"]
    assert data["metrics"] == []
    assert [tag["key"] for tag in data["tags"]] == ["mlflow.runName"]


def test_a_param_logged_twice_tells_both_values(http: httpx.Client, run: str) -> None:
    def log(value: str) -> httpx.Response:
        return http.post("runs/log-parameter", json={"run_id": run, "key": "lr", "value": value})

    assert log("0.1").status_code == 200
    assert log("0.1").status_code == 200
    message = refused(log("0.2"), 400, INVALID)
    assert f"Param with key='lr' was already logged with value='0.1' for run ID='{run}'" in message
    assert "Attempted logging new value '0.2'" in message
    batch = {"run_id": run, "params": [{"key": "ok", "value": "1"}, {"key": "lr", "value": "0.3"}]}
    message = refused(http.post("runs/log-batch", json=batch), 400, INVALID)
    assert "[{'key': 'lr', 'old_value': '0.1', 'new_value': '0.3'}]" in message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("metrics.a > 'x'", 13),
        ("params.a = 3", 12),
        ("foo.a = '1'", 1),
        ("metrics.a > 1 or 2", 15),
        ("params.a = 'x", 12),
    ],
)
def test_a_filter_that_does_not_parse_says_where(http: httpx.Client, text: str, place: int) -> None:
    answer = http.post("runs/search", json={"experiment_ids": ["0"], "filter": text})
    message = refused(answer, 400, INVALID)
    assert f"at character {place}" in message
    assert text in message.replace('\\"', '"')


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("experiments/create", {"name": 123}, "Invalid value 123 for parameter 'name'"),
        ("experiments/create", {}, "Missing value for required parameter 'name'"),
        ("experiments/create", {"name": "n", "artifact_location": 9.0}, "Invalid value 9.0 for parameter"),
        ("experiments/create", {"name": "n", "tags": "5"}, "Invalid value \"5\" for parameter 'tags'"),
        ("experiments/create", {"name": "n" * 501}, "exceeds the maximum length of 500"),
        ("experiments/create", {"name": "  "}, "Invalid experiment name"),
        (
            "experiments/update",
            {"experiment_id": "0", "new_name": "x"},
            "default experiment keeps its name",
        ),
        ("experiments/search", {}, "for parameter 'max_results'"),
        ("experiments/search", {"max_results": 50_001}, "at most 50000"),
        ("experiments/search", {"max_results": 5, "filter": "metrics.a = 1"}, "Invalid entity type"),
        ("experiments/search", {"max_results": 5, "view_type": "SOME"}, "there is no such view"),
        ("runs/create", {"experiment_id": "x"}, "Experiment ID must be a valid integer"),
        ("runs/create", {"experiment_id": "0", "start_time": "now"}, "parameter 'start_time'"),
        ("runs/create", {"experiment_id": "0", "run_name": "n" * 251}, "maximum length of 250"),
        ("runs/search", {"experiment_ids": ["0"], "order_by": ["metrics.a SIDEWAYS"]}, "Invalid order_by"),
        ("runs/search", {"experiment_ids": ["0"], "order_by": ["end_time", "end_time"]}, "duplicate"),
        ("runs/search", {"experiment_ids": ["0"], "max_results": 0}, "parameter 'max_results'"),
        ("runs/search", {"experiment_ids": ["0"], "page_token": "?"}, "page token"),
    ],
)
def test_requests_that_ask_the_impossible(
    http: httpx.Client, path: str, body: dict[str, Any], why: str
) -> None:
    assert why in refused(http.post(path, json=body), 400, INVALID)


def test_a_status_that_there_is_not(http: httpx.Client, run: str) -> None:
    answer = http.post("runs/update", json={"run_id": run, "status": "SLEEPING"})
    assert "there is no such status" in refused(answer, 400, INVALID)


class TestHistories:
    """``get-history`` and the two that read many runs at once."""

    @pytest.fixture
    def two(self, http: httpx.Client, run: str) -> list[str]:
        other = http.post("runs/create", json={}).json()["run"]["info"]["run_id"]
        for which, shift in ((run, 0), (other, 1)):
            points = [metric(step=n, value=n + shift, timestamp=9 - n // 2) for n in range(10)]
            assert http.post("runs/log-batch", json={"run_id": which, "metrics": points}).status_code == 200
        return sorted([run, other])

    def test_many_runs_one_after_another(self, http: httpx.Client, two: list[str]) -> None:
        asked = {"run_id": two, "metric_key": "m"}
        found = http.get("metrics/get-history-bulk", params=asked).json()["metrics"]
        assert [m["run_id"] for m in found] == [two[0]] * 10 + [two[1]] * 10
        times = [(m["timestamp"], m["step"]) for m in found[:10]]
        assert times == sorted(times)
        cut = http.get("metrics/get-history-bulk", params=asked | {"max_results": 12}).json()["metrics"]
        assert cut == found[:12]

    def test_a_sample_keeps_the_first_and_the_last(self, http: httpx.Client, two: list[str]) -> None:
        asked: dict[str, Any] = {"run_ids": two, "metric_key": "m", "max_results": 4}
        found = http.get("metrics/get-history-bulk-interval", params=asked).json()["metrics"]
        assert [m["step"] for m in found] == [0, 3, 6, 9] * 2
        asked |= {"start_step": 2, "end_step": 4, "max_results": 5}
        found = http.get("metrics/get-history-bulk-interval", params=asked).json()["metrics"]
        assert [m["step"] for m in found] == [2, 3, 4] * 2
        asked = {"run_ids": two, "metric_key": "m", "max_results": 1}
        found = http.get("metrics/get-history-bulk-interval", params=asked).json()["metrics"]
        assert [m["step"] for m in found] == [9, 9]

    @pytest.mark.parametrize(
        ("path", "params", "why"),
        [
            ("get-history", {"run_id": "0" * 32}, "Missing value for required parameter 'metric_key'"),
            ("get-history-bulk", {"metric_key": "m"}, "must specify at least one run_id"),
            ("get-history-bulk", {"run_id": "a"}, "must specify a metric_key"),
            (
                "get-history-bulk",
                {"run_id": [f"id{n}" for n in range(101)], "metric_key": "m"},
                "cannot specify more than 100",
            ),
            ("get-history-bulk-interval", {"metric_key": "m"}, "required parameter 'run_ids'"),
            ("get-history-bulk-interval", {"run_ids": "a"}, "required parameter 'metric_key'"),
            (
                "get-history-bulk-interval",
                {"run_ids": "a", "metric_key": "m", "max_results": 0},
                "max_results must be between 1 and 2500",
            ),
            (
                "get-history-bulk-interval",
                {"run_ids": "a", "metric_key": "m", "start_step": 1, "end_step": 0},
                "end_step must be greater than start_step",
            ),
            (
                "get-history-bulk-interval",
                {"run_ids": "a", "metric_key": "m", "start_step": 1},
                "both must be specified",
            ),
        ],
    )
    def test_what_cannot_be_read(
        self, http: httpx.Client, path: str, params: dict[str, Any], why: str
    ) -> None:
        assert why in refused(http.get(f"metrics/{path}", params=params), 400, INVALID)

    @pytest.mark.parametrize("limit", [0, -1, "x"])
    def test_a_page_has_a_size(self, http: httpx.Client, run: str, limit: Any) -> None:
        asked = {"run_id": run, "metric_key": "m", "max_results": limit}
        assert "max_results" in refused(http.get("metrics/get-history", params=asked), 400, INVALID)


class TestServer:
    def test_health_version_and_abilities_need_no_token(self, edge: Edge) -> None:
        with httpx.Client(base_url=edge.url) as client:
            assert client.get("/health").text == "OK"
            assert client.get("/version").text.startswith("3.")
            for prefix in ("/api/3.0", "/ajax-api/3.0", "/api/2.0"):
                found = client.get(f"{prefix}/mlflow/server-info").json()
                assert (found["workspaces_enabled"], found["store_type"]) == (True, "SqlStore")

    @pytest.mark.parametrize(
        "header", [None, "Bearer", "Bearer wrong", "Basic !!", "Basic YTpi", "Digest x"]
    )
    def test_everything_else_does(self, edge: Edge, header: str | None) -> None:
        headers = {} if header is None else {"Authorization": header}
        with edge.http(None, **headers) as client:
            answer = client.get("experiments/get", params={"experiment_id": "0"})
            assert "token" in refused(answer, 401, "UNAUTHENTICATED")
            assert "Bearer" in answer.headers["www-authenticate"]

    def test_a_call_that_nacre_does_not_serve(self, http: httpx.Client) -> None:
        for method, path in (("GET", "traces"), ("PUT", "runs/create"), ("POST", "runs/get")):
            message = refused(http.request(method, path), 404, "ENDPOINT_NOT_FOUND")
            assert path in message

    @pytest.mark.parametrize("body", [b"{", b"[1]", b"\xff", b'{"a": 1e999}', b"nonsense"])
    def test_a_body_that_is_no_json_object(self, http: httpx.Client, body: bytes) -> None:
        answer = http.post("runs/log-metric", content=body)
        assert answer.status_code == 400
        assert answer.json()["error_code"] in ("BAD_REQUEST", INVALID)

    def test_json_that_was_encoded_twice_is_understood(self, http: httpx.Client, run: str) -> None:
        once = json.dumps(json.dumps({"run_id": run, "key": "t", "value": "v"}))
        assert http.post("runs/set-tag", content=once.encode()).status_code == 200

    def test_a_body_over_the_limit(self, http: httpx.Client, run: str) -> None:
        huge = {"run_id": run, "key": "t", "value": "x" * (17 * 2**20)}
        assert "limit" in refused(http.post("runs/set-tag", json=huge), 413, INVALID)

    def test_a_viewer_reads_and_does_not_write(self, edge: Edge, http: httpx.Client, run: str) -> None:
        viewer = edge.identity.sign_up(f"viewer-{run[:8]}")
        owner = edge.caller(edge.identity.sign_in("ann").secret, "ann")
        edge.identity.projects.set_member(owner, f"viewer-{run[:8]}", MemberSet(role=Role.VIEWER))
        with edge.http(viewer.secret, **{"X-MLFLOW-WORKSPACE": "ann"}) as client:
            assert client.get("runs/get", params={"run_id": run}).status_code == 200
            answer = client.post("runs/log-metric", json={"run_id": run} | metric())
            assert "role editor" in refused(answer, 403, "PERMISSION_DENIED")
