"""Jobs: planned, submitted, listed, stopped, deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.jobs import find_job
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.domain.jobs import CANCELLED
from nacre.errors import Conflict
from nacre.schema.base import Page
from nacre.schema.jobs import FINAL_STATES, Job, JobPlan, JobRecord, JobSpec, JobState, JobStop
from nacre.services.attempt_logs import AttemptLogs
from nacre.services.attempt_wire import to_wire
from nacre.services.attempts import Attempts
from nacre.services.blobs import BlobLedger
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.job_launch import HOLDER, JobLaunches, end_job
from nacre.services.job_locks import JobLocks
from nacre.services.job_submission import JobSubmissions
from nacre.services.prices import Prices
from nacre.services.runs import Runs
from nacre.services.scheduling import Scheduling
from nacre.services.signals import Signals
from nacre.services.usage import UsageLedger


class Jobs:
    """The operations of jobs. ``logs`` reads their logs."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        attempts: Attempts,
        launches: JobLaunches,
        submissions: JobSubmissions,
        locks: JobLocks,
        runs: Runs,
        environments: EnvironmentCatalogue,
        prices: Prices,
        usage: UsageLedger,
        ledger: BlobLedger,
        events: Events,
        scheduling: Scheduling,
    ) -> None:
        self._db = db
        self._scheduling = scheduling
        self._clock = clock
        self._signals = signals
        self._attempts = attempts
        self._launches = launches
        self._submissions = submissions
        self._locks = locks
        self._runs = runs
        self._prices = prices
        self._usage = usage
        self._ledger = ledger
        self._events = events
        self.logs = AttemptLogs(db, attempts, _over)
        environments.guard(self._uses_environment)

    # Submitting

    def plan(self, caller: Caller, spec: JobSpec) -> JobPlan:
        """What a submission would do; nothing is stored.

        Raises:
            NotFound: an input, environment, type or secret does not exist.
        """
        return self._submissions.plan(caller, spec)

    def submit(self, caller: Caller, spec: JobSpec) -> Job:
        """Freeze everything that the job needs and queue it.

        Raises:
            InvalidSpec: no machine could ever hold it, or its code was not sent.
            NotFound: an input, environment, type or secret does not exist.
            Conflict: the name is taken.
        """
        return self.get(caller, self._submissions.submit(caller, spec))

    def submit_internal(
        self,
        session: Session,
        *,
        project_id: str,
        user_id: str,
        kind: Literal["convert", "evaluate", "predict", "drift"],
        name: str,
        spec: JobSpec,
        environment_id: str,
        manifests: Mapping[str, str] | None = None,
    ) -> str:
        """Queue work of the server's own in the caller's transaction; the job's id.

        ``manifests`` become the job's inputs, by name. A number is put after a name that is taken.
        """
        return self._submissions.submit_internal(
            session,
            project_id=project_id,
            user_id=user_id,
            kind=kind,
            name=name,
            spec=spec,
            environment_id=environment_id,
            manifests=manifests,
        )

    # Reading

    def list(
        self, caller: Caller, *, cursor: str | None = None, limit: int = 100, active: bool = False
    ) -> Page[Job]:
        """The project's jobs, newest first; ``active``: only those that have not ended."""
        statement = select(JobRow).where(JobRow.project_id == caller.project_id)
        if active:
            statement = statement.where(JobRow.state.not_in([str(s) for s in FINAL_STATES]))
        if cursor is not None:
            statement = statement.where(JobRow.id < cursor)
        with self._db.read() as session:
            rows = session.scalars(statement.order_by(JobRow.id.desc()).limit(limit + 1)).all()
            shown = rows[:limit]
            items = self._wire(session, caller, shown)
        return Page(items=[*items], next=shown[-1].id if len(rows) > limit else None)

    def get(self, caller: Caller, job: str) -> Job:
        """A job by name, id or its run's id."""
        with self._db.read() as session:
            return self._wire(session, caller, [find_job(session, caller.project_id, job)])[0]

    def _wire(self, session: Session, caller: Caller, rows: Sequence[JobRow]) -> Sequence[Job]:
        ids = [row.id for row in rows]
        attempts = self._attempts.of(session, ids)
        costs = self._usage.cost_of(session, ids)
        named = select(UserRow.id, UserRow.name).where(UserRow.id.in_({row.user_id for row in rows}))
        users = {row.id: row.name for row in session.execute(named)}
        project = session.get_one(ProjectRow, caller.project_id).name
        currency = self._prices.currency
        return [
            Job(
                id=row.id,
                created_at=row.created_at,
                project=project,
                user=users.get(row.user_id, row.user_id),
                run=row.run_id,
                spec=JobSpec.model_validate(row.spec),
                record=JobRecord.model_validate(row.record),
                attempts=[to_wire(attempt) for attempt in attempts[row.id]],
                cost=costs.get(row.id, 0),
                currency=currency,
                price_per_hour=row.price_per_hour * _size(row, attempts[row.id]),
                message=self._message(row),
                **_plain(row),
            )
            for row in rows
        ]

    def _message(self, row: JobRow) -> str | None:
        if row.state != JobState.QUEUED:
            return row.message
        return self._scheduling.said(row.id, row.reason, row.message)

    # Ending

    def stop(self, caller: Caller, job: str, request: JobStop | None = None) -> Job:
        """Ask a job to end: SIGTERM, then SIGKILL after ``grace`` or its ``stop_duration``.

        Nothing when it has ended.
        """
        with self._db.write() as session:
            job_id = find_job(session, caller.project_id, job).id
            attempt = self._attempts.active(session, job_id)
            if attempt is not None:  # locked before the job, as reports do
                self._attempts.stop(
                    session, attempt.id, CANCELLED, grace_s=request.grace if request else None
                )
            row = session.get_one(JobRow, job_id, with_for_update=True, populate_existing=True)
            if row.state not in FINAL_STATES and row.stop_reason is None:
                row.stop_reason = CANCELLED
                said = f": {request.reason}" if request and request.reason else ""
                message = f"stopped by {caller.user_name}{said}"
                if row.state == JobState.QUEUED:
                    end_job(row, JobState.CANCELLED, CANCELLED, message, self._clock.now())
                    self._launches.finish(session, row)
                else:
                    row.state, row.reason, row.message = JobState.STOPPING, CANCELLED, message
                self._events.add(
                    session, caller.project_id, caller.user_id, "jobs.stop", job_id, name=row.name
                )
        self._signals.notify("attempts", "jobs", f"job:{job_id}", f"log:{job_id}")
        return self.get(caller, job_id)

    def delete(self, caller: Caller, job: str) -> None:
        """Delete an ended job, its log, its checkpoints and its run.

        Raises:
            Conflict: it has not ended.
        """
        with self._db.read() as session:
            row = find_job(session, caller.project_id, job)
            attempts = self._attempts.of(session, [row.id])[row.id]
        if row.state not in FINAL_STATES:
            raise Conflict(f"job {row.name} is {row.state}: stop it first with 'nacre stop {row.name}'")
        self._launches.remove_files(row.id, attempts)
        with self._db.write() as session:
            self._attempts.remove(session, row.id)
            self._ledger.drop_reference(session, HOLDER, row.id)
            self._locks.drop(session, row.id)
            self._runs.remove(session, row.run_id)
            session.delete(session.get_one(JobRow, row.id))
            self._events.add(
                session, caller.project_id, caller.user_id, "jobs.delete", row.id, name=row.name
            )

    def _uses_environment(self, session: Session, environment_id: str) -> str | None:
        statement = select(JobRow.name).where(
            JobRow.environment_id == environment_id, JobRow.state.not_in([str(s) for s in FINAL_STATES])
        )
        name = session.scalars(statement.limit(1)).first()
        return None if name is None else f"job {name}"


def _over(session: Session, job_id: str) -> bool:
    row = session.get(JobRow, job_id)
    return row is None or row.state in FINAL_STATES


def _size(row: JobRow, attempts: Sequence[AttemptRow]) -> int:
    """Replicas that it has, or waits for at least."""
    if attempts and attempts[-1].ended_at is None:
        return len(attempts[-1].replicas)
    return JobSpec.model_validate(row.spec).least


def _plain(row: JobRow) -> dict[str, Any]:
    names = (
        "name",
        "kind",
        "description",
        "state",
        "reason",
        "exit_code",
        "started_at",
        "ended_at",
        "retry_at",
    )
    return {name: getattr(row, name) for name in names}
