"""Runs: tracking records of jobs, notebooks and laptops, and the files they leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import BinaryIO

from sqlalchemy import delete, event, select, update
from sqlalchemy.orm import Session

from nacre.clock import Clock, epoch_ms
from nacre.db.connect import Database
from nacre.db.queries.runs import describe_runs, find_run, series_keys
from nacre.db.queries.series import find_series
from nacre.db.queries.series import points as read_points
from nacre.db.tables.runs import ExperimentRow, RunRow
from nacre.domain.curves import thin
from nacre.domain.identity import Caller
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.ids import new_run_id
from nacre.schema.base import Page
from nacre.schema.launch import FileEntry
from nacre.schema.runs import (
    MetricPoint,
    MetricSeries,
    Run,
    RunArtifacts,
    RunCreate,
    RunLog,
    RunState,
    RunUpdate,
    TrackRecord,
)
from nacre.services.artifacts import Artifacts, check_own_run, of_job
from nacre.services.blobs import BlobLedger
from nacre.services.events import Events
from nacre.services.experiments import Experiments
from nacre.services.own_runs import OwnRuns
from nacre.services.signals import Signals
from nacre.services.track_writer import TrackWriter
from nacre.services.tracking import RecordWriter, batch_of, storable

MAX_POINTS = 100_000
"""The most points of a metric in one answer; of more, each stretch's lowest and highest are sent."""


