"""The queue of jobs: environments made ready, places found, attempts started, reasons kept."""

from __future__ import annotations

import logging
from typing import Any

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.jobs import ENVIRONMENT_BUILDING, ENVIRONMENT_FAILED, PREEMPTED, may_follow
from nacre.domain.scheduling import (
    Plan,
    Seat,
    Shape,
    Waiting,
    plan,
    still_free,
)
from nacre.errors import NacreError, Unavailable
from nacre.ids import new_id
from nacre.ports.engines import Engine, NodeFacts
from nacre.schema.environments import Environment, EnvironmentState
from nacre.schema.jobs import JobState
from nacre.schema.launch import ExitReason
from nacre.services.attempts import Attempts
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.job_launch import JobLaunches
from nacre.services.job_locks import JobLocks, KeptLock
from nacre.services.scheduling import Queued, Scheduling, machines, queued
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.queue")


class JobQueue:
    """One pass brings every queued job as far as it can go now, in the order that the scheduler finds.

    Load, decide, then one guarded transaction per job: whatever is killed in between, the next pass finds
    either a queued job or a stored attempt, which ``Attempts.launch`` starts.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        attempts: Attempts,
        launches: JobLaunches,
        environments: EnvironmentCatalogue,
        locks: JobLocks,
        engine: Engine,
        scheduling: Scheduling,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._attempts = attempts
        self._launches = launches
        self._environments = environments
        self._locks = locks
        self._engine = engine
        self._scheduling = scheduling

    def warm(self) -> None:
        """Ask the engine for its machines, so that the first job need not wait for their discovery."""
        self._engine.nodes()

    def advance(self) -> int:
        """One pass; the number of attempts it started.

        Raises:
            Unavailable: the engine cannot tell what machines there are; nothing was changed.
        """
        with self._db.read() as session:
            waiting = queued(session)
            if not waiting:
                return 0
            known = {
                item.environment_id: self._environments.status(session, item.environment_id)
                for item in waiting
            }
            holdings = self._attempts.holdings(session)
        ready = []
        for item in waiting:
            environment = known[item.environment_id]
            if environment.state is EnvironmentState.READY:
                ready.append(item)
            else:
                self._wait_for_environment(item, environment)
        if not ready:
            return 0
        facts = {node.name: node for node in self._engine.nodes()}
        now = self._clock.now()
        there = machines(facts.values())
        made = plan(
            [item.demand for item in ready],
            there,
            holdings,
            self._scheduling.policy(there),
            now.timestamp(),
        )
        self._preempt(made)
        started = 0
        for item in ready:
            seats = made.placed.get(item.demand.id)
            if seats is None:
                self._note(item, made.waiting[item.demand.id])
            elif self._start(item.demand.id, seats[0], facts[seats[0].node], known[item.environment_id]):
                started += 1
        return started

    def _preempt(self, made: Plan) -> None:
        """Tell spot work to go for what is not; it waits for its place again once it has ended."""
        for attempt_id in made.preempted:
            with self._db.write() as session:
                attempt = self._attempts.stop(session, attempt_id, PREEMPTED)
                job = session.get(JobRow, attempt.subject_id, with_for_update=True) if attempt else None
                if job is not None and may_follow(JobState(job.state), JobState.STOPPING):
                    job.state, job.reason = JobState.STOPPING, PREEMPTED
                    job.message = "it makes room for work that is not spot"
            if job is not None:
                self._signals.notify("attempts", f"job:{job.id}")

    def _wait_for_environment(self, item: Queued, environment: Environment) -> None:
        if environment.state is EnvironmentState.FAILED:
            message = environment.message or "it could not be built: see 'nacre env logs'"
            if self._launches.fail(
                item.demand.id, ENVIRONMENT_FAILED, f"environment {environment.name}: {message}"
            ):
                self._signals.notify(f"job:{item.demand.id}")
            return
        doing = {EnvironmentState.PENDING: "waiting to be built"}.get(
            environment.state, f"{environment.state}"
        )
        self._note(
            item, Waiting(ENVIRONMENT_BUILDING, f"waits for the environment {environment.name}: {doing}")
        )

    def _note(self, item: Queued, waiting: Waiting) -> None:
        if (item.reason, item.message) == (waiting.reason, waiting.message):
            return
        with self._db.write() as session:
            job = session.get(JobRow, item.demand.id, with_for_update=True)
            if job is None or job.state != JobState.QUEUED:
                return
            job.reason, job.message = waiting.reason, waiting.message
        self._signals.notify(f"job:{item.demand.id}")

    def _start(self, job_id: str, found: Seat, facts: NodeFacts, environment: Environment) -> bool:
        attempt_id = self._place(job_id, found, facts, environment)
        if attempt_id is None:
            return False
        self._attempts.launch(attempt_id)
        self._signals.notify(f"job:{job_id}")
        return True

    def _place(self, job_id: str, found: Seat, facts: NodeFacts, environment: Environment) -> str | None:
        """Store the attempt, its usage and its token; null when the job waits no more."""
        with self._db.read() as session:
            job = session.get(JobRow, job_id)
            project = session.get(ProjectRow, job.project_id) if job else None
        if job is None or project is None or job.state != JobState.QUEUED:
            return None
        lock = self._locks.keep(job.project_id, environment)
        job.record = _complete(job.record, environment, lock, facts)
        attempt_id = new_id("att")
        try:
            spec = self._launches.spec(job, project, attempt_id, facts, [*found.gpus])
        except Unavailable:
            raise
        except (NacreError, ValueError) as error:
            _log.warning("job %s cannot be launched: %s", job_id, error)
            if self._launches.fail(job_id, ExitReason.LAUNCH_FAILED.value, str(error)):
                self._signals.notify(f"job:{job_id}")
            return None
        with self._db.write() as session:
            current = session.get(JobRow, job_id, with_for_update=True)
            if current is None or current.state != JobState.QUEUED:
                return None
            if self._attempts.active(session, job_id) is not None:
                return None
            shape = Shape(current.cpu, current.memory, current.gpu, current.gpu_name)
            if not still_free(machines([facts])[0], shape, found.gpus, self._attempts.claim(session)):
                return None  # an instance was faster; the next pass finds another place
            current.state, current.reason, current.message = JobState.PREPARING, None, None
            current.record = job.record
            if lock is not None:
                self._locks.hold(session, current.project_id, job_id, lock)
            return self._attempts.create(
                session,
                spec,
                project_id=current.project_id,
                user_id=current.user_id,
                node=facts.name,
                cpu=current.cpu,
                memory=current.memory,
                gpus=[*found.gpus],
                price_per_hour=current.price_per_hour,
            )


def _complete(
    record: dict[str, Any], environment: Environment, lock: KeptLock | None, facts: NodeFacts
) -> dict[str, Any]:
    """The record with what is known only at placement: the lock and the machine."""
    node = {"name": facts.name, "cpu": facts.cpu, "memory": facts.memory, "gpus": list(facts.gpus)}
    return record | {
        "environment_digest": environment.digest,
        "lock_digest": None if lock is None else lock.digest,
        "hardware": record["hardware"] | {"node": node | facts.facts},
    }
