"""An MLflow store in its database, read without MLflow and without writing.

Tables differ between MLflow 1, 2 and 3: only columns and tables that are there are asked for.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from sqlalchemy import Connection, Engine, Select, column, create_engine, inspect, select, table
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

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

_CHUNK = 500
_LOGGED_STATUS = {1: "LOGGED_MODEL_PENDING", 2: "LOGGED_MODEL_READY", 3: "LOGGED_MODEL_UPLOAD_FAILED"}


class DatabaseSource(Source):
    """``uri``: ``sqlite:///path`` or ``postgresql://…``. ``artifacts``: the folder in which the store's
    server keeps artifacts, where it is not ``mlartifacts`` beside the database.

    Raises:
        Unreachable: there is no such database, or it is none of MLflow's.
    """

    def __init__(self, uri: str, artifacts: Path | None = None) -> None:
        try:
            url = make_url(uri)
        except ArgumentError as error:
            raise Unreachable(
                f"{uri.partition('@')[2] or uri} is no address of a database: {error}"
            ) from None
        self.label = url.render_as_string(hide_password=True)
        base = Path.cwd()
        if url.get_backend_name() == "sqlite":
            base = Path(url.database or "").absolute().parent
        if artifacts is None and (base / "mlartifacts").is_dir():
            artifacts = base / "mlartifacts"
        self._files = LocalFiles(base, artifacts)
        self._engine = _engine(url, self.label)
        try:
            described = inspect(self._engine)
            self._columns = {
                name: {found["name"] for found in described.get_columns(name)}
                for name in described.get_table_names()
            }
        except SQLAlchemyError as error:
            raise Unreachable(f"{self.label} cannot be read: {_cause(error)}") from None
        if not {"experiments", "runs", "metrics", "params", "tags"} <= set(self._columns):
            raise Unreachable(f"{self.label} holds no MLflow store: it has no tables of runs and metrics")

    def _select(self, name: str, *wanted: str) -> Select[Any]:
        """The columns of a table that are there; an absent one is null."""
        there = self._columns.get(name, set())
        source = table(name, *(column(c) for c in wanted if c in there))
        return select(*(source.c[c] for c in wanted if c in there))

    def _rows(self, statement: Select[Any], session: Connection | None = None) -> list[Any]:
        if session is not None:
            return list(session.execute(statement).mappings())
        with self._engine.connect() as opened:
            return list(opened.execute(statement).mappings())

    def _pairs(
        self, name: str, owner: str, ids: Sequence[Any], key: str, value: str
    ) -> dict[Any, dict[str, str]]:
        """Key and value by owner, of a table of tags or params."""
        found: dict[Any, dict[str, str]] = {}
        if name in self._columns:
            statement = self._select(name, owner, key, value).where(column(owner).in_(ids))
            for row in self._rows(statement):
                found.setdefault(row[owner], {})[row[key]] = "" if row[value] is None else str(row[value])
        return found

    def experiments(self) -> list[Experiment]:
        statement = self._select("experiments", "experiment_id", "name", "lifecycle_stage")
        rows = [row for row in self._rows(statement) if row.get("lifecycle_stage", "active") == "active"]
        tags = self._pairs(
            "experiment_tags", "experiment_id", [r["experiment_id"] for r in rows], "key", "value"
        )
        return [
            Experiment(str(row["experiment_id"]), row["name"], tags.get(row["experiment_id"], {}))
            for row in rows
        ]

    def runs(self, experiment: Experiment) -> Iterator[Run]:
        wanted = (
            "run_uuid",
            "name",
            "status",
            "start_time",
            "end_time",
            "user_id",
            "artifact_uri",
            "lifecycle_stage",
        )
        statement = self._select("runs", *wanted).where(column("experiment_id") == int(experiment.id))
        rows = [row for row in self._rows(statement) if row.get("lifecycle_stage", "active") == "active"]
        rows.sort(key=lambda row: (row["start_time"] or 0, row["run_uuid"]))
        for at in range(0, len(rows), _CHUNK):
            part = rows[at : at + _CHUNK]
            ids = [row["run_uuid"] for row in part]
            params = self._pairs("params", "run_uuid", ids, "key", "value")
            tags = self._pairs("tags", "run_uuid", ids, "key", "value")
            inputs = self._inputs(ids)
            for row in part:
                id_ = row["run_uuid"]
                own = tags.get(id_, {})
                yield Run(
                    id=id_,
                    name=row.get("name") or own.get("mlflow.runName", ""),
                    status=row["status"] or "FINISHED",
                    start_ms=int(row["start_time"] or 0),
                    end_ms=int(row["end_time"]) if row["end_time"] else None,
                    user=row.get("user_id") or "",
                    params=params.get(id_, {}),
                    tags=own,
                    place=Place("run", id_, row.get("artifact_uri") or ""),
                    inputs=tuple(inputs.get(id_, ())),
                )

    def _inputs(self, run_ids: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
        if not {"inputs", "datasets"} <= set(self._columns):
            return {}
        links = [
            row
            for row in self._rows(
                self._select("inputs", "input_uuid", "source_type", "source_id", "destination_id").where(
                    column("destination_type") == "RUN", column("destination_id").in_(run_ids)
                )
            )
            if row["source_type"] == "DATASET"
        ]
        if not links:
            return {}
        names = (
            "dataset_uuid",
            "name",
            "digest",
            "dataset_source_type",
            "dataset_source",
            "dataset_schema",
            "dataset_profile",
        )
        wanted = self._select("datasets", *names).where(
            column("dataset_uuid").in_({r["source_id"] for r in links})
        )
        datasets = {row["dataset_uuid"]: row for row in self._rows(wanted)}
        tags = self._pairs(
            "input_tags", "input_uuid", [row["input_uuid"] for row in links], "name", "value"
        )
        found: dict[str, list[dict[str, Any]]] = {}
        for link in links:
            if (row := datasets.get(link["source_id"])) is not None:
                found.setdefault(link["destination_id"], []).append(
                    dataset_input(
                        row["name"],
                        row["digest"],
                        row["dataset_source_type"],
                        row["dataset_source"],
                        row.get("dataset_schema"),
                        row.get("dataset_profile"),
                        tags.get(link["input_uuid"], {}),
                    )
                )
        return found

    def points(self, run: Run) -> Iterator[list[Point]]:
        statement = (
            self._select("metrics", "key", "value", "timestamp", "step", "is_nan")
            .where(column("run_uuid") == run.id)
            .order_by(column("key"), column("step"), column("timestamp"))
        )
        with self._engine.connect() as session:
            for part in session.execute(statement).mappings().partitions(POINTS):
                yield [
                    (
                        row["key"],
                        math.nan if row.get("is_nan") else float(row["value"]),
                        int(row["timestamp"] or 0),
                        int(row.get("step") or 0),
                    )
                    for row in part
                ]

    def files(self, place: Place) -> Iterator[tuple[str, int | None]]:
        return self._files.files(self._files.folder(place)) if place.uri else iter(())

    def read(self, place: Place, path: str) -> AbstractContextManager[Iterator[bytes]]:
        return self._files.read(self._files.folder(place), path)

    def logged_models(self, experiment: Experiment) -> Iterator[LoggedModel]:
        if "logged_models" not in self._columns:
            return
        wanted = (
            "model_id",
            "name",
            "artifact_location",
            "status",
            "lifecycle_stage",
            "model_type",
            "source_run_id",
            "creation_timestamp_ms",
        )
        statement = self._select("logged_models", *wanted).where(
            column("experiment_id") == int(experiment.id)
        )
        rows = [row for row in self._rows(statement) if row.get("lifecycle_stage", "active") == "active"]
        rows.sort(key=lambda row: row.get("creation_timestamp_ms") or 0)
        ids = [row["model_id"] for row in rows]
        params = self._pairs("logged_model_params", "model_id", ids, "param_key", "param_value")
        tags = self._pairs("logged_model_tags", "model_id", ids, "tag_key", "tag_value")
        for row in rows:
            id_ = row["model_id"]
            yield LoggedModel(
                id=id_,
                name=row["name"],
                run=row.get("source_run_id") or "",
                status=_LOGGED_STATUS.get(row.get("status"), "LOGGED_MODEL_READY"),
                kind=row.get("model_type") or "",
                params=params.get(id_, {}),
                tags=tags.get(id_, {}),
                place=Place("model", id_, row.get("artifact_location") or ""),
            )

    def registered_models(self) -> Iterator[RegisteredModel]:
        if not {"registered_models", "model_versions"} <= set(self._columns):
            return
        models = self._rows(
            self._select("registered_models", "name", "description").order_by(column("name"))
        )
        names = [row["name"] for row in models]
        tags = self._pairs("registered_model_tags", "name", names, "key", "value")
        aliases = self._pairs("registered_model_aliases", "name", names, "alias", "version")
        versions = self._versions()
        for row in models:
            yield RegisteredModel(
                name=row["name"],
                description=row.get("description") or "",
                tags=tags.get(row["name"], {}),
                aliases={alias: int(number) for alias, number in aliases.get(row["name"], {}).items()},
                versions=tuple(versions.get(row["name"], ())),
            )

    def _versions(self) -> dict[str, list[Version]]:
        wanted = ("name", "version", "source", "run_id", "description", "current_stage", "status")
        rows = self._rows(
            self._select("model_versions", *wanted).order_by(column("name"), column("version"))
        )
        tags: dict[tuple[str, int], dict[str, str]] = {}
        if "model_version_tags" in self._columns:
            for row in self._rows(self._select("model_version_tags", "name", "version", "key", "value")):
                tags.setdefault((row["name"], row["version"]), {})[row["key"]] = row["value"] or ""
        found: dict[str, list[Version]] = {}
        for name, group in groupby(rows, key=lambda row: row["name"]):
            for row in group:
                if (stage := row.get("current_stage") or "None") == "Deleted_Internal":
                    continue
                own = dict(tags.get((name, row["version"]), {}))
                own |= {"stage": stage} if stage != "None" else {}
                found.setdefault(name, []).append(
                    Version(
                        number=int(row["version"]),
                        source=row.get("source") or "",
                        run=row.get("run_id") or "",
                        description=row.get("description") or "",
                        tags=own,
                    )
                )
        return found

    def close(self) -> None:
        self._engine.dispose()


def _engine(url: URL, label: str) -> Engine:
    kind = url.get_backend_name()
    if kind == "sqlite":
        path = unquote(url.database or "")
        if not Path(path).is_file():
            raise Unreachable(f"there is no database {path!r}")
        uri = f"file:{quote(str(Path(path).absolute()))}?mode=ro"
        return create_engine(
            "sqlite://", creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False, timeout=30)
        )
    if kind == "postgresql":
        try:
            return create_engine(
                url.set(drivername="postgresql+psycopg"), execution_options={"postgresql_readonly": True}
            )
        except (NoSuchModuleError, ArgumentError) as error:
            raise Unreachable(f"{label} cannot be opened: {error}") from None
    raise Unreachable(
        f"a database of {kind} is not read: only sqlite and postgresql; import from the http address of an "
        "MLflow server on it"
    )


def _cause(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
