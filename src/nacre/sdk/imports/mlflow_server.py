"""An MLflow store behind its server."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import httpx

from nacre.sdk.imports.protocol import Protocol, Refusal, unpaired
from nacre.sdk.imports.records import (
    POINTS,
    Experiment,
    LoggedModel,
    Place,
    Point,
    RegisteredModel,
    Run,
    Source,
    Unreachable,
    Version,
    dataset_input,
)

_PAGE = 500
_AJAX = "/ajax-api/2.0/mlflow/"


class ServerSource(Source):
    """Read through REST, with the credentials that MLflow's own client would use."""

    def __init__(self, uri: str, http: httpx.Client | None = None) -> None:
        parts = urlsplit(uri)
        host = parts.hostname or ""
        plain = urlunsplit(
            (parts.scheme, f"{host}:{parts.port}" if parts.port else host, parts.path.rstrip("/"), "", "")
        )
        self.label = plain
        self._http = http or httpx.Client(
            base_url=plain,
            headers=_token(uri),
            auth=_login(uri),
            timeout=httpx.Timeout(300.0, connect=10.0),
            verify=os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() not in ("1", "true"),
        )
        self._api = Protocol(self._http, patience_s=10.0)

    def experiments(self) -> list[Experiment]:
        def ask(token: str | None) -> dict[str, Any]:
            body = {"max_results": _PAGE, "view_type": "ACTIVE_ONLY", "page_token": token}
            return self._api.post("experiments/search", {k: v for k, v in body.items() if v is not None})

        try:
            return [
                Experiment(str(item["experiment_id"]), str(item["name"]), unpaired(item.get("tags")))
                for item in self._api.pages(ask, "experiments")
            ]
        except (httpx.HTTPError, Refusal) as error:
            raise Unreachable(f"{self.label} cannot be read: {error}") from None

    def runs(self, experiment: Experiment) -> Iterator[Run]:
        def ask(token: str | None) -> dict[str, Any]:
            body = {
                "experiment_ids": [experiment.id],
                "max_results": _PAGE,
                "run_view_type": "ACTIVE_ONLY",
                "order_by": ["attributes.start_time ASC"],
                "page_token": token,
            }
            return self._api.post("runs/search", {k: v for k, v in body.items() if v is not None})

        for item in self._api.pages(ask, "runs"):
            yield _run(item)

    def points(self, run: Run) -> Iterator[list[Point]]:
        for key in run.keys:
            gathered: list[Point] = []
            for item in self._api.pages(self._history(run.id, key), "metrics"):
                gathered.append(
                    (key, float(item["value"]), int(item["timestamp"]), int(item.get("step") or 0))
                )
                if len(gathered) >= POINTS:
                    yield gathered
                    gathered = []
            if gathered:
                yield gathered

    def _history(self, run: str, key: str) -> Callable[[str | None], dict[str, Any]]:
        def ask(token: str | None) -> dict[str, Any]:
            return self._api.get(
                "metrics/get-history", run_id=run, metric_key=key, max_results=25_000, page_token=token
            )

        return ask

    def files(self, place: Place) -> Iterator[tuple[str, int | None]]:
        folders = [""]
        while folders:
            for path, folder, size in self._children(place, folders.pop()):
                if folder:
                    folders.append(path)
                else:
                    yield path, size

    def _children(self, place: Place, folder: str) -> Iterator[tuple[str, bool, int | None]]:
        if place.kind == "model":
            path, field = (
                f"logged-models/{quote(place.id)}/artifacts/directories",
                "artifact_directory_path",
            )
            query: dict[str, Any] = {field: folder or None}
        else:
            path, query = "artifacts/list", {"run_id": place.id, "path": folder or None}
        token: str | None = None
        while True:
            found = self._api.get(path, **query, page_token=token)
            for item in found.get("files") or []:
                size = item.get("file_size")
                yield str(item["path"]), bool(item.get("is_dir")), None if size is None else int(size)
            token = found.get("next_page_token") or None
            if token is None:
                return

    @contextmanager
    def read(self, place: Place, path: str) -> Iterator[Iterator[bytes]]:
        if place.kind == "model":
            url = f"{_AJAX}logged-models/{quote(place.id)}/artifacts/files"
            query = {"artifact_file_path": path}
        else:
            url, query = "/get-artifact", {"run_uuid": place.id, "path": path}
        with self._http.stream("GET", url, params=query) as response:
            if response.status_code >= 400:
                response.read()
                raise Unreachable(
                    f"{path} of {place.kind} {place.id}: {response.status_code} {response.reason_phrase}"
                )
            yield response.iter_bytes(2**20)

    def logged_models(self, experiment: Experiment) -> Iterator[LoggedModel]:
        def ask(token: str | None) -> dict[str, Any]:
            body = {"experiment_ids": [experiment.id], "max_results": 50, "page_token": token}
            return self._api.post("logged-models/search", {k: v for k, v in body.items() if v is not None})

        try:
            for item in self._api.pages(ask, "models"):
                yield _logged(item)
        except Refusal as error:
            if error.status not in (404, 405, 501):
                raise
            # MLflow 2 has none

    def registered_models(self) -> Iterator[RegisteredModel]:
        def ask(token: str | None) -> dict[str, Any]:
            return self._api.get("registered-models/search", max_results=100, page_token=token)

        for item in self._api.pages(ask, "registered_models"):
            name = str(item["name"])
            versions = sorted(self._versions(name), key=lambda version: version.number)
            yield RegisteredModel(
                name=name,
                description=str(item.get("description") or ""),
                tags=unpaired(item.get("tags")),
                aliases={str(a["alias"]): int(a["version"]) for a in item.get("aliases") or []},
                versions=tuple(versions),
            )

    def _versions(self, name: str) -> Iterator[Version]:
        quoted = name.replace("'", "''")

        def ask(token: str | None) -> dict[str, Any]:
            return self._api.get(
                "model-versions/search", filter=f"name='{quoted}'", max_results=200, page_token=token
            )

        for item in self._api.pages(ask, "model_versions"):
            tags = unpaired(item.get("tags"))
            if (stage := str(item.get("current_stage") or "None")) != "None":
                tags["stage"] = stage
            yield Version(
                number=int(item["version"]),
                source=str(item.get("source") or ""),
                run=str(item.get("run_id") or ""),
                description=str(item.get("description") or ""),
                tags=tags,
            )

    def close(self) -> None:
        self._http.close()


