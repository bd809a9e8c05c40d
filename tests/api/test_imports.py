"""Imports of MLflow and TensorBoard: everything comes over, once, however often it is tried."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from mlflow import MlflowClient
from mlflow.entities import Metric
from sqlalchemy import create_engine, text
from tests import event_files, mlflow_store
from tests.mlflow_kit import House, house
from tests.mlflow_store import CHILD, FIRST, GONE, MODEL, SECOND, START

from nacre.db.connect import Database
from nacre.errors import NotFound
from nacre.ids import new_id
from nacre.sdk.client import Client
from nacre.sdk.imports.mlflow import import_mlflow, open_source
from nacre.sdk.imports.mlflow_server import ServerSource
from nacre.sdk.imports.progress import Report
from nacre.sdk.imports.records import Point, Run, Source
from nacre.sdk.imports.tensorboard import import_tensorboard

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


@pytest.fixture
def server(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with house(database, tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def client(server: House) -> Iterator[Client]:
    with Client(server.url, server.token, project="default") as found:
        yield found


@pytest.fixture
def version() -> int:
    """Of MLflow; tests name another one."""
    return 3


each_version = pytest.mark.parametrize("version", [2, 3])


@pytest.fixture
def store(tmp_path: Path, version: int) -> Path:
    """An SQLite file of MLflow, with its server's artifacts beside it."""
    folder = tmp_path / "mlflow"
    mlflow_store.artifacts(folder / "mlartifacts", version)
    engine = create_engine(f"sqlite:///{folder / 'ml.db'}")
    mlflow_store.fill(engine, "mlflow-artifacts:", version=version)
    engine.dispose()
    return folder / "ml.db"


def bring(client: Client, uri: str | Path, **options: Any) -> Report:
    source = open_source(str(uri))
    try:
        return import_mlflow(client, source, **options)
    finally:
        source.close()


def runs(server: House, experiment: str = "vision/digits") -> dict[str, Any]:
    """Runs of an experiment in Nacre, as MLflow's client sees them, by the id that they had."""
    outside = server.client()
    found = outside.get_experiment_by_name(experiment)
    assert found is not None
    return {r.data.tags["nacre.import.run_id"]: r for r in outside.search_runs([found.experiment_id])}


def history(server: House, run: Any, key: str) -> list[tuple[int, int, str]]:
    found = server.client().get_metric_history(run.info.run_id, key)
    return sorted((m.step, m.timestamp, repr(m.value)) for m in found)