class Runs:
    """The only writer of runs. Topic after commits: ``run:ID``."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        ledger: BlobLedger,
        events: Events,
        signals: Signals,
        writer: TrackWriter | None = None,
    ) -> None:
        self._db = db
        self._writer = writer
        self._clock = clock
        self._artifacts = Artifacts(db, clock, ledger, signals)
        self._events = events
        self._signals = signals
        self._experiments = Experiments(db, clock, events)
        self.own = OwnRuns(db)

    # For other services, in their transactions

    def create_for_job(
        self,
        session: Session,
        *,
        project_id: str,
        user_id: str,
        job_id: str,
        job_name: str,
        experiment: str | None = None,
    ) -> str:
        """The run of a job that is being submitted. Returns its id."""
        return self._insert(
            session,
            project_id=project_id,
            user_id=user_id,
            name=job_name,
            experiment=experiment or "default",
            job=(job_id, job_name),
        )

    def apply(self, session: Session, run_id: str, records: Sequence[TrackRecord]) -> None:
        """Bring records into a run. That each is given once is the caller's promise.

        Nothing when the run was deleted meanwhile.
        """
        if records:
            with suppress(NotFound):
                RecordWriter(session, run_id).write(records)
                self._notify_after(session, run_id, points=True)

    def finish(self, session: Session, run_id: str, state: RunState, at: datetime) -> None:
        """End a run; one that has ended stays as it is. ``running`` opens it again, for a retry."""
        change = update(RunRow).where(RunRow.uuid == run_id)
        if state is RunState.RUNNING:
            session.execute(change.values(state=state, ended_at=None))
        else:
            session.execute(change.where(RunRow.ended_at.is_(None)).values(state=state, ended_at=at))
        self._notify_after(session, run_id)

    def set_artifacts(self, session: Session, run_id: str, manifest_digest: str) -> None:
        """Replace a run's artifacts by those of a manifest, which the project must possess."""
        row = session.scalars(select(RunRow).where(RunRow.uuid == run_id).with_for_update()).first()
        if row is None:
            return
        self._artifacts.set_manifest(session, row, manifest_digest)
        self._notify_after(session, run_id)

    def remove(self, session: Session, run_id: str) -> None:
        """Delete a run with everything logged to it (when its job is deleted)."""
        self._artifacts.remove(session, run_id)
        session.execute(delete(RunRow).where(RunRow.uuid == run_id))
        self._notify_after(session, run_id)

    def for_ids(self, session: Session, run_ids: Sequence[str]) -> dict[str, Run]:
        """Runs by id; those that do not exist are left out."""
        rows = session.scalars(select(RunRow).where(RunRow.uuid.in_(run_ids))).all()
        return {run.id: run for run in describe_runs(session, rows)}

    # Operations

    def create(self, caller: Caller, spec: RunCreate) -> Run:
        """Start a run beside those of jobs. Without a name it is called ``run-`` and the start of its id.

        One that a job's program makes (a nested run) is its job's to write to, also after a restart.

        Raises:
            Conflict: the experiment is in the trash.
        """
        run_id = self.start(caller, experiment=spec.experiment, name=spec.name, tags=spec.tags)
        return self.get(caller, run_id)

    def start(
        self,
        caller: Caller,
        *,
        experiment: str | int,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        started_at: datetime | None = None,
    ) -> str:
        """The same for an experiment given by its name or id, and a start in the past. Returns the id."""
        with self._db.write() as session:
            run_id = self._insert(
                session,
                project_id=caller.project_id,
                user_id=caller.user_id,
                name=storable(name) if name else None,
                experiment=experiment,
                maker=caller.attempt_id if of_job(caller) else None,
                started_at=started_at,
            )
            if tags:
                now = epoch_ms(self._clock.now())
                records = [
                    TrackRecord(type="t", key=key, text=text, time_ms=now) for key, text in tags.items()
                ]
                RecordWriter(session, run_id).write(records)
            self._events.add(session, caller.project_id, caller.user_id, "runs.create", run_id)
        return run_id

    def list(
        self,
        caller: Caller,
        *,
        cursor: str | None = None,
        limit: int = 100,
        experiment: str | None = None,
    ) -> Page[Run]:
        """The project's runs, newest first; ``experiment`` keeps those of one."""
        mine = RunRow.project_id == caller.project_id
        statement = select(RunRow).where(mine, RunRow.deleted_at.is_(None))
        if experiment is not None:
            statement = statement.join(ExperimentRow).where(ExperimentRow.name == experiment)
        if cursor is not None:
            last = select(RunRow.id).where(RunRow.uuid == cursor, RunRow.project_id == caller.project_id)
            statement = statement.where(RunRow.id < last.scalar_subquery())
        with self._db.read() as session:
            rows = session.scalars(statement.order_by(RunRow.id.desc()).limit(limit + 1)).all()
            items = describe_runs(session, rows[:limit])
        return Page(items=items, next=items[-1].id if len(rows) > limit else None)

    def get(self, caller: Caller, run: str) -> Run:
        """A run by id, name, job name or prefix of its id."""
        with self._db.read() as session:
            return describe_runs(session, [self._find(session, caller, run)])[0]

    def update(self, caller: Caller, run: str, change: RunUpdate) -> Run:
        """End, rename or move a run.

        Raises:
            Conflict: the state of a job's run is the job's to change.
        """
        with self._db.write() as session:
            row = self._find(session, caller, run, write=True)
            if change.name is not None:
                if not 1 <= len(change.name) <= 250:
                    raise InvalidSpec("a run's name has 1 to 250 characters")
                row.name = storable(change.name)
            if change.experiment is not None:
                row.experiment_id = self._experiments.ensure(session, row.project_id, change.experiment)
            if change.state is not None:
                if row.job_id is not None:
                    raise Conflict(f"the run belongs to job {row.job_name}: 'nacre stop {row.job_name}'")
                session.flush()
                self.finish(session, row.uuid, change.state, self._clock.now())
            self._notify_after(session, row.uuid)
            run_id = row.uuid
        return self.get(caller, run_id)

    def log(self, caller: Caller, run: str, sent: RunLog) -> None:
        """Apply records; a batch id that was seen before changes nothing."""
        with self._db.read() as session:
            row = self._find(session, caller, run, write=True)
        if self._writer is not None:
            self._writer.write(batch_of(row.uuid, caller.project_id, sent.records, sent.batch))
            return
        with self._db.write() as session:
            RecordWriter(session, row.uuid).write(sent.records, sent.batch)
            self._notify_after(session, row.uuid, points=True)

    def metric(self, caller: Caller, run: str, key: str, *, limit: int = MAX_POINTS) -> MetricSeries:
        """A metric's points in order of step, then time.

        Of more than ``limit`` points the first, the last, and the lowest and highest of each stretch
        between them are sent.
        """
        with self._db.read() as session:
            row = self._find(session, caller, run)
            found = find_series(session, [row.id], [key])
            if not found:
                there = ", ".join(series_keys(session, row.id)[:20]) or "none yet"
                raise NotFound(f"run {row.name} has no metric {key!r}; it has {there}")
            points = read_points(session, found[0])
        kept = thin(points, max(4, min(limit, MAX_POINTS)))
        return MetricSeries(
            key=key,
            points=[
                MetricPoint(step=step, time_ms=ts, value=value)
                for step, ts, value in zip(
                    kept.step.tolist(), kept.ts.tolist(), kept.value.tolist(), strict=True
                )
            ],
        )

    def artifacts(self, caller: Caller, run: str) -> RunArtifacts:
        """The files of a run; ``manifest`` is that of those that its job left."""
        with self._db.read() as session:
            row = self._find(session, caller, run)
        return RunArtifacts(
            manifest=row.artifacts, files=self._artifacts.files(caller.project_id, row.uuid)
        )

    def add_artifacts(self, caller: Caller, run: str, files: Sequence[FileEntry]) -> RunArtifacts:
        """Add files whose blobs the project has; one of the same path is replaced.

        Raises:
            InvalidSpec: a path is unsafe, or a blob has not been sent or has another length.
        """
        self._artifacts.add(caller, run, files)
        return self.artifacts(caller, run)

    def artifact(self, caller: Caller, run: str, path: str) -> tuple[FileEntry, BinaryIO]:
        """One file of a run, and a stream of its bytes."""
        return self._artifacts.open(caller, run, path)

    def delete(self, caller: Caller, run: str) -> None:
        """Put a run into the trash, from which it is removed for good some weeks later.

        Raises:
            Conflict: the run belongs to a job, or is in the trash.
        """
        with self._db.write() as session:
            row = self._find(session, caller, run, write=True)
            if row.job_id is not None:
                raise Conflict(
                    f"the run is job {row.job_name}'s: 'nacre delete {row.job_name}' deletes both"
                )
            if row.deleted_at is not None:
                raise Conflict(f"the run {row.name} is in the trash already", deleted=True)
            row.deleted_at = self._clock.now()
            self._done(session, caller, "runs.delete", row)

    def restore(self, caller: Caller, run: str) -> Run:
        """Bring a run back from the trash.

        Raises:
            Conflict: it is not there, or its experiment is there too.
        """
        with self._db.write() as session:
            row = self._find(session, caller, run, write=True)
            if row.deleted_at is None:
                raise Conflict(f"the run {row.name} is not in the trash", deleted=False)
            experiment = session.get_one(ExperimentRow, row.experiment_id)
            if experiment.deleted_at is not None:
                raise Conflict(
                    f"its experiment {experiment.name} is in the trash: "
                    f"'nacre experiment restore {experiment.id}'"
                )
            row.deleted_at = None
            self._done(session, caller, "runs.restore", row)
            run_id = row.uuid
        return self.get(caller, run_id)

    def purge(self, caller: Caller, run: str) -> None:
        """Remove a run that is in the trash, and everything logged to it, for good.

        Raises:
            Conflict: it is not in the trash.
        """
        with self._db.write() as session:
            row = self._find(session, caller, run, write=True)
            if row.deleted_at is None:
                raise Conflict(
                    f"the run {row.name} is not in the trash: 'nacre runs delete {row.uuid[:12]}'"
                )
            self._done(session, caller, "runs.purge", row)
            self.remove(session, row.uuid)

    def _done(self, session: Session, caller: Caller, what: str, row: RunRow) -> None:
        self._events.add(session, caller.project_id, caller.user_id, what, row.uuid, name=row.name)
        self._notify_after(session, row.uuid)

    # Inside

    def _insert(
        self,
        session: Session,
        *,
        project_id: str,
        user_id: str,
        name: str | None,
        experiment: str | int,
        job: tuple[str, str] | None = None,
        maker: str | None = None,
        started_at: datetime | None = None,
    ) -> str:
        run_id = new_run_id()
        now = self._clock.now()
        if isinstance(experiment, str):
            experiment = self._experiments.ensure(session, project_id, experiment)
        row = RunRow(
            uuid=run_id,
            project_id=project_id,
            experiment_id=experiment,
            user_id=user_id,
            name=name or f"run-{run_id[:6]}",
            job_id=job[0] if job else None,
            job_name=job[1] if job else None,
            maker=maker,
            state=RunState.RUNNING,
            created_at=now,
            started_at=started_at or now,
        )
        session.add(row)
        session.flush()
        return run_id

    @staticmethod
    def _lock(session: Session, run_id: str) -> int | None:
        return session.scalar(
            select(RunRow.id).where(RunRow.uuid == run_id).with_for_update(key_share=True)
        )

    def find_to_write(self, session: Session, caller: Caller, run: str) -> RunRow:
        """A run that the caller may write to, locked, for others' transactions; its watchers are told.

        Raises:
            NotFound: there is none.
            PermissionDenied: a job's token, and the run of somebody else.
        """
        row = self._find(session, caller, run, write=True)
        self._notify_after(session, row.uuid)
        return row

    def _find(self, session: Session, caller: Caller, run: str, *, write: bool = False) -> RunRow:
        row = find_run(session, caller.project_id, run)
        if row is None:
            raise NotFound(f"there is no run {run!r} in this project: see 'nacre runs ls'")
        if write:
            check_own_run(session, caller, row.uuid)
        if write and session.get_transaction() is not None:
            self._lock(session, row.uuid)
            session.refresh(row)
        return row

    def _notify_after(self, session: Session, run_id: str, *, points: bool = False) -> None:
        """Wake who watches the run, once the transaction has been committed; ``points`` may wait."""
        if "nacre_runs" not in session.info:
            session.info["nacre_runs"] = set()
            event.listen(session, "after_commit", self._notify)
        topics = [f"run:{run_id}"] if points else [f"run:{run_id}", f"run_state:{run_id}"]
        session.info["nacre_runs"].update(topics)

    def _notify(self, session: Session) -> None:
        if session.in_nested_transaction():
            return  # a savepoint's end: nobody can see it yet
        self._signals.notify(*session.info.pop("nacre_runs", ()))
