"""Nacre as the target of an import: what was imported before, and what is written."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

from nacre.sdk.imports.protocol import Protocol, Refusal, pairs, unpaired, wire_number
from nacre.sdk.imports.records import Experiment, LoggedModel, Point, Run

RUN_TAG = "nacre.import.run_id"
STATE_TAG = "nacre.import.state"
SOURCE_TAG = "nacre.import.source"
VERSION_TAG = "nacre.import.version"
MODEL_TAG = "nacre.import.model_id"
COMPLETE = "complete"
PARTIAL = "partial"
MAX_METRICS = 1000
_MAX_TEXTS = 100
_MAX_VALUE = 8000
_RUN_OF_MODELS = "mlflow.log-model.history"
_OWN = frozenset({"mlflow.runName", "mlflow.parentRunId"})


class Imported:
    """A run or logged model that is there, with what its origin was."""

    def __init__(self, id_: str, state: str, uri: str) -> None:
        self.id = id_
        self.state = state
        self.uri = uri

    @property
    def complete(self) -> bool:
        """Whether nothing of it is missing."""
        return self.state == COMPLETE


class Target:
    """Writes through MLflow's protocol, so that times and parents stay what they were.

    ``source``: the store's name, kept as a tag.
    """

    def __init__(self, http: httpx.Client, project: str, source: str) -> None:
        self._api = Protocol(http, {"X-MLFLOW-WORKSPACE": project})
        self._source = source[:_MAX_VALUE]

    # Experiments

    def find_experiment(self, name: str) -> str | None:
        """Its id, if there is one of the name."""
        try:
            found = self._api.get("experiments/get-by-name", experiment_name=name)
        except Refusal as error:
            if error.code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        return str(found["experiment"]["experiment_id"])

    def experiment(self, experiment: Experiment) -> str:
        """The id of the experiment of this name; made, with its tags, where there is none."""
        id_ = self.find_experiment(experiment.name)
        if id_ is None:
            try:
                made = self._api.post("experiments/create", {"name": experiment.name})
                id_ = str(made["experiment_id"])
            except Refusal as error:
                if error.code != "RESOURCE_ALREADY_EXISTS":
                    raise
                id_ = self.find_experiment(experiment.name) or ""
        for key, value in experiment.tags.items():
            body = {"experiment_id": id_, "key": key, "value": value[:_MAX_VALUE]}
            self._api.post("experiments/set-experiment-tag", body)
        return id_

    # Runs

    def imported_runs(self, experiment_id: str) -> dict[str, Imported]:
        """Runs of an experiment that imports made, by the id that they had."""

        def ask(token: str | None) -> dict[str, Any]:
            body: dict[str, Any] = {
                "experiment_ids": [experiment_id],
                "filter": f"tags.`{RUN_TAG}` LIKE '%'",
                "max_results": 500,
            }
            return self._api.post("runs/search", body | ({"page_token": token} if token else {}))

        found = {}
        for item in self._api.pages(ask, "runs"):
            tags = unpaired((item.get("data") or {}).get("tags"))
            info = item["info"]
            found[tags[RUN_TAG]] = Imported(
                str(info["run_id"]), tags.get(STATE_TAG, PARTIAL), str(info["artifact_uri"])
            )
        return found

    def create_run(self, experiment_id: str, run: Run) -> Imported:
        """The run, with its time of start, its user and the tags that say where it is from."""
        marks = {RUN_TAG: run.id, STATE_TAG: PARTIAL, SOURCE_TAG: self._source}
        body = {
            "experiment_id": experiment_id,
            "run_name": run.name,
            "user_id": run.user,
            "start_time": run.start_ms,
            "tags": pairs(marks),
        }
        info = self._api.post("runs/create", body, repeat=False)["run"]["info"]
        return Imported(str(info["run_id"]), PARTIAL, str(info["artifact_uri"]))

    def texts(self, run: Run, id_: str, problem: Callable[[str], None]) -> None:
        """Params, tags and data sets of a run. Values that are too long are cut, and said."""
        params = {key: _cut(f"param {key}", value, problem) for key, value in run.params.items()}
        tags = {
            key: _cut(f"tag {key}", value.replace(run.id, id_) if key == _RUN_OF_MODELS else value, problem)
            for key, value in run.tags.items()
            if key not in _OWN
        }
        for part in _parts(pairs(params), _MAX_TEXTS):
            self._api.post("runs/log-batch", {"run_id": id_, "params": part})
        for part in _parts(pairs(tags), _MAX_TEXTS):
            self._api.post("runs/log-batch", {"run_id": id_, "tags": part})
        if run.inputs:
            self._api.post("runs/log-inputs", {"run_id": id_, "datasets": list(run.inputs)})

    def points(self, id_: str, points: Sequence[Point]) -> None:
        """At most ``MAX_METRICS`` points; those that are there are not there twice."""
        metrics = [
            {"key": key, "value": wire_number(value), "timestamp": time_ms, "step": step}
            for key, value, time_ms, step in points
        ]
        self._api.post("runs/log-batch", {"run_id": id_, "metrics": metrics})

    def end_run(self, id_: str, status: str, end_ms: int | None) -> None:
        """End a run as it ended. One that still goes on over there stays running."""
        body: dict[str, Any] = {"run_id": id_, "status": status}
        self._api.post("runs/update", body | ({"end_time": end_ms} if end_ms is not None else {}))

    def tag_run(self, id_: str, key: str, value: str) -> None:
        """Set a tag."""
        self._api.post("runs/set-tag", {"run_id": id_, "key": key, "value": value})

    # Artifacts

    def there(self, uri: str) -> dict[str, int | None]:
        """(path, size) of each artifact that is there, for a run or model of this address."""
        root = _proxied(uri)
        found: dict[str, int | None] = {}
        folders = [""]
        while folders:
            folder = folders.pop()
            for name, is_folder, size in self._api.list_files("/".join(filter(None, (root, folder)))):
                path = "/".join(filter(None, (folder, name.rstrip("/").rpartition("/")[2])))
                if is_folder:
                    folders.append(path)
                else:
                    found[path] = size
        return found

    def put(self, uri: str, path: str, open_pieces: Callable[[], Iterator[bytes]]) -> int:
        """Send an artifact; returns its size."""
        return self._api.put_file(f"{_proxied(uri)}/{path}", open_pieces)

    # Logged models

    def imported_models(self, experiment_id: str) -> dict[str, Imported]:
        """Logged models of an experiment that imports made, by the id that they had."""

        def ask(token: str | None) -> dict[str, Any]:
            body: dict[str, Any] = {"experiment_ids": [experiment_id], "max_results": 50}
            return self._api.post("logged-models/search", body | ({"page_token": token} if token else {}))

        found = {}
        for item in self._api.pages(ask, "models"):
            info = item["info"]
            tags = unpaired(info.get("tags"))
            if MODEL_TAG in tags:
                state = COMPLETE if info.get("status") == "LOGGED_MODEL_READY" else PARTIAL
                found[tags[MODEL_TAG]] = Imported(str(info["model_id"]), state, str(info["artifact_uri"]))
        return found

    def create_model(self, experiment_id: str, model: LoggedModel, run_id: str | None) -> Imported:
        """The logged model, which is not ready yet."""
        body: dict[str, Any] = {
            "experiment_id": experiment_id,
            "name": model.name,
            "model_type": model.kind,
            "params": pairs(model.params),
            "tags": pairs({**model.tags, MODEL_TAG: model.id, SOURCE_TAG: self._source}),
        }
        made = self._api.post(
            "logged-models", body | ({"source_run_id": run_id} if run_id else {}), repeat=False
        )
        info = made["model"]["info"]
        return Imported(str(info["model_id"]), PARTIAL, str(info["artifact_uri"]))

    def finish_model(self, id_: str, status: str, run_id: str | None) -> None:
        """Everything of it is there; its run made it."""
        body = {"model_id": id_, "status": status}
        self._api.post(f"logged-models/{id_}", body, method="PATCH")
        if run_id:
            self._api.post("runs/outputs", {"run_id": run_id, "models": [{"model_id": id_, "step": 0}]})

    # Registry

    def registered_model(self, name: str, description: str, tags: dict[str, str]) -> None:
        """Make it where it is not there."""
        with contextlib.suppress(Refusal):
            self._api.get("registered-models/get", name=name)
            return
        body = {"name": name, "description": description, "tags": pairs(tags)}
        self._api.post("registered-models/create", body)

    def imported_versions(self, name: str) -> dict[int, str]:
        """Versions that imports made: the number that each had, and the one that it has."""
        quoted = name.replace("'", "''")

        def ask(token: str | None) -> dict[str, Any]:
            return self._api.get("model-versions/search", filter=f"name='{quoted}'", page_token=token)

        found = {}
        for item in self._api.pages(ask, "model_versions"):
            tags = unpaired(item.get("tags"))
            if tags.get(SOURCE_TAG) == self._source and tags.get(VERSION_TAG, "").isdecimal():
                found[int(tags[VERSION_TAG])] = str(item["version"])
        return found

    def create_version(
        self,
        name: str,
        number: int,
        source: str,
        run_id: str | None,
        description: str,
        tags: dict[str, str],
    ) -> str:
        """A version; returns its number."""
        marks = {**tags, VERSION_TAG: str(number), SOURCE_TAG: self._source}
        body: dict[str, Any] = {
            "name": name,
            "source": source,
            "description": description,
            "tags": pairs(marks),
        }
        if source.startswith("models:/"):
            body["model_id"] = source.removeprefix("models:/")
        if run_id:
            body["run_id"] = run_id
        made = self._api.post("model-versions/create", body, repeat=False)
        return str(made["model_version"]["version"])

    def alias(self, name: str, alias: str, version: str) -> None:
        """Point an alias at a version."""
        self._api.post("registered-models/alias", {"name": name, "alias": alias, "version": version})


def _proxied(uri: str) -> str:
    """The path in the artifact proxy of an ``mlflow-artifacts:`` address."""
    return unquote(urlsplit(uri).path).strip("/")


def _parts(items: list[Any], size: int) -> Iterator[list[Any]]:
    for at in range(0, len(items), size):
        yield items[at : at + size]


def _cut(what: str, value: str, problem: Callable[[str], None]) -> str:
    if len(value) <= _MAX_VALUE:
        return value
    problem(f"{what}: {len(value)} characters were cut to {_MAX_VALUE}")
    return value[:_MAX_VALUE]