class TestDatabase:
    @each_version
    def test_runs_come_with_times_texts_and_whole_histories(
        self, client: Client, server: House, store: Path
    ) -> None:
        report = bring(client, f"sqlite:///{store}")
        assert (report.experiments, report.runs, report.points) == (2, 3, 1204)
        found = runs(server)
        assert set(found) == {FIRST, CHILD, SECOND}
        first = found[FIRST]
        assert first.info.run_name == "run 0"
        assert (first.info.start_time, first.info.end_time) == (START, START + 60_000)
        states = [found[run].info.status for run in (FIRST, CHILD, SECOND)]
        assert states == ["FINISHED", "FAILED", "RUNNING"]
        assert first.data.params == {"lr": "0.1"}
        assert first.data.tags["note"] == "it's é"
        assert first.data.tags["mlflow.user"] == "ann"
        assert history(server, first, "loss") == [(n, START + n, repr(1 / (n + 1))) for n in range(1200)]
        assert history(server, first, "odd") == [(-3, START, "1.5"), (-3, START, "2.5"), (0, START, "nan")]
        outside = server.client().get_experiment_by_name("vision/digits")
        assert outside is not None
        assert outside.tags["team"] == "ml"

    def test_children_find_their_new_parents(self, client: Client, server: House, store: Path) -> None:
        bring(client, f"sqlite:///{store}")
        found = runs(server)
        assert found[CHILD].data.tags["mlflow.parentRunId"] == found[FIRST].info.run_id

    def test_deleted_runs_and_experiments_stay_where_they_are(
        self, client: Client, server: House, store: Path
    ) -> None:
        bring(client, f"sqlite:///{store}")
        assert GONE not in runs(server)
        assert server.client().get_experiment_by_name("old") is None

    def test_artifacts_are_byte_for_byte_the_same(
        self, client: Client, server: House, store: Path, tmp_path: Path
    ) -> None:
        bring(client, f"sqlite:///{store}")
        run = runs(server)[FIRST].info.run_id
        files = {entry.path: entry.size for entry in client.runs.artifacts(run).files}
        assert files == {"notes/a b.txt": 5, "model/MLmodel": 12, "empty": 0}
        with client.runs.artifact(run, "notes/a b.txt") as pieces:
            assert b"".join(pieces) == b"hello"

    @each_version
    def test_the_registry_comes_with_versions_and_aliases(
        self, client: Client, server: House, store: Path, version: int
    ) -> None:
        report = bring(client, f"sqlite:///{store}")
        assert (report.models, report.versions) == (1, 2)
        outside = server.client()
        (model,) = outside.search_registered_models()
        assert model.description == "of digits"
        champion = outside.get_model_version_by_alias(model.name, "champion")
        assert champion.run_id == runs(server)[FIRST].info.run_id
        tags = outside.get_model_version(model.name, "2").tags
        assert tags["stage"] == "Production"
        assert tags.get("checked") == ("yes" if version == 3 else None)

    def test_data_sets_and_logged_models_of_mlflow_3(
        self, client: Client, server: House, store: Path
    ) -> None:
        assert bring(client, f"sqlite:///{store}").logged_models == 1
        first = runs(server)[FIRST]
        (used,) = first.inputs.dataset_inputs
        assert (used.dataset.name, used.dataset.digest) == ("mnist", "abc")
        assert used.tags[0].value == "training"
        (output,) = first.outputs.model_outputs
        model = server.client().get_logged_model(output.model_id)
        assert (model.name, model.params, model.status.value) == ("net", {"depth": "3"}, "READY")
        assert model.tags["nacre.import.model_id"] == MODEL

    def test_again_nothing_is_there_twice_and_only_news_are_added(
        self, client: Client, server: House, store: Path
    ) -> None:
        bring(client, f"sqlite:///{store}")
        with sqlite3.connect(store) as opened:
            opened.execute(f"INSERT INTO metrics VALUES ('loss', 8, {START + 1}, '{SECOND}', 1, 0)")
            opened.execute(f"UPDATE runs SET status = 'FINISHED', end_time = 5 WHERE run_uuid = '{SECOND}'")
        opened.close()
        report = bring(client, f"sqlite:///{store}")
        assert (report.already, report.runs, report.models, report.versions) == (2, 1, 0, 0)
        found = runs(server)
        assert len(found) == 3
        assert found[SECOND].info.status == "FINISHED"
        assert history(server, found[SECOND], "loss") == [(0, START, "9.0"), (1, START + 1, "8.0")]
        assert len(server.client().search_model_versions(f"name='{report_name(server)}'")) == 2
        assert bring(client, f"sqlite:///{store}").already == 3

    def test_a_dry_run_counts_and_writes_nothing(self, client: Client, server: House, store: Path) -> None:
        report = bring(client, f"sqlite:///{store}", dry_run=True)
        assert (report.experiments, report.runs, report.versions) == (2, 3, 2)
        assert server.client().get_experiment_by_name("vision/digits") is None
        assert client.runs.list() == []

    def test_one_experiment_by_name_or_id(self, client: Client, store: Path) -> None:
        assert bring(client, f"sqlite:///{store}", experiments=["Default"]).runs == 0
        assert bring(client, f"sqlite:///{store}", experiments=["1"]).runs == 3
        with pytest.raises(NotFound, match="vision/digits"):
            bring(client, f"sqlite:///{store}", experiments=["digits"])

    def test_the_database_is_not_written_to(self, client: Client, store: Path) -> None:
        before = store.read_bytes()
        bring(client, f"sqlite:///{store}")
        assert store.read_bytes() == before
        assert sorted(path.name for path in store.parent.iterdir()) == ["ml.db", "mlartifacts"]

    def test_artifacts_that_are_elsewhere_are_a_problem_and_no_end(
        self, client: Client, server: House, store: Path
    ) -> None:
        with sqlite3.connect(store) as opened:
            opened.execute("UPDATE runs SET artifact_uri = 's3://bucket/' || run_uuid || '/artifacts'")
        opened.close()
        report = bring(client, f"sqlite:///{store}")
        assert report.runs == 3
        assert len([p for p in report.problems if "s3://" in p]) == 1
        assert len(history(server, runs(server)[FIRST], "loss")) == 1200

    @each_version
    @pytest.mark.postgres
    def test_postgresql(
        self, client: Client, server: House, postgres_server: str, tmp_path: Path, version: int
    ) -> None:
        name = f"mlflow_{new_id('db')[3:]}"
        admin = create_engine(
            postgres_server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
        )
        with admin.connect() as session:
            session.execute(text(f"CREATE DATABASE {name}"))
        admin.dispose()
        url = postgres_server.rsplit("/", 1)[0] + f"/{name}"
        engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        mlflow_store.fill(engine, "mlflow-artifacts:", version=version)
        engine.dispose()
        source = open_source(url, mlflow_store.artifacts(tmp_path / "kept", version))
        try:
            report = import_mlflow(client, source)
        finally:
            source.close()
        assert (report.runs, report.points, report.versions) == (3, 1204, 2)
        assert report.artifacts == 3 + (version == 3)
        assert history(server, runs(server)[FIRST], "odd")[-1] == (0, START, "nan")