def _ours(uri: str) -> bool:
    """Whether MLflow's variables speak of this server. In an instance they hold Nacre's own token."""
    meant = os.environ.get("MLFLOW_TRACKING_URI")
    if not meant:
        return True
    one, other = urlsplit(meant), urlsplit(uri)
    return (one.scheme, one.hostname, one.port) == (other.scheme, other.hostname, other.port)


def _token(uri: str) -> dict[str, str]:
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    named = urlsplit(uri).username is not None
    return {"Authorization": f"Bearer {token}"} if token and _ours(uri) and not named else {}


def _login(uri: str) -> tuple[str, str] | None:
    parts = urlsplit(uri)
    if parts.username is not None:
        return unquote(parts.username), unquote(parts.password or "")
    name = os.environ.get("MLFLOW_TRACKING_USERNAME")
    if name and _ours(uri) and not _token(uri):
        return name, os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    return None


def _run(item: dict[str, Any]) -> Run:
    info, data = item["info"], item.get("data") or {}
    tags = unpaired(data.get("tags"))
    end = info.get("end_time")
    id_ = str(info.get("run_id") or info["run_uuid"])
    return Run(
        id=id_,
        name=str(info.get("run_name") or tags.get("mlflow.runName") or ""),
        status=str(info.get("status") or "FINISHED"),
        start_ms=int(info.get("start_time") or 0),
        end_ms=int(end) if end else None,
        user=str(info.get("user_id") or ""),
        params=unpaired(data.get("params")),
        tags=tags,
        place=Place("run", id_, str(info.get("artifact_uri") or "")),
        keys=tuple(sorted({str(metric["key"]) for metric in data.get("metrics") or []})),
        inputs=tuple(_input(one) for one in (item.get("inputs") or {}).get("dataset_inputs") or []),
    )


def _input(item: dict[str, Any]) -> dict[str, Any]:
    found = item["dataset"]
    return dataset_input(
        str(found.get("name", "")),
        str(found.get("digest", "")),
        str(found.get("source_type", "")),
        str(found.get("source", "")),
        found.get("schema"),
        found.get("profile"),
        unpaired(item.get("tags")),
    )


def _logged(item: dict[str, Any]) -> LoggedModel:
    info, data = item["info"], item.get("data") or {}
    id_ = str(info["model_id"])
    return LoggedModel(
        id=id_,
        name=str(info.get("name") or ""),
        run=str(info.get("source_run_id") or ""),
        status=str(info.get("status") or "LOGGED_MODEL_READY"),
        kind=str(info.get("model_type") or ""),
        params=unpaired(data.get("params")),
        tags=unpaired(info.get("tags")),
        place=Place("model", id_, str(info.get("artifact_uri") or "")),
    )
