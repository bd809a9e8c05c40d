"""The queue of instances: environments made ready, places found, attempts started, reasons kept; and what
the loop learns of the ones that run."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.instances import InstanceRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.instances import IDLE, NOT_READY
from nacre.domain.jobs import ENVIRONMENT_FAILED
from nacre.domain.scheduling import Seat, Shape, Waiting, still_free
from nacre.errors import NacreError, Unavailable
from nacre.ids import new_id
from nacre.ports.engines import Engine, NodeFacts
from nacre.schema.instances import InstanceApp, InstanceState
from nacre.schema.launch import ExitReason, LaunchSpec
from nacre.services.attempts import Attempts
from nacre.services.environment_wait import environment_wait
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.instance_launch import InstanceLaunches
from nacre.services.instances import TOPIC, Instances
from nacre.services.room import make_room
from nacre.services.scheduling import Scheduling, machines
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.instances")


@dataclass(frozen=True)
class Watched:
    """A live instance, as the loop needs it. ``active_at`` is never before its start."""

    id: str
    name: str
    app: InstanceApp
    attempt_id: str
    state: InstanceState
    idle_timeout: float
    placed_at: datetime
    active_at: datetime


class InstanceQueue:
    """One pass brings every queued instance as far as it can go now, by the same plan as the jobs.

    Load, decide, then one guarded transaction per instance: whatever is killed in between, the next pass
    finds either a queued instance or a stored attempt, which ``Attempts.launch`` starts.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        attempts: Attempts,
        instances: Instances,
        launches: InstanceLaunches,
        environments: EnvironmentCatalogue,
        engine: Engine,
        scheduling: Scheduling,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._attempts = attempts
        self._instances = instances
        self._launches = launches
        self._environments = environments
        self._engine = engine
        self._scheduling = scheduling

    # Starting

    def advance(self) -> int:
        """One pass; the number of attempts it started.

        Raises:
            Unavailable: the engine cannot tell what machines there are; nothing was changed.
        """
        with self._db.read() as session:
            queued = session.scalars(
                select(InstanceRow)
                .where(InstanceRow.state == InstanceState.QUEUED)
                .order_by(InstanceRow.queued_at, InstanceRow.id)
            ).all()
            waiting = {row.id: self._environment_wait(session, row) for row in queued}
        ready = []
        for row in queued:
            why = waiting[row.id]
            if why is None:
                ready.append(row)
            elif why.reason == ENVIRONMENT_FAILED:
                self._fail(row.id, why.reason, why.message)
            else:
                self._note(row, why)
        if not ready:
            return 0
        facts = {node.name: node for node in self._engine.nodes()}
        made = self._scheduling.plan((), facts.values())
        make_room(self._db, self._attempts, self._signals, made.preempted)
        started = 0
        for row in ready:
            if row.id in made.waiting:
                self._note(row, made.waiting[row.id])
            elif row.id in made.placed:
                started += self._try(row, made.placed[row.id][0], facts)
        return started

    def _environment_wait(self, session: Session, row: InstanceRow) -> Waiting | None:
        """Why it waits for one of its environments; null when they are ready."""
        building = None
        for environment_id in filter(None, (row.kernel_environment_id, row.lab_environment_id)):
            why = environment_wait(self._environments.status(session, environment_id))
            if why is not None and why.reason == ENVIRONMENT_FAILED:
                return why
            building = building or why
        return building

    def _note(self, row: InstanceRow, why: Waiting) -> None:
        if (row.reason, row.message) == (why.reason, why.message):
            return
        with self._db.write() as session:
            current = session.get(InstanceRow, row.id, with_for_update=True)
            if current is None or current.state != InstanceState.QUEUED:
                return
            current.reason, current.message = why.reason, why.message
        self._signals.notify(f"instance:{row.id}")

    def _fail(self, instance_id: str, reason: str, message: str) -> None:
        with self._db.write() as session:
            row = session.get(InstanceRow, instance_id, with_for_update=True)
            if row is None or row.state != InstanceState.QUEUED:
                return
            row.state, row.reason, row.message = InstanceState.FAILED, reason, message
            row.queued_at = None
        self._signals.notify(f"instance:{instance_id}")

    def _try(self, row: InstanceRow, found: Seat, facts: dict[str, NodeFacts]) -> int:
        shape = Shape(row.cpu, row.memory, row.gpu, row.gpu_name)
        with self._db.read() as session:
            project = session.get(ProjectRow, row.project_id)
        if project is None:
            return 0
        attempt_id = new_id("att")
        try:
            spec = self._launches.spec(row, project, attempt_id, facts[found.node], found.gpus)
        except Unavailable:
            raise
        except (NacreError, OSError, ValueError) as error:
            _log.warning("instance %s cannot be launched: %s", row.id, error)
            self._fail(row.id, ExitReason.LAUNCH_FAILED.value, str(error))
            return 0
        if not self._store(row.id, shape, facts, found, project.id, row.user_id, spec):
            self._signals.notify(TOPIC)  # something else took the place meanwhile: look again
            return 0
        self._attempts.launch(attempt_id)
        self._signals.notify(f"instance:{row.id}")
        return 1

    def _store(
        self,
        instance_id: str,
        shape: Shape,
        facts: dict[str, NodeFacts],
        found: Seat,
        project_id: str,
        user_id: str,
        spec: LaunchSpec,
    ) -> bool:
        """Store the attempt, its usage and its token; false when it waits no more, or has no place."""
        with self._db.write() as session:
            row = session.get(InstanceRow, instance_id, with_for_update=True)
            if row is None or row.state != InstanceState.QUEUED:
                return False
            if self._attempts.active(session, row.id) is not None:
                return False
            machine = machines([facts[found.node]])[0]
            if not still_free(machine, shape, found.gpus, self._attempts.claim(session)):
                return False
            row.state, row.reason = InstanceState.STARTING, None
            row.message = "the sandbox is being prepared"
            row.attempt_id, row.queued_at = spec.attempt_id, None
            self._attempts.create(
                session,
                [spec],
                project_id=project_id,
                user_id=user_id,
                seats=[found],
                cpu=row.cpu,
                memory=row.memory,
                price_per_hour=row.price_per_hour,
            )
        return True

    def discard(self) -> int:
        """Delete the temporary ones that are over; how many."""
        return self._instances.discard()

    # Those that live

    def watched(self) -> list[Watched]:
        """Every instance that starts or runs."""
        with self._db.read() as session:
            rows = session.execute(
                select(InstanceRow, AttemptRow.allocated_at)
                .join(AttemptRow, AttemptRow.id == InstanceRow.attempt_id)
                .where(
                    InstanceRow.state.in_((InstanceState.STARTING, InstanceState.RUNNING)),
                    AttemptRow.ended_at.is_(None),
                )
            ).all()
        found = []
        for row, placed_at in rows:
            assert row.attempt_id is not None
            since = row.started_at or placed_at
            found.append(
                Watched(
                    id=row.id,
                    name=row.name,
                    app=InstanceApp(row.app),
                    attempt_id=row.attempt_id,
                    state=InstanceState(row.state),
                    idle_timeout=row.idle_timeout,
                    placed_at=placed_at,
                    active_at=max(since, row.active_at or since),
                )
            )
        return found

    def ready(self, found: Watched) -> None:
        """Its app answers."""
        with self._db.write() as session:
            row = self._same(session, found, InstanceState.STARTING)
            if row is None:
                return
            now = self._clock.now()
            row.state, row.reason, row.message = InstanceState.RUNNING, None, None
            row.started_at = row.active_at = now
        self._signals.notify(f"instance:{found.id}")

    def not_ready(self, found: Watched, message: str) -> None:
        """Its app did not come up: it is stopped, and will have failed."""
        self._stop(found, InstanceState.STARTING, NOT_READY, message)

    def seen(self, found: Watched, active_at: datetime) -> None:
        """It was active at that time."""
        with self._db.write() as session:
            row = self._same(session, found, InstanceState.RUNNING)
            if row is not None and (row.active_at is None or row.active_at < active_at):
                row.active_at = active_at

    def stop_idle(self, found: Watched, active_at: datetime) -> None:
        """Stop it for being idle, unless somebody came back meanwhile."""
        idle_s = (self._clock.now() - active_at).total_seconds()
        message = (
            f"nothing ran in it and nobody used it for {_span(idle_s)}; its idle time-out is "
            f"{_span(found.idle_timeout)}"
        )
        self._stop(found, InstanceState.RUNNING, IDLE, message, unless_active_after=active_at)

    def _stop(
        self,
        found: Watched,
        state: InstanceState,
        reason: str,
        message: str,
        *,
        unless_active_after: datetime | None = None,
    ) -> None:
        with self._db.write() as session:
            row = self._same(session, found, state)
            if row is None:
                return
            if unless_active_after and row.active_at and row.active_at > unless_active_after:
                return
            self._instances.request_stop(session, row, reason, message)
        self._signals.notify("attempts", f"instance:{found.id}")

    def _same(self, session: Session, found: Watched, state: InstanceState) -> InstanceRow | None:
        """The row, if it is still in that state with that attempt."""
        row = session.get(InstanceRow, found.id, with_for_update=True)
        if row is None or row.state != state or row.attempt_id != found.attempt_id:
            return None
        return row


def _span(seconds: float) -> str:
    """A length of time for people."""
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    if seconds < 7200:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f}".removesuffix(".0") + " hours"
