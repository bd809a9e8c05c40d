"""Runs as protocols see them: searched, told in full, ended at a given time, with inputs and models."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from nacre.db.connect import Database
from nacre.db.queries.experiments import find_experiment
from nacre.db.queries.run_conditions import CONTEXT_TAG
from nacre.db.queries.run_details import Input, RunDetails, load_details
from nacre.db.queries.run_search import View, search_runs
from nacre.db.queries.series import find_series
from nacre.db.queries.series import points as read_points
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.logged_models import RunModelRow
from nacre.db.tables.runs import RunInputRow, RunRow, RunTagRow
from nacre.domain.blocks import Points
from nacre.domain.identity import Caller
from nacre.domain.run_filter import Comparison, Order
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.runs import RunState
from nacre.services.artifacts import of_job
from nacre.services.runs import Runs
from nacre.services.tracking import storable

_MOST_DATASETS = 1000


class RunRecords:
    """Runs by their id only; a run of another project is as good as none."""

    def __init__(self, db: Database, runs: Runs) -> None:
        self._db = db
        self._runs = runs

    def get(self, caller: Caller, run_id: str) -> RunDetails | None:
        """A run, also one in the trash."""
        wanted = select(RunRow.id).where(RunRow.uuid == run_id, RunRow.project_id == caller.project_id)
        with self._db.read() as session:
            number = session.scalar(wanted)
            found = [] if number is None else load_details(session, [number])
        return found[0] if found else None

    def search(
        self,
        caller: Caller,
        *,
        experiment_ids: Sequence[int],
        filter: Sequence[Comparison] = (),  # noqa: A002
        order: Sequence[Order] = (),
        view: View = "active",
        limit: int = 1000,
        cursor: str | None = None,
    ) -> tuple[list[RunDetails], str | None]:
        """A page of runs in full, and the cursor of the next."""
        with self._db.read() as session:
            rows, following = search_runs(
                session,
                caller.project_id,
                experiment_ids=experiment_ids,
                filter=filter,
                order=order,
                view=view,
                limit=limit,
                cursor=cursor,
            )
            return load_details(session, [row.id for row in rows]), following

    def points(
        self, caller: Caller, run_ids: Sequence[str], key: str, *, strict: bool = True
    ) -> dict[str, Points]:
        """A metric's points by run, in order of step; runs without it are left out.

        Raises:
            NotFound: a run is not in the project (``strict``; else it is left out too).
        """
        wanted = select(RunRow.uuid, RunRow.id).where(
            RunRow.uuid.in_(run_ids), RunRow.project_id == caller.project_id
        )
        with self._db.read() as session:
            runs = {uuid: number for uuid, number in session.execute(wanted)}  # noqa: C416 - rows
            for run_id in run_ids:
                if strict and run_id not in runs:
                    raise NotFound(f"Run with id={run_id} not found")
            names = {number: uuid for uuid, number in runs.items()}
            series = find_series(session, list(names), [storable(key)])
            return {names[one.run_id]: read_points(session, one) for one in series}

    def update(
        self,
        caller: Caller,
        run_id: str,
        *,
        state: RunState | None = None,
        ended_at: datetime | None = None,
        name: str | None = None,
    ) -> None:
        """End or rename a run; the end may lie in the past.

        The state of a job's run is not changed, and that is no error: the end of the job decides.

        Raises:
            Conflict: the run is in the trash.
            InvalidSpec: the name is too long.
        """
        if name is not None and len(name) > 250:
            raise InvalidSpec("a run's name has at most 250 characters", field="run_name")
        with self._db.write() as session:
            row = self._active(session, caller, run_id)
            if name:
                row.name = storable(name)
            if row.job_id is not None:
                return
            if state is not None:
                row.state = state
            if state is RunState.RUNNING:
                row.ended_at = None
            elif ended_at is not None:
                row.ended_at = ended_at

    def delete_tag(self, caller: Caller, run_id: str, key: str) -> bool:
        """Remove a tag; whether there was one."""
        with self._db.write() as session:
            row = self._active(session, caller, run_id)
            gone = delete(RunTagRow).where(RunTagRow.run_id == row.id, RunTagRow.key == storable(key))
            return session.execute(gone.returning(RunTagRow.key)).first() is not None

    def add_inputs(
        self,
        caller: Caller,
        run_id: str,
        inputs: Sequence[Input],
        models: Sequence[tuple[str, str, int]] = (),
    ) -> None:
        """Note data sets that the run read, and models (input or output, id, step); once."""
        with self._db.write() as session:
            row = self._active(session, caller, run_id)
            if inputs:
                statement = insert_into(self._db, RunInputRow).on_conflict_do_nothing()
                session.execute(statement, [_input(row.id, given) for given in inputs])
            if models:
                statement = insert_into(self._db, RunModelRow).on_conflict_do_nothing()
                noted = [
                    {"run_id": row.id, "direction": direction, "model_id": model, "step": step}
                    for direction, model, step in models
                ]
                session.execute(statement, noted)

    def datasets(self, caller: Caller, experiment_ids: Sequence[int]) -> list[tuple[int, str, str, str]]:
        """The data sets that the experiments' runs read: (experiment, name, digest, context), each once."""
        context = func.coalesce(RunInputRow.tags[CONTEXT_TAG].as_string(), "")
        columns = (RunRow.experiment_id, RunInputRow.name, RunInputRow.digest, context)
        statement = (
            select(*columns)
            .join(RunInputRow, RunInputRow.run_id == RunRow.id)
            .where(
                RunRow.project_id == caller.project_id,
                RunRow.experiment_id.in_(experiment_ids),
                RunRow.deleted_at.is_(None),
            )
            .distinct()
            .order_by(*columns)
            .limit(_MOST_DATASETS)
        )
        with self._db.read() as session:
            return [(row[0], row[1], row[2], row[3]) for row in session.execute(statement)]

    def follow_experiment(self, caller: Caller, experiment: str) -> None:
        """The program of a job chose an experiment by its name: the job's run moves there.

        Without it MLflow's client refuses to go on with the job's run (``MLFLOW_RUN_ID``) after
        ``set_experiment``. Nothing for other callers, and for one that is in the trash.
        """
        if not of_job(caller):
            return
        own = select(AttemptRow.run_id).where(AttemptRow.id == caller.attempt_id).scalar_subquery()
        with self._db.write() as session:
            wanted = find_experiment(session, caller.project_id, experiment)
            row = session.scalars(select(RunRow).where(RunRow.uuid == own)).first()
            if wanted is None or wanted.deleted_at is not None or row is None:
                return
            row.experiment_id = wanted.id

    def _active(self, session: Session, caller: Caller, run_id: str) -> RunRow:
        row = self._runs.find_to_write(session, caller, run_id)
        if row.uuid != run_id:
            raise NotFound(f"there is no run with the id {run_id!r} in this project: see 'nacre runs ls'")
        if row.deleted_at is not None:
            raise Conflict(f"the run {row.name} is in the trash: 'nacre runs restore {run_id[:12]}'")
        return row


def _input(number: int, given: Input) -> dict[str, object]:
    return {
        "run_id": number,
        "name": storable(given.name),
        "digest": storable(given.digest),
        "source_type": storable(given.source_type),
        "source": storable(given.source),
        "schema": None if given.schema is None else storable(given.schema),
        "profile": None if given.profile is None else storable(given.profile),
        "tags": given.tags,
    }
