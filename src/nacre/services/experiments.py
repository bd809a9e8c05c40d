"""Experiments: made, named, tagged, put into the trash with their runs, and brought back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.experiments import (
    View,
    experiment_by_id,
    find_experiment,
    run_counts,
    search_experiments,
    tags_of,
)
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.runs import ExperimentRow, ExperimentTagRow, RunRow
from nacre.domain.identity import Caller
from nacre.domain.run_filter import Comparison, Order
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied
from nacre.schema.base import Page
from nacre.schema.experiments import (
    DEFAULT_EXPERIMENT,
    Experiment,
    ExperimentCreate,
    ExperimentUpdate,
)
from nacre.schema.runs import RunState
from nacre.services.artifacts import of_job
from nacre.services.events import Events
from nacre.services.tracking import storable


@dataclass(slots=True)
class Found:
    """An experiment with its tags."""

    row: ExperimentRow
    tags: dict[str, str] = field(default_factory=dict)


class Experiments:
    """The only writer of experiments."""

    def __init__(self, db: Database, clock: Clock, events: Events) -> None:
        self._db = db
        self._clock = clock
        self._events = events

    # For other services, in their transactions

    def ensure(self, session: Session, project_id: str, name: str) -> int:
        """The id of the experiment of this name, which is made if there is none.

        Raises:
            Conflict: it lies in the trash. ``default`` comes back by itself.
        """
        name = storable(name)
        wanted = select(ExperimentRow.id, ExperimentRow.deleted_at).where(
            ExperimentRow.project_id == project_id, ExperimentRow.name == name
        )
        found = session.execute(wanted).one_or_none()
        if found is None:
            made = insert_into(self._db, ExperimentRow).values(
                project_id=project_id, name=name, created_at=self._clock.now()
            )
            session.execute(made.on_conflict_do_nothing(index_elements=["project_id", "name"]))
            found = session.execute(wanted).one()
        if found.deleted_at is not None:
            if name != DEFAULT_EXPERIMENT:
                raise Conflict(
                    f"the experiment {name} is in the trash: bring it back with "
                    f"'nacre experiment restore \"{name}\"', or use another name"
                )
            session.execute(
                update(ExperimentRow).where(ExperimentRow.id == found.id).values(deleted_at=None)
            )
        return int(found.id)

    # Operations

    def create(self, caller: Caller, spec: ExperimentCreate) -> Experiment:
        """Make an experiment.

        Raises:
            Conflict: there is one of this name, perhaps in the trash (``extra["deleted"]``).
        """
        name = storable(spec.name)
        now = self._clock.now()
        with self._db.write() as session:
            statement = (
                insert_into(self._db, ExperimentRow)
                .values(project_id=caller.project_id, name=name, created_at=now, updated_at=now)
                .on_conflict_do_nothing(index_elements=["project_id", "name"])
                .returning(ExperimentRow.id)
            )
            number = session.scalar(statement)
            if number is None:
                there = find_experiment(session, caller.project_id, name)
                deleted = there is not None and there.deleted_at is not None
                what = (
                    f"in the trash: 'nacre experiment restore \"{name}\"'" if deleted else "there already"
                )
                raise Conflict(f"an experiment called {name} is {what}", deleted=deleted)
            self._tag(session, number, spec.tags)
            self._events.add(
                session, caller.project_id, caller.user_id, "experiments.create", str(number), name=name
            )
            return _wire(session, [session.get_one(ExperimentRow, number)])[0]

    def list(
        self,
        caller: Caller,
        *,
        cursor: str | None = None,
        limit: int = 100,
        deleted: bool = False,
    ) -> Page[Experiment]:
        """The project's experiments, the newest first; ``deleted``: those in the trash."""
        view: View = "deleted" if deleted else "active"
        with self._db.read() as session:
            rows, following = search_experiments(
                session, caller.project_id, view=view, limit=limit, cursor=cursor
            )
            return Page(items=_wire(session, rows), next=following)

    def get(self, caller: Caller, experiment: str) -> Experiment:
        """An experiment by name or id."""
        with self._db.read() as session:
            return _wire(session, [self._find(session, caller, experiment)])[0]

    def update(self, caller: Caller, experiment: str, change: ExperimentUpdate) -> Experiment:
        """Rename and tag. A job's program may set tags, and no more.

        Raises:
            Conflict: it lies in the trash, or the name is taken.
            InvalidSpec: it is the project's ``default``, which keeps its name.
        """
        with self._db.write() as session:
            row = self._find(session, caller, experiment, lock=True)
            if row.deleted_at is not None:
                raise Conflict(
                    f"the experiment {row.name} is in the trash: 'nacre experiment restore {row.id}'"
                )
            if change.name is not None and change.name != row.name:
                self._rename(session, caller, row, storable(change.name))
            removed = [key for key, text in change.tags.items() if text is None]
            if removed:
                _not_by_a_job(caller)
                mine = ExperimentTagRow.experiment_id == row.id
                session.execute(delete(ExperimentTagRow).where(mine, ExperimentTagRow.key.in_(removed)))
            self._tag(session, row.id, {key: text for key, text in change.tags.items() if text is not None})
            row.updated_at = self._clock.now()
            session.flush()
            return _wire(session, [row])[0]

    def delete(self, caller: Caller, experiment: str) -> None:
        """Put an experiment and its runs into the trash.

        Raises:
            Conflict: it is there already, or a job is running in it.
        """
        _not_by_a_job(caller)
        with self._db.write() as session:
            row = self._find(session, caller, experiment, lock=True)
            if row.deleted_at is not None:
                raise Conflict(f"the experiment {row.name} is in the trash already", deleted=True)
            busy = select(RunRow.job_name).where(
                RunRow.experiment_id == row.id,
                RunRow.job_id.is_not(None),
                RunRow.state == RunState.RUNNING,
                RunRow.deleted_at.is_(None),
            )
            if (job := session.scalar(busy.limit(1))) is not None:
                raise Conflict(f"the job {job} logs to it: wait for its end, or 'nacre stop {job}'")
            now = self._clock.now()
            row.deleted_at = row.updated_at = now
            runs = update(RunRow).where(RunRow.experiment_id == row.id, RunRow.deleted_at.is_(None))
            session.execute(runs.values(deleted_at=now))
            self._events.add(
                session, caller.project_id, caller.user_id, "experiments.delete", str(row.id), name=row.name
            )

    def restore(self, caller: Caller, experiment: str) -> Experiment:
        """Bring an experiment back, with the runs that went into the trash together with it.

        Raises:
            Conflict: it is not in the trash.
        """
        _not_by_a_job(caller)
        with self._db.write() as session:
            row = self._find(session, caller, experiment, lock=True)
            if row.deleted_at is None:
                raise Conflict(f"the experiment {row.name} is not in the trash", deleted=False)
            gone: datetime = row.deleted_at
            row.deleted_at, row.updated_at = None, self._clock.now()
            runs = update(RunRow).where(RunRow.experiment_id == row.id, RunRow.deleted_at == gone)
            session.execute(runs.values(deleted_at=None))
            self._events.add(
                session,
                caller.project_id,
                caller.user_id,
                "experiments.restore",
                str(row.id),
                name=row.name,
            )
            session.flush()
            return _wire(session, [row])[0]

    # For the edges

    def default(self, caller: Caller) -> Found:
        """The project's own experiment, made on demand."""
        with self._db.read() as session:
            row = find_experiment(session, caller.project_id, DEFAULT_EXPERIMENT)
            if row is not None:
                return Found(row, tags_of(session, [row.id])[row.id])
        with self._db.write() as session:
            number = self.ensure(session, caller.project_id, DEFAULT_EXPERIMENT)
            return Found(session.get_one(ExperimentRow, number))

    def by_id(self, caller: Caller, number: int) -> Found | None:
        """An experiment of the project, also one in the trash."""
        with self._db.read() as session:
            row = experiment_by_id(session, caller.project_id, number)
            return None if row is None else Found(row, tags_of(session, [row.id])[row.id])

    def by_name(self, caller: Caller, name: str) -> Found | None:
        """An experiment of exactly this name, also one in the trash."""
        with self._db.read() as session:
            row = find_experiment(session, caller.project_id, storable(name))
            if row is None or row.name != storable(name):
                return None
            return Found(row, tags_of(session, [row.id])[row.id])

    def search(
        self,
        caller: Caller,
        *,
        filter: Sequence[Comparison] = (),  # noqa: A002
        order: Sequence[Order] = (),
        view: View = "active",
        limit: int = 100,
        cursor: str | None = None,
        default_as: str | None = None,
    ) -> tuple[Sequence[Found], str | None]:
        """A page of experiments and the cursor of the next; ``default`` may go by another name."""
        with self._db.read() as session:
            rows, following = search_experiments(
                session,
                caller.project_id,
                filter=filter,
                order=order,
                view=view,
                limit=limit,
                cursor=cursor,
                default_as=default_as,
            )
            tags = tags_of(session, [row.id for row in rows])
        return [Found(row, tags[row.id]) for row in rows], following

    # Inside

    def _rename(self, session: Session, caller: Caller, row: ExperimentRow, name: str) -> None:
        _not_by_a_job(caller)
        if row.name == DEFAULT_EXPERIMENT:
            raise InvalidSpec(
                "the project's default experiment keeps its name: make another one with "
                "'nacre experiment create'",
                fields=[{"field": "name", "message": "is the default's"}],
            )
        taken = find_experiment(session, caller.project_id, name)
        if taken is not None and taken.name == name:
            raise Conflict(f"an experiment called {name} is there already", deleted=False)
        self._events.add(
            session,
            caller.project_id,
            caller.user_id,
            "experiments.update",
            str(row.id),
            name=name,
            before=row.name,
        )
        row.name = name

    def _find(
        self, session: Session, caller: Caller, experiment: str, *, lock: bool = False
    ) -> ExperimentRow:
        row = find_experiment(session, caller.project_id, experiment)
        if row is None:
            raise NotFound(f"there is no experiment {experiment!r} in this project: 'nacre experiment ls'")
        if lock:
            session.refresh(row, with_for_update=True)
        return row

    def _tag(self, session: Session, number: int, tags: Mapping[str, str]) -> None:
        if not tags:
            return
        statement = insert_into(self._db, ExperimentTagRow)
        statement = statement.on_conflict_do_update(
            index_elements=["experiment_id", "key"], set_={"value": statement.excluded.value}
        )
        rows = {storable(key): storable(text) for key, text in tags.items()}
        session.execute(
            statement,
            [{"experiment_id": number, "key": key, "value": text} for key, text in rows.items()],
        )


def _wire(session: Session, rows: Sequence[ExperimentRow]) -> list[Experiment]:
    ids = [row.id for row in rows]
    tags, counts = tags_of(session, ids), run_counts(session, ids)
    return [
        Experiment(
            id=str(row.id),
            name=row.name,
            created_at=row.created_at,
            updated_at=row.updated_at or row.created_at,
            deleted_at=row.deleted_at,
            runs=counts.get(row.id, 0),
            tags=tags[row.id],
        )
        for row in rows
    ]


def _not_by_a_job(caller: Caller) -> None:
    if of_job(caller):
        raise PermissionDenied("a job's token may make and tag experiments, not rename or delete them")