def report_name(server: House) -> str:
    (model,) = server.client().search_registered_models()
    return str(model.name)


class Interrupted(Source):
    """A store during whose reading somebody presses Ctrl-C."""

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self.label = inner.label
        self.left = 1

    def points(self, run: Run) -> Iterator[list[Point]]:
        for number, part in enumerate(self._inner.points(run)):
            yield part[:700]
            if number == 0 and self.left and run.id == FIRST:
                self.left = 0
                raise KeyboardInterrupt
            yield part[700:]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def experiments(self) -> Any:
        return self._inner.experiments()

    def runs(self, experiment: Any) -> Any:
        return self._inner.runs(experiment)

    def files(self, place: Any) -> Any:
        return self._inner.files(place)

    def read(self, place: Any, path: str) -> Any:
        return self._inner.read(place, path)

    def logged_models(self, experiment: Any) -> Any:
        return self._inner.logged_models(experiment)

    def registered_models(self) -> Any:
        return self._inner.registered_models()

    def close(self) -> None:
        self._inner.close()


def test_an_interrupted_import_goes_on_where_it_was(client: Client, server: House, store: Path) -> None:
    source = Interrupted(open_source(f"sqlite:///{store}"))
    with pytest.raises(KeyboardInterrupt):
        import_mlflow(client, source)
    source.close()
    half = runs(server)
    assert half[FIRST].data.tags["nacre.import.state"] == "partial"
    report = bring(client, f"sqlite:///{store}")
    assert report.problems == []
    found = runs(server)
    assert len(found) == 3
    assert found[FIRST].info.run_id == half[FIRST].info.run_id
    assert len(history(server, found[FIRST], "loss")) == 1200
    assert report.already + report.runs == 3


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """What MLflow's own file store writes."""
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        root = tmp_path / "mlruns"
        outside = MlflowClient(root.as_uri(), root.as_uri())
        experiment = outside.create_experiment("digits", tags={"team": "ml"})
        run = outside.create_run(experiment, run_name="first", start_time=START, tags={"a/b": "c"})
        outside.log_param(run.info.run_id, "lr", "0.1")
        points = [Metric("train/loss", 1.0 / (n + 1), START + n, n) for n in range(10)]
        outside.log_batch(run.info.run_id, metrics=[*points, Metric("odd", math.nan, START, -1)])
        outside.log_text(run.info.run_id, "hello", "notes/a.txt")
        outside.set_terminated(run.info.run_id, "KILLED", START + 5)
        gone = outside.create_run(experiment)
        outside.delete_run(gone.info.run_id)
        return root

    def test_what_mlflow_wrote_comes_over(self, client: Client, server: House, folder: Path) -> None:
        report = bring(client, folder)
        assert (report.runs, report.points, report.artifacts, report.problems) == (1, 11, 1, [])
        (run,) = runs(server, "digits").values()
        assert (run.info.run_name, run.info.status) == ("first", "KILLED")
        assert (run.info.start_time, run.info.end_time) == (START, START + 5)
        assert run.data.params == {"lr": "0.1"}
        assert run.data.tags["a/b"] == "c"
        assert history(server, run, "train/loss")[3] == (3, START + 3, "0.25")
        assert history(server, run, "odd") == [(-1, START, "nan")]
        assert bring(client, folder.as_uri()).already == 1

    def test_a_folder_that_was_moved_keeps_its_artifacts(
        self, client: Client, folder: Path, tmp_path: Path
    ) -> None:
        folder.rename(tmp_path / "moved")
        assert bring(client, tmp_path / "moved").artifacts == 1

    def test_links_out_of_the_folder_are_passed_over(
        self, client: Client, folder: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "secret").write_text("secret")
        (notes,) = folder.glob("*/*/artifacts/notes")
        (notes / "link").symlink_to(tmp_path / "secret")
        assert bring(client, folder).artifacts == 1

    def test_a_damaged_run_is_a_problem_and_the_others_come(
        self, client: Client, server: House, folder: Path
    ) -> None:
        (metric,) = folder.glob("*/*/metrics/odd")
        metric.write_text("not a point\n")
        report = bring(client, folder)
        assert len(report.problems) == 1
        assert "no point of a metric" in report.problems[0]
        assert len(runs(server, "digits")) == 1


