"""The queue of replicas: environments made ready, places found, attempts started, reasons kept."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointReplicaRow
from nacre.domain.jobs import ENVIRONMENT_FAILED
from nacre.domain.scheduling import Seat, Shape, Waiting, still_free
from nacre.errors import NacreError, Unavailable
from nacre.ids import new_id
from nacre.ports.engines import Engine, NodeFacts
from nacre.schema.endpoints import ReplicaState
from nacre.schema.launch import ExitReason, LaunchSpec
from nacre.services.attempts import Attempts
from nacre.services.endpoint_launch import EndpointLaunches, Told
from nacre.services.environment_wait import environment_wait
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.room import make_room
from nacre.services.scheduling import Scheduling, machines
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.endpoints")


class EndpointQueue:
    """One pass brings every queued replica as far as it can go now, by the same plan as jobs and instances.

    Load, decide, then one guarded transaction per replica: whatever is killed in between, the next pass
    finds either a queued replica or a stored attempt, which ``Attempts.launch`` starts.
    """

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        attempts: Attempts,
        launches: EndpointLaunches,
        environments: EnvironmentCatalogue,
        engine: Engine,
        scheduling: Scheduling,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._attempts = attempts
        self._launches = launches
        self._environments = environments
        self._engine = engine
        self._scheduling = scheduling

    def advance(self) -> int:
        """One pass; the number of attempts it started.

        Raises:
            Unavailable: the engine cannot tell what machines there are; nothing was changed.
        """
        with self._db.read() as session:
            queued = session.scalars(
                select(EndpointReplicaRow)
                .where(EndpointReplicaRow.state == ReplicaState.QUEUED)
                .order_by(EndpointReplicaRow.queued_at, EndpointReplicaRow.id)
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
        if started:
            self._signals.notify("serving")
        return started

    def _environment_wait(self, session: Session, row: EndpointReplicaRow) -> Waiting | None:
        """Why it waits for its environment; null when that is ready."""
        if row.environment_id is None:
            return None
        return environment_wait(self._environments.status(session, row.environment_id))

    def _note(self, row: EndpointReplicaRow, why: Waiting) -> None:
        if (row.reason, row.message) == (why.reason, why.message):
            return
        with self._db.write() as session:
            current = session.get(EndpointReplicaRow, row.id, with_for_update=True)
            if current is None or current.state != ReplicaState.QUEUED:
                return
            current.reason, current.message = why.reason, why.message
        self._signals.notify("serving")

    def _fail(self, replica_id: str, reason: str, message: str) -> None:
        with self._db.write() as session:
            row = session.get(EndpointReplicaRow, replica_id, with_for_update=True)
            if row is None or row.state != ReplicaState.QUEUED:
                return
            row.state, row.reason, row.message = ReplicaState.FAILED, reason, message
            row.queued_at, row.ended_at = None, self._clock.now()
        self._signals.notify("endpoints")

    def _try(self, row: EndpointReplicaRow, seat: Seat, facts: Mapping[str, NodeFacts]) -> int:
        with self._db.read() as session:
            told = self._launches.told(session, row.id)
        if told is None:
            return 0
        attempt_id = new_id("att")
        try:
            spec = self._launches.spec(told, attempt_id, facts[seat.node], seat.gpus)
        except Unavailable:
            raise
        except (NacreError, OSError, ValueError) as error:
            _log.warning("a replica of endpoint %s cannot be launched: %s", told.endpoint.name, error)
            self._fail(row.id, ExitReason.LAUNCH_FAILED.value, str(error))
            return 0
        if not self._store(told, facts[seat.node], seat, spec):
            self._signals.notify("endpoints")  # something else took the place meanwhile: look again
            return 0
        self._attempts.launch(attempt_id)
        return 1

    def _store(self, told: Told, facts: NodeFacts, seat: Seat, spec: LaunchSpec) -> bool:
        """Store the attempt, its usage and its token; false when it waits no more, or has no place."""
        with self._db.write() as session:
            row = session.get(EndpointReplicaRow, told.replica.id, with_for_update=True)
            if row is None or row.state != ReplicaState.QUEUED:
                return False
            shape = Shape(row.cpu, row.memory, row.gpu, row.gpu_name)
            if not still_free(machines([facts])[0], shape, seat.gpus, self._attempts.claim(session)):
                return False
            row.state, row.reason = ReplicaState.STARTING, None
            row.message = "the sandbox is being prepared"
            row.attempt_id, row.queued_at = spec.attempt_id, None
            self._attempts.create(
                session,
                [spec],
                project_id=row.project_id,
                user_id=told.endpoint.user_id,
                seats=[seat],
                cpu=row.cpu,
                memory=row.memory,
                price_per_hour=row.price_per_hour,
                paid_by=row.endpoint_id,
            )
        return True
