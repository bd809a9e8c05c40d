"""The queue of jobs: environments made ready, places found, attempts started, reasons kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, update

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.jobs import ENVIRONMENT_FAILED, FENCING
from nacre.domain.scheduling import Holding, Seat, Shape, Waiting, still_free
from nacre.errors import NacreError, Unavailable
from nacre.ids import new_id
from nacre.ports.engines import Engine, NodeFacts
from nacre.schema.environments import Environment
from nacre.schema.jobs import JobState
from nacre.schema.launch import ExitReason
from nacre.services.attempts import Attempts
from nacre.services.environment_wait import environment_wait
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.job_launch import JobLaunches
from nacre.services.job_locks import JobLocks, KeptLock
from nacre.services.queued import Queued, queued
from nacre.services.room import make_room
from nacre.services.scheduling import Scheduling, machines
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.queue")
_EXACT = 50
"""So many of the oldest have their message stored as it is, also where the reason is as before."""
_AT_ONCE = 500
"""Messages in one transaction: others write between."""
_FENCED = Waiting(
    FENCING, "waits until nothing of its last attempt can still run: its launcher did not say so"
)


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
            known = {
                environment_id: self._environments.status(session, environment_id)
                for environment_id in {item.environment_id for item in waiting}
            }
            fenced = self._attempts.fenced(session)
        unready = {at: environment_wait(environment) for at, environment in known.items()}
        ready, said = [], dict[str, Waiting]()
        now = self._clock.now().timestamp()
        for item in waiting:
            why = unready[item.environment_id]
            if why is not None and why.reason == ENVIRONMENT_FAILED:
                self._fail(item.demand.id, why)
            elif why is not None:
                said[item.demand.id] = why
            elif item.demand.id in fenced:
                said[item.demand.id] = _FENCED
            elif (rest := item.backing_off(now)) is not None:
                said[item.demand.id] = rest
            else:
                ready.append(item)
        started = 0
        if ready:
            facts = {node.name: node for node in self._engine.nodes()}
            made = self._scheduling.plan([item.demand for item in ready], facts.values())
            make_room(self._db, self._attempts, self._signals, made.preempted)
            said |= made.waiting
            for item in ready:
                seats = made.placed.get(item.demand.id)
                if seats and self._start(item.demand.id, seats, facts, known[item.environment_id]):
                    started += 1
        self._note(waiting, said)
        return started

    def _fail(self, job_id: str, why: Waiting) -> None:
        if self._launches.fail(job_id, why.reason, why.message):
            self._signals.notify(f"job:{job_id}")

    def _note(self, waiting: Sequence[Queued], said: Mapping[str, Waiting]) -> None:
        """Keep why each waits. Where the reason is the one that is stored, only a few sentences are
        written: names and numbers change with each job that starts or ends, for a whole queue of thousands.
        """
        self._scheduling.say(said)
        changed = []
        for place, item in enumerate(waiting):
            why = said.get(item.demand.id)
            if why is None or (item.reason, item.message) == (why.reason, why.message):
                continue
            if item.reason == why.reason and place >= _EXACT:
                continue
            changed.append({"job": item.demand.id, "why": why.reason, "text": why.message})
        statement = (
            update(JobRow.__table__)  # type: ignore[arg-type]
            .where(JobRow.id == bindparam("job"), JobRow.state == JobState.QUEUED)
            .values(reason=bindparam("why"), message=bindparam("text"))
        )
        for start in range(0, len(changed), _AT_ONCE):
            with self._db.write() as session:
                session.connection().execute(statement, changed[start : start + _AT_ONCE])
        for row in changed:
            self._signals.notify(f"job:{row['job']}")

    def _start(
        self,
        job_id: str,
        seats: Sequence[Seat],
        facts: Mapping[str, NodeFacts],
        environment: Environment,
    ) -> bool:
        attempt_id = self._place(job_id, seats, facts, environment)
        if attempt_id is None:
            return False
        self._attempts.launch(attempt_id)
        self._signals.notify(f"job:{job_id}")
        return True

    def _place(
        self,
        job_id: str,
        seats: Sequence[Seat],
        facts: Mapping[str, NodeFacts],
        environment: Environment,
    ) -> str | None:
        """Store the attempt, its usage and its token; null when the job waits no more."""
        with self._db.read() as session:
            job = session.get(JobRow, job_id)
            project = session.get(ProjectRow, job.project_id) if job else None
        if job is None or project is None or job.state != JobState.QUEUED:
            return None
        lock = self._locks.keep(job.project_id, environment)
        job.record = _complete(job.record, environment, lock, facts[seats[0].node])
        attempt_id = new_id("att")
        try:
            specs = self._launches.specs(job, project, attempt_id, seats, facts)
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
            if not _all_free(shape, seats, facts, self._attempts.claim(session)):
                return None  # something else was faster; the next pass finds another place
            current.state, current.reason, current.message = JobState.PREPARING, None, None
            current.record, current.retry_at = job.record, None
            if lock is not None:
                self._locks.hold(session, current.project_id, job_id, lock)
            return self._attempts.create(
                session,
                specs,
                project_id=current.project_id,
                user_id=current.user_id,
                seats=seats,
                cpu=current.cpu,
                memory=current.memory,
                price_per_hour=current.price_per_hour,
            )


def _all_free(
    shape: Shape, seats: Sequence[Seat], facts: Mapping[str, NodeFacts], held: Sequence[Holding]
) -> bool:
    """Whether all seats are free now, on top of one another."""
    taken = [*held]
    for seat in seats:
        if not still_free(machines([facts[seat.node]])[0], shape, seat.gpus, taken):
            return False
        taken.append(Holding(seat.node, "", shape.cpu, shape.memory, seat.gpus))
    return True


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