class TestServer:
    """A server of MLflow from afar; by hand the real one is used."""

    def answer(self, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911 - one for each call
        path = request.url.path
        query = {key: values[0] for key, values in parse_qs(request.url.query.decode()).items()}
        body = json.loads(request.content) if request.content else {}
        self.seen.append(request)
        page = body.get("page_token") or query.get("page_token")
        if path.endswith("experiments/search"):
            return httpx.Response(200, json={"experiments": [{"experiment_id": "1", "name": "digits"}]})
        if path.endswith("runs/search"):
            number = int(page or 1)
            info = {"run_id": str(number) * 32, "run_name": f"r{number}", "status": "FINISHED"}
            info |= {"start_time": START, "end_time": START + 1, "artifact_uri": "s3://b/artifacts"}
            data = {"metrics": [{"key": "loss", "value": 0}], "params": [{"key": "lr", "value": "1"}]}
            more = {"next_page_token": "2"} if number == 1 else {}
            return httpx.Response(200, json={"runs": [{"info": info, "data": data}], **more})
        if path.endswith("get-history"):
            at = int(page or 0)
            points = [{"key": "loss", "value": "NaN", "timestamp": str(START), "step": str(at)}]
            return httpx.Response(
                200, json={"metrics": points, **({"next_page_token": "1"} if at == 0 else {})}
            )
        if path.endswith("artifacts/list"):
            if query.get("path") == "d":
                return httpx.Response(200, json={"files": [{"path": "d/a.txt", "file_size": "2"}]})
            return httpx.Response(200, json={"files": [{"path": "d", "is_dir": True}]})
        if path.endswith("get-artifact"):
            return httpx.Response(200, content=b"hi")
        if "logged-models" in path:
            return httpx.Response(404)
        return httpx.Response(200, json={})

    def test_pages_of_runs_histories_and_folders(self, client: Client, server: House) -> None:
        self.seen: list[httpx.Request] = []
        http = httpx.Client(base_url="http://mlflow", transport=httpx.MockTransport(self.answer))
        source = ServerSource("http://mlflow", http)
        report = import_mlflow(client, source)
        source.close()
        assert (report.runs, report.points, report.artifacts, report.problems) == (2, 4, 2, [])
        found = runs(server, "digits")
        assert history(server, found["1" * 32], "loss") == [(0, START, "nan"), (1, START, "nan")]
        with client.runs.artifact(found["2" * 32].info.run_id, "d/a.txt") as pieces:
            assert b"".join(pieces) == b"hi"

    def test_credentials_are_those_of_this_server_only(
        self, monkeypatch: pytest.MonkeyPatch, database: Database
    ) -> None:
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "secret")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://here:1")
        for uri, wanted in (
            ("http://here:1", "Bearer secret"),
            ("http://elsewhere:1", None),
            ("http://ann:p%40w@here:1", "Basic YW5uOnBAdw=="),
        ):
            source = ServerSource(uri)
            request = source._http.build_request("GET", "/")
            flow = source._http._build_request_auth(request).auth_flow(request)
            assert next(flow).headers.get("authorization") == wanted
            assert "ann" not in source.label
            source.close()


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("sqlite:////nowhere/ml.db", "no database"),
        ("mysql://u:secret@h/db", "only sqlite and postgresql"),
        ("/nowhere", "no folder"),
        ("databricks://x", "only sqlite and postgresql"),
    ],
)
def test_what_cannot_be_read_is_said(uri: str, words: str, database: Database) -> None:
    with pytest.raises(NotFound, match=words) as caught:
        open_source(uri)
    assert "secret" not in str(caught.value)


