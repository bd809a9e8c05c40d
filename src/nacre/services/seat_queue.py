"""The queue of what wants one seat on a machine, an instance or a replica of an endpoint: environments made
ready, places found, attempts started, reasons kept."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointReplicaRow
from nacre.db.tables.instances import InstanceRow
from nacre.domain.jobs import ENVIRONMENT_FAILED
from nacre.domain.scheduling import Seat, Shape, Waiting, still_free
from nacre.errors import NacreError, Unavailable
from nacre.ids import new_id
from nacre.ports.engines import Engine, NodeFacts
from nacre.schema.launch import ExitReason, LaunchSpec
from nacre.services.attempts import Attempts
from nacre.services.environment_wait import environment_wait
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.room import make_room
from nacre.services.scheduling import Scheduling, machines
from nacre.services.signals import Signals

QUEUED, STARTING, FAILED = "queued", "starting", "failed"
"""The states that instances and replicas have in common here."""

_log = logging.getLogger("nacre.queue")
_Row = TypeVar("_Row", EndpointReplicaRow, InstanceRow)


@dataclass(frozen=True)
class LaunchOrder:
    """What shall be launched for a row.

    ``subject``: what it is, in the log. ``paid_by``: subject of its usage record. ``spec``: what to launch,
    by the attempt's id, the machine and its GPUs; it may be slow and raise.
    """

    subject: str
    user_id: str
    paid_by: str
    spec: Callable[[str, NodeFacts, Iterable[int]], LaunchSpec]


@dataclass(frozen=True, kw_only=True)
class SeatQueue(ABC, Generic[_Row]):
    """One pass brings every queued row as far as it can go now, by the same plan as the jobs.

    Load, decide, then one guarded transaction per row: whatever is killed in between, the next pass finds
    either a queued row or a stored attempt, which ``Attempts.launch`` starts.
    """

    again: ClassVar[str]
    """Topic that wakes the loop of this queue."""

    db: Database
    clock: Clock
    signals: Signals
    attempts: Attempts
    environments: EnvironmentCatalogue
    engine: Engine
    scheduling: Scheduling

    @abstractmethod
    def _rows(self) -> type[_Row]:
        """The table."""

    @abstractmethod
    def _needs(self, row: _Row) -> Iterable[str | None]:
        """The environments that it cannot start without."""

    @abstractmethod
    def _order(self, session: Session, row: _Row) -> LaunchOrder | None:
        """What to launch for it; null when what it belongs to is gone."""

    @abstractmethod
    def _topic(self, row: _Row) -> str:
        """Topic of those who look at it."""

    def _failed(self, row: _Row) -> str:
        """Complete a row that has failed; the topic to tell."""
        return self._topic(row)

    def advance(self) -> int:
        """One pass; the number of attempts it started.

        Raises:
            Unavailable: the engine cannot tell what machines there are; nothing was changed.
        """
        with self.db.read() as session:
            rows = self._rows()
            waits = select(rows).where(rows.state == QUEUED).order_by(rows.queued_at, rows.id)
            queued = session.scalars(waits).all()
            waiting = {row.id: self._environment_wait(session, row) for row in queued}
        ready = []
        for row in queued:
            why = waiting[row.id]
            if why is None:
                ready.append(row)
            elif why.reason == ENVIRONMENT_FAILED:
                self._fail(row, why.reason, why.message)
            else:
                self._note(row, why)
        if not ready:
            return 0
        facts = {node.name: node for node in self.engine.nodes()}
        made = self.scheduling.plan((), facts.values())
        make_room(self.db, self.attempts, self.signals, made.preempted)
        started = 0
        for row in ready:
            if row.id in made.waiting:
                self._note(row, made.waiting[row.id])
            elif row.id in made.placed:
                seat = made.placed[row.id][0]
                started += self._start(row, seat, facts[seat.node])
        return started

    def _environment_wait(self, session: Session, row: _Row) -> Waiting | None:
        """Why it waits for one of its environments; null when they are ready."""
        building = None
        for environment_id in filter(None, self._needs(row)):
            why = environment_wait(self.environments.status(session, environment_id))
            if why is not None and why.reason == ENVIRONMENT_FAILED:
                return why
            building = building or why
        return building

    def _waits_still(self, session: Session, row: _Row) -> _Row | None:
        """The row as it is now, locked; null when it waits no more."""
        current = session.get(self._rows(), row.id, with_for_update=True)
        return current if current is not None and current.state == QUEUED else None

    def _note(self, row: _Row, why: Waiting) -> None:
        if (row.reason, row.message) == (why.reason, why.message):
            return
        with self.db.write() as session:
            current = self._waits_still(session, row)
            if current is None:
                return
            current.reason, current.message = why.reason, why.message
        self.signals.notify(self._topic(row))

    def _fail(self, row: _Row, reason: str, message: str) -> None:
        with self.db.write() as session:
            current = self._waits_still(session, row)
            if current is None:
                return
            current.state, current.reason, current.message = FAILED, reason, message
            current.queued_at = None
            topic = self._failed(current)
        self.signals.notify(topic)

    def _start(self, row: _Row, seat: Seat, facts: NodeFacts) -> bool:
        with self.db.read() as session:
            order = self._order(session, row)
        if order is None:
            return False
        attempt_id = new_id("att")
        try:
            spec = order.spec(attempt_id, facts, seat.gpus)
        except Unavailable:
            raise
        except (NacreError, OSError, ValueError) as error:
            _log.warning("%s cannot be launched: %s", order.subject, error)
            self._fail(row, ExitReason.LAUNCH_FAILED.value, str(error))
            return False
        if not self._store(row, seat, facts, order, spec):
            self.signals.notify(self.again)  # something else took the place meanwhile: look again
            return False
        self.attempts.launch(attempt_id)
        self.signals.notify(self._topic(row))
        return True

    def _store(self, row: _Row, seat: Seat, facts: NodeFacts, order: LaunchOrder, spec: LaunchSpec) -> bool:
        """Store the attempt, its usage and its token; false when it waits no more, or has no place."""
        with self.db.write() as session:
            current = self._waits_still(session, row)
            if current is None or self.attempts.active(session, row.id) is not None:
                return False
            shape = Shape(current.cpu, current.memory, current.gpu, current.gpu_name)
            if not still_free(machines([facts])[0], shape, seat.gpus, self.attempts.claim(session)):
                return False
            current.state, current.reason = STARTING, None
            current.message = "the sandbox is being prepared"
            current.attempt_id, current.queued_at = spec.attempt_id, None
            self.attempts.create(
                session,
                [spec],
                project_id=current.project_id,
                user_id=order.user_id,
                seats=[seat],
                cpu=current.cpu,
                memory=current.memory,
                price_per_hour=current.price_per_hour,
                paid_by=order.paid_by,
            )
        return True
