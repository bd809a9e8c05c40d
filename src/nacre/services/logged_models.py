"""Logged models: made by runs, filled with files, tagged, measured, found again."""

from __future__ import annotations

import math
import uuid
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.logged_models import Dataset, describe_logged_models, search_logged_models
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.logged_models import (
    LoggedModelMetricRow,
    LoggedModelRow,
    LoggedModelTextRow,
    RunModelRow,
)
from nacre.db.tables.runs import ExperimentRow, RunRow
from nacre.domain.identity import Caller
from nacre.domain.run_filter import Comparison, Order
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.logged_models import LoggedModel, LoggedModelState
from nacre.services.artifacts import check_own_run
from nacre.services.tracking import storable

Direction = Literal["input", "output"]
_ODD = ("/", ":", ".", "%", '"', "'")
_MAX_KEY = 250


class LoggedModels:
    """The only writer of logged models. Their files are those of ``Artifacts``."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def create(
        self,
        caller: Caller,
        *,
        experiment: int,
        name: str | None = None,
        kind: str = "",
        run: str | None = None,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> LoggedModel:
        """A pending model of an experiment; a null name is made up.

        Raises:
            NotFound: the project has no such experiment or run.
            InvalidSpec: a name that none can have.
        """
        model_id = f"m-{uuid.uuid4().hex}"
        name = f"model-{model_id[2:8]}" if name is None else storable(name)
        if not name or len(name) > 500 or any(sign in name for sign in _ODD):
            raise InvalidSpec(
                f"Invalid model name ({name[:510]!r}) provided. Model name must be a non-empty string and "
                f"cannot contain the following characters: {_ODD}"
            )
        with self._db.write() as session:
            found = session.get(ExperimentRow, experiment)
            if found is None or found.project_id != caller.project_id:
                raise NotFound(f"No Experiment with id={experiment} exists")
            if run is not None:
                _run_number(session, caller, run)
            now = self._clock.now()
            row = LoggedModelRow(
                id=model_id,
                project_id=caller.project_id,
                experiment_id=experiment,
                run_uuid=run,
                name=name,
                kind=storable(kind)[:500],
                state=LoggedModelState.PENDING,
                message="",
                created_at=now,
                updated_at=now,
            )
            session.add(row)
            session.flush()
            self._write(session, model_id, "p", params or {})
            self._write(session, model_id, "t", tags or {})
            return describe_logged_models(session, [row])[0]

    def get(self, caller: Caller, model: str) -> LoggedModel:
        """One that is not in the trash.

        Raises:
            NotFound: the project has none of this id.
        """
        with self._db.read() as session:
            return describe_logged_models(session, [_find(session, caller.project_id, model)])[0]

    def search(
        self,
        caller: Caller,
        *,
        experiments: Sequence[int],
        filter_: Sequence[Comparison] = (),
        order: Sequence[tuple[Order, Dataset | None]] = (),
        datasets: Sequence[Dataset] = (),
        limit: int = 100,
        offset: int = 0,
    ) -> tuple[list[LoggedModel], int | None]:
        """A page, and the offset of the next one."""
        with self._db.read() as session:
            rows = search_logged_models(
                session,
                caller.project_id,
                experiments=experiments,
                filter_=filter_,
                order=order,
                datasets=datasets,
                limit=limit + 1,
                offset=offset,
            )
            found = describe_logged_models(session, rows[:limit])
        return found, offset + limit if len(rows) > limit else None

    def finish(self, caller: Caller, model: str, state: LoggedModelState) -> LoggedModel:
        """Say that its files are there, or that they will not come."""
        with self._db.write() as session:
            row = self._to_write(session, caller, model)
            row.state = state
            session.flush()
            return describe_logged_models(session, [row])[0]

    def delete(self, caller: Caller, model: str) -> None:
        """Put it into the trash."""
        with self._db.write() as session:
            self._to_write(session, caller, model).deleted_at = self._clock.now()

    def set_tags(self, caller: Caller, model: str, tags: Mapping[str, str]) -> LoggedModel:
        """Set tags; others stay."""
        with self._db.write() as session:
            row = self._to_write(session, caller, model)
            self._write(session, row.id, "t", tags)
            session.flush()
            return describe_logged_models(session, [row])[0]

    def delete_tag(self, caller: Caller, model: str, key: str) -> None:
        """Remove a tag.

        Raises:
            NotFound: there is none of this key.
        """
        with self._db.write() as session:
            row = self._to_write(session, caller, model)
            found = session.get(LoggedModelTextRow, (row.id, "t", key))
            if found is None:
                raise NotFound(f"No tag with key {key!r} found for model with ID {model!r}.")
            session.delete(found)

    def log_params(self, caller: Caller, model: str, params: Mapping[str, str]) -> None:
        """Add params.

        Raises:
            Conflict: one is there with another value.
        """
        with self._db.write() as session:
            row = self._to_write(session, caller, model)
            mine = (LoggedModelTextRow.model_id == row.id, LoggedModelTextRow.kind == "p")
            there = {
                text.key: text.value for text in session.scalars(select(LoggedModelTextRow).where(*mine))
            }
            for key, value in params.items():
                if there.get(key, value) != value:
                    raise Conflict(
                        f"the param {key!r} is {there[key]!r} already and cannot become {value!r}"
                    )
            self._write(session, row.id, "p", params)

    def record_metrics(self, project_id: str, run: str, metrics: Sequence[Mapping[str, Any]]) -> None:
        """Keep the latest value of each (``model_id``, ``key``, ``step``, ``timestamp``, ``value``,
        ``dataset_name``, ``dataset_digest``); an older one changes nothing, so a repeated send does no
        harm. That the run may be written to is the caller's to know.

        Raises:
            NotFound: the project has no such model.
        """
        latest: dict[tuple[str, ...], dict[str, Any]] = {}
        for metric in metrics:
            value = metric["value"]
            row = {
                "model_id": metric["model_id"],
                "run_uuid": run,
                "key": storable(metric["key"]),
                "dataset_name": storable(metric.get("dataset_name") or "")[:500],
                "dataset_digest": storable(metric.get("dataset_digest") or "")[:64],
                "step": metric["step"],
                "ts": metric["timestamp"],
                "value": None if value is None or math.isnan(value) else value,
            }
            key = (row["model_id"], row["key"], row["dataset_name"], row["dataset_digest"])
            if key not in latest or _when(latest[key]) <= _when(row):
                latest[key] = row
        if not latest:
            return
        table = LoggedModelMetricRow
        with self._db.write() as session:
            for model in sorted({row["model_id"] for row in latest.values()}):
                _find(session, project_id, model)
            statement = insert_into(self._db, table)
            statement = statement.on_conflict_do_update(
                index_elements=["model_id", "run_uuid", "key", "dataset_name", "dataset_digest"],
                set_={name: statement.excluded[name] for name in ("step", "ts", "value")},
                where=tuple_(table.step, table.ts)
                <= tuple_(statement.excluded.step, statement.excluded.ts),
            )
            session.execute(statement, list(latest.values()))

    def linked(self, project_id: str, runs: Sequence[str]) -> dict[str, list[tuple[Direction, str, int]]]:
        """By run: the models that it read or made (direction, id, step)."""
        statement = (
            select(RunRow.uuid, RunModelRow.direction, RunModelRow.model_id, RunModelRow.step)
            .join(RunRow, RunRow.id == RunModelRow.run_id)
            .where(RunRow.project_id == project_id, RunRow.uuid.in_(runs))
            .order_by(RunModelRow.step, RunModelRow.model_id)
        )
        found: dict[str, list[tuple[Direction, str, int]]] = {}
        with self._db.read() as session:
            for run, direction, model, step in session.execute(statement):
                way: Direction = "input" if direction == "input" else "output"
                found.setdefault(run, []).append((way, model, step))
        return found

    # Within

    def _to_write(self, session: Session, caller: Caller, model: str) -> LoggedModelRow:
        row = _find(session, caller.project_id, model)
        check_own_run(session, caller, row.run_uuid)
        session.refresh(row, with_for_update=True)
        row.updated_at = self._clock.now()
        return row

    def _write(self, session: Session, model: str, kind: str, texts: Mapping[str, str]) -> None:
        bad = next((key for key in texts if not 0 < len(key) <= _MAX_KEY), None)
        if bad is not None:
            raise InvalidSpec(f"the key {bad[:260]!r} cannot be: keys have 1 to {_MAX_KEY} characters")
        rows = {storable(key): storable(value) for key, value in texts.items()}
        mine = (LoggedModelTextRow.model_id == model, LoggedModelTextRow.kind == kind)
        session.execute(delete(LoggedModelTextRow).where(*mine, LoggedModelTextRow.key.in_(rows)))
        session.add_all(
            LoggedModelTextRow(model_id=model, kind=kind, key=key, value=value)
            for key, value in rows.items()
        )
        session.flush()


def _when(row: Mapping[str, Any]) -> tuple[int, int]:
    return row["step"], row["ts"]


def _find(session: Session, project_id: str, model: str) -> LoggedModelRow:
    row = session.get(LoggedModelRow, model)
    if row is None or row.project_id != project_id or row.deleted_at is not None:
        raise NotFound(f"Logged model with ID '{model}' not found.")
    return row


def _run_number(session: Session, caller: Caller, run: str) -> int:
    row = session.scalars(
        select(RunRow).where(RunRow.uuid == run, RunRow.project_id == caller.project_id)
    ).one_or_none()
    if row is None:
        raise NotFound(f"Run with id={run} not found")
    check_own_run(session, caller, run)
    return row.id
