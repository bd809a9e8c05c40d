"""What is left of replicas that nobody wants any more."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import or_, select

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.endpoints import EndpointReplicaRow
from nacre.services.attempts import Attempts
from nacre.services.endpoint_steps import failed
from nacre.services.replicas import CLOSED
from nacre.services.signals import Signals

DELETED = "deleted"
_KEPT = timedelta(hours=1)


class EndpointLeftovers:
    """Part of the replicas of endpoints. Topic after commits: ``attempts``."""

    def __init__(self, db: Database, clock: Clock, signals: Signals, attempts: Attempts) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._attempts = attempts

    def stop_orphans(self) -> int:
        """Stop the attempts of endpoints that were deleted; how many."""
        known = select(EndpointReplicaRow.id)
        with self._db.read() as session:
            ids = session.scalars(
                select(AttemptRow.id).where(
                    AttemptRow.state != CLOSED,
                    AttemptRow.kind == "endpoint",
                    AttemptRow.ended_at.is_(None),
                    AttemptRow.desired == "run",
                    AttemptRow.subject_id.not_in(known),
                )
            ).all()
        if ids:
            with self._db.write() as session:
                for attempt_id in ids:
                    self._attempts.stop(session, attempt_id, DELETED)
            self._signals.notify("attempts")
        return len(ids)

    def sweep(self) -> int:
        """Forget replicas that are over, with their logs, except the one of a revision that failed last;
        also what is left of attempts whose endpoint is gone. How many."""
        before = self._clock.now() - _KEPT
        with self._db.read() as session:
            ended = session.scalars(
                select(EndpointReplicaRow)
                .where(EndpointReplicaRow.ended_at.is_not(None))
                .order_by(EndpointReplicaRow.id)
            ).all()
            last = {(row.endpoint_id, row.revision): row.id for row in ended if failed(row)}
            old = {row.id for row in ended if row.ended_at and row.ended_at < before} - {*last.values()}
            known = select(EndpointReplicaRow.id)
            mine = (AttemptRow.kind == "endpoint", AttemptRow.state == CLOSED)
            gone = or_(AttemptRow.subject_id.in_(old), AttemptRow.subject_id.not_in(known))
            closed = {row.subject_id: row for row in session.scalars(select(AttemptRow).where(*mine, gone))}
            attempts = [row for rows in self._attempts.of(session, [*closed]).values() for row in rows]
            open_ones = set(
                session.scalars(
                    select(AttemptRow.subject_id).where(
                        AttemptRow.subject_id.in_(old), AttemptRow.state != CLOSED
                    )
                )
            )
        for attempt in attempts:
            self._attempts.remove_files(attempt)
        with self._db.write() as session:
            for subject_id in closed:
                self._attempts.remove(session, subject_id)
            for replica_id in old - open_ones:
                row = session.get(EndpointReplicaRow, replica_id)
                if row is not None:
                    session.delete(row)
        return len(closed)
