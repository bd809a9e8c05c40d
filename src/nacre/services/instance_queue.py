"""The queue of instances, and what the loop learns of the ones that run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.instances import InstanceRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.instances import IDLE, NOT_READY
from nacre.schema.instances import InstanceApp, InstanceState
from nacre.services.instance_launch import InstanceLaunches
from nacre.services.instances import TOPIC, Instances
from nacre.services.seat_queue import LaunchOrder, SeatQueue


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


@dataclass(frozen=True, kw_only=True)
class InstanceQueue(SeatQueue[InstanceRow]):
    """What is special of instances: two environments each; and they live on until they are idle."""

    again = TOPIC
    instances: Instances
    launches: InstanceLaunches

    # Starting

    def _rows(self) -> type[InstanceRow]:
        return InstanceRow

    def _needs(self, row: InstanceRow) -> Iterable[str | None]:
        return [row.kernel_environment_id, row.lab_environment_id]

    def _order(self, session: Session, row: InstanceRow) -> LaunchOrder | None:
        project = session.get(ProjectRow, row.project_id)
        if project is None:
            return None
        return LaunchOrder(
            subject=f"instance {row.id}",
            user_id=row.user_id,
            paid_by=row.id,
            spec=partial(self.launches.spec, row, project),
        )

    def _topic(self, row: InstanceRow) -> str:
        return f"instance:{row.id}"

    def discard(self) -> int:
        """Delete the temporary ones that are over; how many."""
        return self.instances.discard()

    # Those that live

    def watched(self) -> list[Watched]:
        """Every instance that starts or runs."""
        with self.db.read() as session:
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
        with self.db.write() as session:
            row = self._same(session, found, InstanceState.STARTING)
            if row is None:
                return
            now = self.clock.now()
            row.state, row.reason, row.message = InstanceState.RUNNING, None, None
            row.started_at = row.active_at = now
        self.signals.notify(f"instance:{found.id}")

    def not_ready(self, found: Watched, message: str) -> None:
        """Its app did not come up: it is stopped, and will have failed."""
        self._stop(found, InstanceState.STARTING, NOT_READY, message)

    def seen(self, found: Watched, active_at: datetime) -> None:
        """It was active at that time."""
        with self.db.write() as session:
            row = self._same(session, found, InstanceState.RUNNING)
            if row is not None and (row.active_at is None or row.active_at < active_at):
                row.active_at = active_at

    def stop_idle(self, found: Watched, active_at: datetime) -> None:
        """Stop it for being idle, unless somebody came back meanwhile."""
        idle_s = (self.clock.now() - active_at).total_seconds()
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
        with self.db.write() as session:
            row = self._same(session, found, state)
            if row is None:
                return
            if unless_active_after and row.active_at and row.active_at > unless_active_after:
                return
            self.instances.request_stop(session, row, reason, message)
        self.signals.notify("attempts", f"instance:{found.id}")

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