def test_a_database_of_something_else_is_said(tmp_path: Path, database: Database) -> None:
    sqlite3.connect(tmp_path / "x.db").close()
    (tmp_path / "x.db").touch()
    with pytest.raises(NotFound, match="no MLflow store"):
        open_source(f"sqlite:///{tmp_path / 'x.db'}")
    with pytest.raises(NotFound, match="no MLflow store"):
        open_source(str(tmp_path))


class TestTensorBoard:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        root = tmp_path / "logs"
        points = [event_files.scalar("train/loss", n, 1.0 / (n + 1), 1000.0 + n) for n in range(1500)]
        event_files.write(root / "a" / "events.out.tfevents.1.h", *points)
        field = event_files.field
        lr = field(1, field(1, b"lr") + field(2, field(2, 0.5)))
        name = field(1, field(1, b"opt") + field(2, field(3, b"adam")))
        hparams = field(9, field(1, field(1, b"hparams") + field(2, field(3, lr + name))))
        picture = b"\x89PNG\r\n\x1a\npicture"
        event_files.write(
            root / "b" / "c" / "events.out.tfevents.2.h",
            event_files.scalar("acc", 0, 0.5),
            event_files.event("_hparams_/session_start_info", 0, hparams),
            event_files.event("samples/x", 3, field(4, field(1, 5) + field(4, picture))),
            event_files.tensor("note/text_summary", 2, field(8, b"hello"), "text"),
        )
        return root

    def test_each_folder_is_a_run(self, client: Client, folder: Path) -> None:
        report = import_tensorboard(client, folder)
        assert (report.runs, report.points, report.params, report.artifacts) == (2, 1501, 2, 2)
        run = client.runs.get("a")
        assert (run.experiment, run.state) == ("logs", "finished")
        points = client.runs.metric("a", "train/loss").points
        assert len(points) == 1500
        assert (points[1].value, points[1].time_ms) == (0.5, 1_001_000)
        (other,) = [run for run in client.runs.list() if run.name == "b/c"]
        assert other.params == {"lr": "0.5", "opt": "adam"}
        files = {entry.path for entry in client.runs.artifacts(other.id).files}
        assert files == {"images/samples/x/00000003.png", "texts/note/00000002.md"}

    def test_again_only_what_was_written_since_is_added(self, client: Client, folder: Path) -> None:
        import_tensorboard(client, folder, experiment="tb")
        with (folder / "a" / "events.out.tfevents.1.h").open("ab") as file:
            file.write(event_files.scalar("train/loss", 1500, 7.0, 5000.0) + b"half a rec")
        report = import_tensorboard(client, folder, experiment="tb")
        assert (report.already, report.runs) == (1, 1)
        assert len(client.runs.list()) == 2
        points = client.runs.metric("a", "train/loss").points
        assert len(points) == 1501
        assert points[-1].value == 7.0

    def test_a_dry_run_counts_and_writes_nothing(self, client: Client, folder: Path) -> None:
        report = import_tensorboard(client, folder, dry_run=True)
        assert (report.runs, report.points, report.artifacts) == (2, 1501, 2)
        assert client.runs.list() == []

    def test_a_damaged_file_gives_what_came_before(self, client: Client, folder: Path) -> None:
        event_files.write(
            folder / "a" / "events.out.tfevents.1.h", event_files.scalar("x", 0, 1.0), b"\0" * 64
        )
        report = import_tensorboard(client, folder)
        assert report.runs == 2
        assert "damaged" in report.problems[0]
        assert len(client.runs.metric("a", "x").points) == 1

    def test_no_event_files_is_said(self, client: Client, tmp_path: Path) -> None:
        with pytest.raises(NotFound, match="event files"):
            import_tensorboard(client, tmp_path / "home")
