"""An MLflow store in a folder (``mlruns``), as MLflow's file store wrote it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import yaml

from nacre.sdk.imports.local_files import LocalFiles
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

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_LOGGED_STATUS = {1: "LOGGED_MODEL_PENDING", 2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED"}
_META = "meta.yaml"


class FolderSource(Source):
    """``root`` holds a folder for each experiment.

    Raises:
        Unreachable: there is no such store.
    """

    def __init__(self, root: Path, artifacts: Path | None = None) -> None:
        self.label = str(root)
        self._root = root
        self._files = LocalFiles(root.absolute().parent, artifacts)
        if not root.is_dir():
            raise Unreachable(f"there is no folder {str(root)!r}")
        if not any(path.parent.name != "models" for path in root.glob(f"*/{_META}")):
            raise Unreachable(f"{root} holds no MLflow store: there is no folder of an experiment in it")

    def experiments(self) -> list[Experiment]:
        found = []
        for folder in sorted(self._root.iterdir()):
            meta = _meta(folder)
            if folder.name not in ("models", ".trash") and meta and _active(meta):
                found.append(
                    Experiment(folder.name, str(meta.get("name", folder.name)), _texts(folder / "tags"))
                )
        return found

    def runs(self, experiment: Experiment) -> Iterator[Run]:
        folder = self._root / experiment.id
        metas = [(path.parent, _meta(path.parent)) for path in folder.glob(f"*/{_META}")]
        runs = [
            (path, meta)
            for path, meta in metas
            if meta and _active(meta) and ("run_id" in meta or "run_uuid" in meta)
        ]
        runs.sort(key=lambda run: (int(run[1].get("start_time") or 0), run[0].name))
        for path, meta in runs:
            tags = _texts(path / "tags")
            status = meta.get("status")
            yield Run(
                id=path.name,
                name=str(meta.get("run_name") or tags.get("mlflow.runName") or ""),
                status=_STATUS.get(status, "FINISHED")
                if isinstance(status, int)
                else str(status or "FINISHED"),
                start_ms=int(meta.get("start_time") or 0),
                end_ms=int(meta["end_time"]) if meta.get("end_time") else None,
                user=str(meta.get("user_id") or ""),
                params=_texts(path / "params"),
                tags=tags,
                place=Place("run", f"{experiment.id}/{path.name}", str(meta.get("artifact_uri") or "")),
                keys=(experiment.id,),
                inputs=tuple(self._inputs(folder, path)),
            )

    def _inputs(self, experiment: Path, run: Path) -> Iterator[dict[str, Any]]:
        for path in sorted((run / "inputs").glob(f"*/{_META}")):
            link = _meta(path.parent) or {}
            found = _meta(experiment / "datasets" / str(link.get("source_id", "")))
            if link.get("source_type") == "DATASET" and found:
                tags = {str(key): str(value) for key, value in (link.get("tags") or {}).items()}
                yield dataset_input(
                    str(found.get("name", "")),
                    str(found.get("digest", "")),
                    str(found.get("source_type", "")),
                    str(found.get("source", "")),
                    found.get("schema"),
                    found.get("profile"),
                    tags,
                )

    def points(self, run: Run) -> Iterator[list[Point]]:
        folder = self._root / run.place.id / "metrics"
        gathered: list[Point] = []
        for path in sorted(folder.rglob("*")):
            if not path.is_file():
                continue
            key = path.relative_to(folder).as_posix()
            with path.open(encoding="utf-8") as lines:
                for number, line in enumerate(lines):
                    if words := line.split():
                        gathered.append(_point(key, words, number, path))
                    if len(gathered) >= POINTS:
                        yield gathered
                        gathered = []
        if gathered:
            yield gathered

    def _folder(self, place: Place) -> Path:
        """The store's own folder; where its artifacts are elsewhere, what its record says."""
        own = self._root / place.id / "artifacts"
        return own if own.is_dir() or not place.uri else self._files.folder(place)

    def files(self, place: Place) -> Iterator[tuple[str, int | None]]:
        return self._files.files(self._folder(place))

    def read(self, place: Place, path: str) -> AbstractContextManager[Iterator[bytes]]:
        return self._files.read(self._folder(place), path)

    def logged_models(self, experiment: Experiment) -> Iterator[LoggedModel]:
        for path in sorted((self._root / experiment.id / "models").glob(f"*/{_META}")):
            meta = _meta(path.parent)
            if not meta or not _active(meta):
                continue
            status = meta.get("status")
            yield LoggedModel(
                id=path.parent.name,
                name=str(meta.get("name") or path.parent.name),
                run=str(meta.get("source_run_id") or ""),
                status=_LOGGED_STATUS.get(status, "LOGGED_MODEL_READY")
                if isinstance(status, int)
                else str(status),
                kind=str(meta.get("model_type") or ""),
                params=_texts(path.parent / "params"),
                tags=_texts(path.parent / "tags"),
                place=Place(
                    "model",
                    f"{experiment.id}/models/{path.parent.name}",
                    str(meta.get("artifact_location") or ""),
                ),
            )

    def registered_models(self) -> Iterator[RegisteredModel]:
        for folder in sorted((self._root / "models").glob("*")):
            meta = _meta(folder)
            if not meta:
                continue
            versions = [
                version for path in folder.glob(f"version-*/{_META}") if (version := _version(path.parent))
            ]
            yield RegisteredModel(
                name=str(meta.get("name") or folder.name),
                description=str(meta.get("description") or ""),
                tags=_texts(folder / "tags"),
                aliases={
                    alias: int(number)
                    for alias, number in _texts(folder / "aliases").items()
                    if number.isdecimal()
                },
                versions=tuple(sorted(versions, key=lambda version: version.number)),
            )

    def close(self) -> None:
        """Nothing is open."""


def _version(folder: Path) -> Version | None:
    meta = _meta(folder)
    if not meta or meta.get("current_stage") == "Deleted_Internal":
        return None
    tags = _texts(folder / "tags")
    if (stage := str(meta.get("current_stage") or "None")) != "None":
        tags["stage"] = stage
    return Version(
        number=int(meta["version"]),
        source=str(meta.get("source") or ""),
        run=str(meta.get("run_id") or ""),
        description=str(meta.get("description") or ""),
        tags=tags,
    )


def _point(key: str, words: list[str], number: int, path: Path) -> Point:
    """A line is ``time value step``; MLflow before 1.0 left the step out."""
    try:
        value = float(words[1]) if len(words) > 1 else float(words[0])
        time_ms = int(words[0]) if len(words) > 1 else 0
        step = int(words[2]) if len(words) > 2 else number
    except ValueError:
        raise Unreachable(f"{path}: line {number + 1} is no point of a metric") from None
    return key, value if not math.isnan(value) else math.nan, time_ms, step


def _meta(folder: Path) -> dict[str, Any] | None:
    path = folder / _META
    if not path.is_file():
        return None
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, ValueError) as error:
        raise Unreachable(f"{path} cannot be read: {error}") from None
    return found if isinstance(found, dict) else None


def _active(meta: dict[str, Any]) -> bool:
    return str(meta.get("lifecycle_stage", "active")).lower() == "active"


def _texts(folder: Path) -> dict[str, str]:
    """The files below a folder: a key for each, with its text."""
    if not folder.is_dir():
        return {}
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace").rstrip("\n")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
