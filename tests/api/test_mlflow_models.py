"""Logged models and the model registry through MLflow's client."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository
from tests.mlflow_kit import House, house

from nacre.db.connect import Database
from nacre.errors import Conflict
from nacre.schema.endpoints import EndpointDeploy
from nacre.schema.models import ConversionState

SKLEARN = """
flavors:
  python_function: {loader_module: mlflow.sklearn, model_path: model.pkl}
  sklearn: {pickled_model: model.pkl, serialization_format: cloudpickle, sklearn_version: 1.8.0}
"""
PROPHET = "flavors:\n  python_function: {loader_module: mlflow.prophet}\n  prophet: {data: model.pr}\n"


@pytest.fixture
def server(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    with house(database, tmp_path, monkeypatch) as found:
        yield found


@pytest.fixture
def client(server: House) -> MlflowClient:
    return server.client()


@pytest.fixture
def run(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def write(folder: Path, mlmodel: str = SKLEARN) -> Path:
    """A folder as ``save_model`` leaves it."""
    folder.mkdir()
    (folder / "MLmodel").write_text(mlmodel)
    (folder / "model.pkl").write_bytes(b"pickled")
    (folder / "requirements.txt").write_text("scikit-learn\n")
    return folder


def log(client: MlflowClient, run: str, folder: Path, name: str = "net") -> str:
    """A logged model with files, as ``log_model`` makes one. Its id."""
    model = client.create_logged_model("0", name, source_run_id=run, tags={"a": "b"}, params={"lr": "1"})
    client.log_model_artifacts(model.model_id, str(folder))
    return str(client.finalize_logged_model(model.model_id, LoggedModelStatus.READY).model_id)


class TestLoggedModels:
    def test_one_is_made_filled_and_found(self, client: MlflowClient, run: str, tmp_path: Path) -> None:
        model_id = log(client, run, write(tmp_path / "m"))
        found = client.get_logged_model(model_id)
        assert (found.name, found.source_run_id, found.status) == ("net", run, LoggedModelStatus.READY)
        assert (found.tags, found.params) == ({"a": "b"}, {"lr": "1"})
        assert found.artifact_location == f"mlflow-artifacts:/0/models/{model_id}/artifacts"
        copy = Path(
            mlflow.artifacts.download_artifacts(f"models:/{model_id}", dst_path=str(tmp_path / "c"))
        )
        assert (copy / "model.pkl").read_bytes() == b"pickled"
        listed = [f.path for f in client.list_logged_model_artifacts(model_id)]
        assert listed == ["MLmodel", "model.pkl", "requirements.txt"]

    def test_tags_and_the_trash(self, client: MlflowClient, run: str, tmp_path: Path) -> None:
        model_id = log(client, run, write(tmp_path / "m"))
        client.set_logged_model_tags(model_id, {"c": "d", "e": "f"})
        client.delete_logged_model_tag(model_id, "a")
        assert client.get_logged_model(model_id).tags == {"c": "d", "e": "f"}
        with pytest.raises(MlflowException, match="No tag with key") as no_tag:
            client.delete_logged_model_tag(model_id, "a")
        assert no_tag.value.error_code == "RESOURCE_DOES_NOT_EXIST"
        client.delete_logged_model(model_id)
        with pytest.raises(MlflowException, match="not found"):
            client.get_logged_model(model_id)

    def test_metrics_of_a_model_keep_the_latest_value(
        self, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        model_id = log(client, run, write(tmp_path / "m"))
        for step, value in ((1, 0.5), (3, 0.9), (2, 0.7)):
            client.log_metric(run, "acc", value, step=step, model_id=model_id)
        client.log_batch(
            run,
            [
                Metric(
                    "acc", float("nan"), 5, 9, model_id=model_id, dataset_name="test", dataset_digest="d1"
                )
            ],
        )
        found = client.get_logged_model(model_id).metrics
        assert [(m.key, m.value, m.step) for m in found if m.dataset_name is None] == [("acc", 0.9, 3)]
        [on_test] = [m for m in found if m.dataset_name == "test"]
        assert on_test.value != on_test.value
        assert on_test.dataset_digest == "d1"

    def test_search_filters_orders_and_pages(self, client: MlflowClient, run: str) -> None:
        ids = []
        for number in range(5):
            model = client.create_logged_model(
                "0", f"net-{number}", source_run_id=run, params={"n": str(number)}
            )
            client.log_metric(run, "acc", number / 10, model_id=model.model_id)
            ids.append(model.model_id)

        def names(text: str | None = None, **more: object) -> list[str]:
            return [m.name for m in client.search_logged_models(["0"], text, **more)]  # type: ignore[arg-type]

        assert sorted(names()) == [f"net-{n}" for n in range(5)]
        assert names("metrics.acc > 0.25", order_by=[{"field_name": "metrics.acc"}]) == ["net-3", "net-4"]
        assert names("params.n = '2'") == ["net-2"]
        assert names(
            "name LIKE 'net-%' AND status = 'PENDING' AND params.n != '1'",
            order_by=[{"field_name": "name", "ascending": False}],
        ) == ["net-4", "net-3", "net-2", "net-0"]
        assert names(f"source_run_id = '{run}' AND model_id = '{ids[1]}'") == ["net-1"]
        by_name = [{"field_name": "name"}]
        first = client.search_logged_models(["0"], max_results=3, order_by=by_name)
        rest = client.search_logged_models(["0"], max_results=3, order_by=by_name, page_token=first.token)
        assert [m.name for m in [*first, *rest]] == [f"net-{n}" for n in range(5)]
        assert rest.token is None
        with pytest.raises(MlflowException, match="Invalid filter") as unread:
            names("metrics.acc >")
        assert unread.value.error_code == "INVALID_PARAMETER_VALUE"

    def test_a_model_of_another_project_is_not_there(
        self, server: House, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        model_id = log(client, run, write(tmp_path / "m"))
        url = f"{server.url}/api/2.0/mlflow/logged-models/{model_id}"
        for method, body in (("GET", None), ("PATCH", {"status": "LOGGED_MODEL_READY"}), ("DELETE", None)):
            found = httpx.request(method, url, json=body, headers=server.headers("other"))
            assert (found.status_code, found.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST")

    @pytest.mark.parametrize("name", ["a/b", "a:b", "a.b", 'a"b', "a%b"])
    def test_a_name_that_none_can_have(self, client: MlflowClient, name: str) -> None:
        with pytest.raises(MlflowException, match="Invalid model name") as refused:
            client.create_logged_model("0", name)
        assert refused.value.error_code == "INVALID_PARAMETER_VALUE"


class TestModels:
    def test_a_model_without_versions(self, client: MlflowClient) -> None:
        made = client.create_registered_model("My Model № 1", {"team": "a"}, "for tests")
        assert (made.name, made.description, made.tags) == ("My Model № 1", "for tests", {"team": "a"})
        assert made.latest_versions == []
        client.update_registered_model("My Model № 1", "other words")
        client.set_registered_model_tag("My Model № 1", "k", "v")
        client.delete_registered_model_tag("My Model № 1", "team")
        client.rename_registered_model("My Model № 1", "digits")
        found = client.get_registered_model("digits")
        assert (found.description, found.tags) == ("other words", {"k": "v"})
        client.delete_registered_model("digits")
        with pytest.raises(MlflowException, match="Registered Model with name=digits not found") as gone:
            client.get_registered_model("digits")
        assert gone.value.error_code == "RESOURCE_DOES_NOT_EXIST"

    def test_a_name_that_is_there_already(self, client: MlflowClient) -> None:
        client.create_registered_model("digits")
        client.create_registered_model("letters")
        with pytest.raises(MlflowException, match="already exists") as again:
            client.create_registered_model("digits")
        assert (again.value.error_code, again.value.get_http_status_code()) == (
            "RESOURCE_ALREADY_EXISTS",
            400,
        )
        with pytest.raises(MlflowException, match="already exists"):
            client.rename_registered_model("letters", "digits")

    @pytest.mark.parametrize("name", ["a/b", "a:b", " ", "..", "x" * 251])
    def test_a_name_that_none_can_have(self, server: House, name: str) -> None:
        url = f"{server.url}/api/2.0/mlflow/registered-models/create"
        found = httpx.post(url, json={"name": name}, headers=server.headers())
        assert (found.status_code, found.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")

    def test_search(self, client: MlflowClient) -> None:
        for name in ("net-b", "net-a", "Other"):
            client.create_registered_model(name, {"kind": name[:3]})

        def names(text: str | None = None, **more: object) -> list[str]:
            return [m.name for m in client.search_registered_models(text, **more)]  # type: ignore[arg-type]

        assert set(names()) == {"net-a", "net-b", "Other"}
        assert names("name LIKE 'net-%'") == ["net-a", "net-b"]
        assert names("name ILIKE 'O%'", order_by=["name DESC"]) == ["Other"]
        assert names("tags.kind = 'net'", order_by=["name DESC"]) == ["net-b", "net-a"]
        page = client.search_registered_models("name LIKE 'net-%'", max_results=1)
        assert [m.name for m in page] == ["net-a"]
        [second] = client.search_registered_models(
            "name LIKE 'net-%'", max_results=1, page_token=page.token
        )
        assert second.name == "net-b"


class TestVersions:
    def test_a_version_of_a_logged_model_is_a_model_of_nacre(
        self, server: House, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        model_id = log(client, run, write(tmp_path / "m"))
        made = mlflow.register_model(f"models:/{model_id}", "digits", tags={"t": "1"})
        assert (made.version, made.run_id, made.tags) == ("1", run, {"t": "1"})
        assert made.status == "READY"
        version = server.services.models.get_version(server.caller, "digits", "1")
        assert (version.framework, version.entry) == ("sklearn", "model.pkl")
        assert (version.lineage.run, version.lineage.logged_model) == (run, model_id)
        assert version.conversion is ConversionState.CONVERTING
        noted = json.loads(client.get_logged_model(model_id).tags["mlflow.modelVersions"])
        assert [(note["name"], str(note["version"])) for note in noted] == [("digits", "1")]

    def test_a_folder_of_a_run_becomes_a_version_that_outlives_the_run(
        self, server: House, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        client.log_artifacts(run, str(write(tmp_path / "m")), "out/model")
        mlflow.register_model(f"runs:/{run}/out/model", "digits")
        version = server.services.models.get_version(server.caller, "digits", "1")
        assert (version.framework, version.entry) == ("sklearn", "model/model.pkl")
        server.services.artifacts.delete(server.caller, run)
        for uri in ("models:/digits/1", "models:/digits/latest"):
            folder = ModelsArtifactRepository(uri).download_artifacts("", str(tmp_path))
            assert (Path(folder) / "MLmodel").read_text() == SKLEARN

    def test_registering_again_makes_the_next_version(
        self, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        client.log_artifacts(run, str(write(tmp_path / "m")), "model")
        versions = [mlflow.register_model(f"runs:/{run}/model", "digits").version for _ in range(2)]
        assert versions == ["1", "2"]
        client.delete_model_version("digits", "2")
        assert mlflow.register_model(f"runs:/{run}/model", "digits").version == "3"

    def test_aliases(self, server: House, client: MlflowClient, run: str, tmp_path: Path) -> None:
        client.log_artifacts(run, str(write(tmp_path / "m")), "model")
        for _ in range(2):
            mlflow.register_model(f"runs:/{run}/model", "digits")
        client.set_registered_model_alias("digits", "Champion", "1")
        assert client.get_model_version_by_alias("digits", "Champion").version == "1"
        client.set_registered_model_alias("digits", "Champion", "2")
        assert client.get_registered_model("digits").aliases == {"Champion": "2"}
        assert client.get_model_version("digits", "2").aliases == ["Champion"]
        copied = mlflow.register_model("models:/digits@Champion", "copy")
        assert copied.version == "1"
        assert server.services.models.get_version(server.caller, "copy", "1").framework == "sklearn"
        client.delete_registered_model_alias("digits", "Champion")
        client.delete_registered_model_alias("digits", "Champion")
        with pytest.raises(MlflowException, match="Registered model alias Champion not found") as gone:
            client.get_model_version_by_alias("digits", "Champion")
        assert gone.value.error_code == "INVALID_PARAMETER_VALUE"
        for alias in ("latest", "v1", "a b", "7"):
            with pytest.raises(MlflowException) as refused:
                client.set_registered_model_alias("digits", alias, "1")
            assert refused.value.error_code == "INVALID_PARAMETER_VALUE"

    def test_descriptions_tags_stages_and_search(
        self, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        client.log_artifacts(run, str(write(tmp_path / "m")), "model")
        for name in ("digits", "digits", "other"):
            mlflow.register_model(f"runs:/{run}/model", name)
        client.update_model_version("digits", "1", "the first")
        client.set_model_version_tag("digits", "1", "a", "b")
        client.set_model_version_tag("digits", "1", "gone", "b")
        client.delete_model_version_tag("digits", "1", "gone")
        found = client.get_model_version("digits", "1")
        assert (found.description, found.tags) == ("the first", {"a": "b"})

        def numbers(text: str, **more: object) -> list[tuple[str, str]]:
            return [(v.name, v.version) for v in client.search_model_versions(text, **more)]  # type: ignore[arg-type]

        assert numbers("name = 'digits'", order_by=["version_number ASC"]) == [
            ("digits", "1"),
            ("digits", "2"),
        ]
        assert numbers(f"run_id = '{run}' and tags.a = 'b'") == [("digits", "1")]
        assert numbers("version_number > 1") == [("digits", "2")]
        url_stage = {"name": "digits", "version": "2", "stage": "production"}
        staged = client._get_registry_client().store  # the fluent call warns that stages are old
        moved = staged.transition_model_version_stage(**url_stage, archive_existing_versions=True)
        assert moved.current_stage == "Production"
        latest = staged.get_latest_versions("digits", ["None", "Production"])
        assert [(v.version, v.current_stage) for v in latest] == [("1", "None"), ("2", "Production")]
        staged.transition_model_version_stage("digits", "1", "Production", True)
        assert client.get_model_version("digits", "2").current_stage == "Archived"

    def test_a_flavour_that_nacre_does_not_convert_is_kept_and_not_deployed(
        self, server: House, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        client.log_artifacts(run, str(write(tmp_path / "m", PROPHET)), "model")
        mlflow.register_model(f"runs:/{run}/model", "forecast")
        version = server.services.models.get_version(server.caller, "forecast", "1")
        assert (version.framework, version.conversion) == ("mlflow", ConversionState.NONE)
        with pytest.raises(Conflict, match="flavour prophet"):
            server.services.endpoints.deploy(server.caller, "e", EndpointDeploy(model="forecast"))
        with pytest.raises(Conflict, match="flavour prophet"):
            server.services.models.convert(server.caller, "forecast", "1")

    def test_a_source_of_another_project_is_not_there(
        self, server: House, client: MlflowClient, run: str, tmp_path: Path
    ) -> None:
        client.log_artifacts(run, str(write(tmp_path / "m")), "model")
        model_id = log(client, run, write(tmp_path / "n"))
        mlflow.register_model(f"runs:/{run}/model", "digits")
        uri = client._get_registry_client().store.get_model_version_download_uri("digits", "1")
        api = f"{server.url}/api/2.0/mlflow"
        httpx.post(f"{api}/registered-models/create", json={"name": "x"}, headers=server.headers("other"))
        for source in (
            f"runs:/{run}/model",
            f"mlflow-artifacts:/0/{run}/artifacts/model",
            f"mlflow-artifacts:/0/models/{model_id}/artifacts",
            f"models:/{model_id}",
            "models:/digits/1",
            uri,
        ):
            body = {"name": "x", "source": source}
            found = httpx.post(f"{api}/model-versions/create", json=body, headers=server.headers("other"))
            assert (found.status_code, found.json()["error_code"]) == (404, "RESOURCE_DOES_NOT_EXIST"), (
                source
            )
        path = uri.removeprefix("mlflow-artifacts:/")
        proxied = f"{server.url}/api/2.0/mlflow-artifacts/artifacts/{path}/MLmodel"
        assert httpx.get(proxied, headers=server.headers("other")).status_code == 404
        assert httpx.get(proxied, headers=server.headers()).status_code == 200
        assert httpx.put(proxied, content=b"x", headers=server.headers()).status_code == 400

    @pytest.mark.parametrize(
        "source",
        ["/etc/passwd", "file:///etc", "s3://b/k", "runs:/{run}/../x", "models:/digits", "dbfs:/x"],
    )
    def test_a_source_that_nacre_does_not_keep(
        self, server: House, client: MlflowClient, run: str, source: str
    ) -> None:
        client.create_registered_model("x")
        url = f"{server.url}/api/2.0/mlflow/model-versions/create"
        body = {"name": "x", "source": source.replace("{run}", run)}
        found = httpx.post(url, json=body, headers=server.headers())
        assert (found.status_code, found.json()["error_code"]) == (400, "INVALID_PARAMETER_VALUE")


def test_an_mlmodel_that_cannot_be_read_does_no_harm(server: House, client: MlflowClient, run: str) -> None:
    for number, text in enumerate((b"\xff\xfe", b"[1, 2]", b"flavors: 7", b"a: &a [*a]", b"")):
        server.services.artifacts.put(server.caller, run, f"m{number}/MLmodel", io.BytesIO(text))
        version = mlflow.register_model(f"runs:/{run}/m{number}", "odd").version
        found = server.services.models.get_version(server.caller, "odd", version)
        assert (found.framework, found.message) == (
            "mlflow",
            "its file MLmodel cannot be read: log the model again",
        )
