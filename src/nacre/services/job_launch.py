"""From a job to what a launcher is told, and from what launchers report back to the job."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.jobs import (
    CANCELLED,
    CANNOT,
    FREE_RESTARTS,
    PREEMPTED,
    RESIZED,
    back_off_s,
    command_line,
    counted,
    may_follow,
    outcome,
    per_node,
)
from nacre.domain.scheduling import Seat
from nacre.errors import NotFound, PluginError, Unavailable
from nacre.ports.engines import Engine, NodeFacts
from nacre.schema.jobs import JobRecord, JobSpec, JobState
from nacre.schema.launch import ExitReason, LaunchDistribution, LaunchInput, LaunchLimits, LaunchSpec
from nacre.schema.runs import RunState
from nacre.services.attempts import Attempts
from nacre.services.datasets import Datasets
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.launches import LaunchPlace
from nacre.services.runs import Runs
from nacre.services.secrets import Secrets

HOLDER = "job"
"""Kind of the references that jobs keep on blobs and datasets."""
_STATES = frozenset(JobState)
_RUN_STATES = {
    JobState.SUCCEEDED: RunState.FINISHED,
    JobState.FAILED: RunState.FAILED,
    JobState.CANCELLED: RunState.KILLED,
}


class JobLaunches:
    """Jobs, seen from their attempts: registered with ``Attempts`` under the kind ``job``."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        attempts: Attempts,
        runs: Runs,
        datasets: Datasets,
        environments: EnvironmentCatalogue,
        secrets: Secrets,
        events: Events,
        engine: Engine,
        place: LaunchPlace,
    ) -> None:
        self._db = db
        self._clock = clock
        self._attempts = attempts
        self._runs = runs
        self._datasets = datasets
        self._environments = environments
        self._secrets = secrets
        self._events = events
        self._engine = engine
        self._place = place
        attempts.register("job", self)

    def specs(
        self,
        job: JobRow,
        project: ProjectRow,
        attempt_id: str,
        seats: Sequence[Seat],
        facts: Mapping[str, NodeFacts],
    ) -> list[LaunchSpec]:
        """What to launch for each replica, by where it goes, without tokens.

        Raises:
            NotFound: a secret that the job names is gone.
            PluginError: its environment is not built.
        """
        first = self._spec(job, project, attempt_id, len(seats))
        return [
            first.model_copy(
                update=self._place.common(project, attempt_id, facts[seat.node], rank)
                | {"limits": first.limits.model_copy(update={"gpus": [*seat.gpus]})}
            )
            for rank, seat in enumerate(seats)
        ]

    def _spec(self, job: JobRow, project: ProjectRow, attempt_id: str, replicas: int) -> LaunchSpec:
        """What the replicas have in common: the place is that of any node."""
        spec = JobSpec.model_validate(job.spec)
        record = JobRecord.model_validate(job.record)
        built = self._environments.built(record.environment_digest) if record.environment_digest else None
        if built is None:
            raise PluginError(f"the environment {record.environment} is not there any more: submit again")
        variables, files = self._secrets.reveal(job.project_id, spec.secrets)
        with self._db.read() as session:
            mine = (AttemptRow.subject_id == job.id, AttemptRow.id != attempt_id)
            restarts = session.scalar(select(func.count()).where(*mine)) or 0
        given = spec.distribution
        launch = given.launch or ("per-node" if per_node(spec.commands) else "per-process")
        return LaunchSpec(
            **self._place.common(project, attempt_id, NodeFacts("", 0, 0)),
            kind="job",
            replicas=replicas,
            processes=spec.processes_per_replica,
            distribution=LaunchDistribution(
                type=given.type,
                launch=launch,
                parameter_servers=given.parameter_server_count,
                least=spec.least,
            ),
            restarts=restarts,
            max_restarts=spec.max_restarts,
            subject_id=job.id,
            subject_name=job.name,
            run_id=job.run_id,
            experiment=spec.experiment_name or "default",
            capture=job.kind == "task" and spec.capture == "on",
            code=record.code,
            workdir=spec.workdir,
            inputs=[
                LaunchInput(
                    name=name,
                    manifest=digest,
                    mode=spec.inputs[name].mode if name in spec.inputs else "ro_mount",
                    as_name=spec.inputs[name].as_ if name in spec.inputs else None,
                    file=record.files.get(name),
                )
                for name, digest in record.manifests.items()
            ],
            environment=built.folder,
            interpreter=built.interpreter,
            command=command_line(spec.commands),
            variables=spec.env,
            secrets=variables,
            secret_files=files,
            checkpoints=str(self._place.checkpoints / job.id),
            checkpoints_from=record.resume_from and str(self._place.checkpoints / record.resume_from),
            limits=LaunchLimits(
                cpu=job.cpu,
                memory_bytes=job.memory,
                disk_bytes=spec.resources.disk or None,
                shm_bytes=spec.resources.shm_size or None,
                max_duration_s=spec.max_duration,
                grace_s=spec.stop_duration,
            ),
        )

    # The subject of attempts

    def launch_specs(self, attempt: AttemptRow, replicas: Sequence[ReplicaRow]) -> list[LaunchSpec]:
        """The specs of an attempt that was stored by a server that has died since."""
        with self._db.read() as session:
            job = session.get(JobRow, attempt.subject_id)
            project = session.get(ProjectRow, attempt.project_id)
        if job is None or project is None:
            raise NotFound("the job of this attempt is gone")
        facts = {node.name: node for node in self._engine.nodes()}
        seats = [Seat(one.node, {int(k): part for k, part in one.gpus.items()}) for one in replicas]
        for seat in seats:
            if seat.node not in facts:
                raise Unavailable(f"the node {seat.node} is not there")
        return self.specs(job, project, attempt.id, seats, facts)

    def manifests(self, session: Session, subject_id: str) -> list[str]:
        """Code and inputs."""
        job = session.get(JobRow, subject_id)
        if job is None:
            return []
        record = JobRecord.model_validate(job.record)
        return [*([record.code] if record.code else []), *record.manifests.values()]

    def attempt_moved(self, session: Session, attempt: AttemptRow) -> None:
        """Follow the attempt; never backwards."""
        job = session.get(JobRow, attempt.subject_id, with_for_update=True)
        if job is None or attempt.state not in _STATES:
            return
        state = JobState(attempt.state)
        if may_follow(JobState(job.state), state):
            job.state = state
            if state is JobState.RUNNING and job.started_at is None:
                job.started_at = attempt.started_at
        if attempt.message and job.state == state:
            job.message = attempt.message

    def attempt_ended(self, session: Session, attempt: AttemptRow) -> None:
        """End the job or queue it again."""
        job = session.get(JobRow, attempt.subject_id, with_for_update=True)
        if job is None or attempt.reason is None:
            return
        spec = JobSpec.model_validate(job.spec)
        stopping = job.stop_reason is not None
        before = [
            earlier.reason
            for earlier in self._attempts.of(session, [job.id])[job.id]
            if earlier.number < attempt.number
        ]
        refused = attempt.reason == ExitReason.EXIT_NONZERO and attempt.exit_code == CANNOT
        most = 0 if refused and job.kind != "task" else spec.max_restarts
        decided = outcome(attempt.reason, before, most, stopping=stopping)
        if not may_follow(JobState(job.state), decided.state):
            return
        job.exit_code = attempt.exit_code
        if decided.restart:
            job.state, job.reason = JobState.QUEUED, attempt.reason
            job.message = again(attempt, before, spec.max_restarts)
            if attempt.reason not in FREE_RESTARTS:
                rest_s = back_off_s(counted(before) + 1)
                job.retry_at = self._clock.now() + timedelta(seconds=rest_s) if rest_s else None
            return
        assert attempt.ended_at is not None
        reason, message = attempt.reason, attempt.message
        if decided.state is JobState.SUCCEEDED:
            warned = None if stopping else job.message  # such as names in its output that could not be kept
            end_job(job, decided.state, None, warned, attempt.ended_at)
        elif decided.state is JobState.CANCELLED:  # who stopped it says more than that it was stopped
            reason = job.stop_reason or CANCELLED
            end_job(job, decided.state, reason, job.message or message, attempt.ended_at)
        else:
            end_job(job, decided.state, reason, message, attempt.ended_at)
        self.finish(session, job)

    def finish(self, session: Session, job: JobRow) -> None:
        """What the end of a job means for its run and for the record of events."""
        assert job.ended_at is not None
        self._datasets.release(session, HOLDER, job.id)  # its blobs stay with the job's own reference
        self._runs.finish(session, job.run_id, _RUN_STATES[JobState(job.state)], job.ended_at)
        self._events.add(
            session,
            job.project_id,
            None,
            "jobs.end",
            job.id,
            name=job.name,
            state=job.state,
            reason=job.reason,
        )

    def fail(self, job_id: str, reason: str, message: str) -> bool:
        """End a job that still waits and can never start. False when it waits no more."""
        with self._db.write() as session:
            job = session.get(JobRow, job_id, with_for_update=True)
            if job is None or job.state != JobState.QUEUED:
                return False
            end_job(job, JobState.FAILED, reason, message, self._clock.now())
            self.finish(session, job)
        return True

    def remove_files(self, job_id: str, attempts: Sequence[AttemptRow]) -> None:
        """Remove what an ended job left on the disk. May be repeated."""
        for attempt in attempts:
            self._attempts.remove_files(attempt)
        shutil.rmtree(self._place.checkpoints / job_id, ignore_errors=True)
        (self._place.checkpoints / f"{job_id}.inherited").unlink(missing_ok=True)


def again(attempt: AttemptRow, before: Sequence[str | None], max_restarts: int) -> str:
    """Why a job waits once more."""
    if attempt.reason == PREEMPTED:
        return f"attempt {attempt.number} made room for work that is not spot; it waits for its place again"
    if attempt.reason == RESIZED:
        return f"attempt {attempt.number} was stopped to start again with another number of replicas"
    ended = f"attempt {attempt.number} ended ({attempt.message or attempt.reason})"
    if attempt.reason in FREE_RESTARTS:
        return f"{ended}; it starts again, which is not counted"
    return f"{ended}; restart {counted(before) + 1} of {max_restarts} is next"


def end_job(job: JobRow, state: JobState, reason: str | None, message: str | None, at: datetime) -> None:
    """Write a final state into the row."""
    job.state, job.reason, job.message, job.ended_at = state, reason, message, at
