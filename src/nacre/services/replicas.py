"""What launchers report of the replicas of an attempt, and what becomes of the attempt by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock, from_epoch_ms
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.domain.gangs import cause
from nacre.domain.jobs import CANCELLED, GANG_STOPPED, RENDEZVOUS_TIMEOUT, end_reason, joined
from nacre.schema.launch import ExitReason, GangMember, ReplicaEvent
from nacre.services.runs import Runs
from nacre.services.subjects import Subject
from nacre.services.usage import UsageLedger

PLACED = "placed"
LAUNCHED = "launched"
ENDED = "ended"
LOST = "lost"
CLOSED = "closed"
"""Of replicas and attempts: ``placed`` (stored, maybe not launched), ``launched``, then what the launcher
reports (preparing, starting, running, stopping), ``ended`` (final; its folder may still be there).
Replicas only: ``lost``, ended without the launcher's word. Attempts only: ``closed``, nothing is left."""

_ORDER = {PLACED: 0, LAUNCHED: 1, "preparing": 2, "starting": 3, "running": 4, "stopping": 5}
_TAIL_LINES, _TAIL_BYTES = 5, 1000


def replicas_of(session: Session, attempt_id: str) -> list[ReplicaRow]:
    """In the order of ranks."""
    return [
        *session.scalars(
            select(ReplicaRow).where(ReplicaRow.attempt_id == attempt_id).order_by(ReplicaRow.rank)
        )
    ]


def rendezvous(session: Session, attempt_id: str) -> list[GangMember] | None:
    """All members of a gang once each is ready; None before, and for a replica that is alone."""
    found = replicas_of(session, attempt_id)
    if len(found) == 1 or any(one.ports is None for one in found):
        return None
    return [GangMember(rank=one.rank, address=one.address or "", ports=one.ports or []) for one in found]


class Replicas:
    """Follows events in the caller's transaction. ``logs``: folder of the attempts' logs."""

    def __init__(
        self,
        *,
        clock: Clock,
        runs: Runs,
        usage: UsageLedger,
        subjects: Mapping[str, Subject],
        logs: Path,
    ) -> None:
        self._clock = clock
        self._runs = runs
        self._usage = usage
        self._subjects = subjects
        self._logs = logs

    def apply(
        self,
        session: Session,
        row: AttemptRow,
        replica: ReplicaRow,
        event: ReplicaEvent,
        artifacts: str | None = None,
    ) -> None:
        """Bring one event of a launcher into its replica, the attempt and its subject.

        ``artifacts``: the manifest of all that the attempt left so far, with what this event brings.
        """
        at = self._at(row, event.time_ms)
        if event.isolation is not None:
            replica.isolation = event.isolation
            if replica.rank == 0:
                row.isolation = event.isolation
        if event.type == "state" and event.state is not None:
            self._move(session, row, replica, event.state, at)
        elif event.type == "ready" and replica.ready_at is None and event.ports:
            replica.address, replica.ports, replica.ready_at = event.address, event.ports, at
        elif event.type == "artifacts" and event.manifest is not None:
            replica.artifacts, row.artifacts = event.manifest, artifacts
            if row.run_id is not None and artifacts is not None:
                self._runs.set_artifacts(session, row.run_id, artifacts)
        elif event.type == "warning":
            replica.message = joined(replica.message, event.message)
            if row.reason is None:
                row.message = joined(row.message, event.message)
            self._moved(session, row)
        elif event.type == "exit" and replica.ended_at is None:
            self._exit(session, row, replica, event, at)

    def _move(
        self, session: Session, row: AttemptRow, replica: ReplicaRow, state: str, at: datetime
    ) -> None:
        if replica.ended_at is not None or _ORDER[state] <= _ORDER.get(replica.state, 99):
            return
        replica.state = state
        if state == "running" and replica.started_at is None:
            replica.started_at = at
        self._follow(session, row)

    def _exit(
        self, session: Session, row: AttemptRow, replica: ReplicaRow, event: ReplicaEvent, at: datetime
    ) -> None:
        replica.peak_memory, replica.exit_code = event.peak_memory_bytes, event.exit_code
        reason = end_reason(event.reason, event.exit_code, event.signal)
        if reason == CANCELLED and row.desired_reason is not None:
            reason = row.desired_reason  # a launcher that heard the signal before the reason
        message = joined(event.message, replica.message)
        self._end_replica(session, row, replica, ENDED, reason, message, at)

    def lose(
        self, session: Session, row: AttemptRow, replica: ReplicaRow, reason: str, message: str
    ) -> None:
        """End a replica whose launcher will not report its end; that launcher is fenced from then on."""
        if replica.ended_at is None:
            self._end_replica(session, row, replica, LOST, reason, message, self._clock.now())

    def instant(self, time_ms: int) -> datetime | None:
        """The launcher's time; null for one that no calendar has."""
        try:
            return from_epoch_ms(time_ms)
        except (OverflowError, ValueError, OSError):
            return None

    def _at(self, row: AttemptRow, time_ms: int) -> datetime:
        """The launcher's time, never outside the attempt's own life as this server saw it."""
        now = self._clock.now()
        at = self.instant(time_ms) or now
        return min(max(at, row.allocated_at), now)

    def _follow(self, session: Session, row: AttemptRow) -> None:
        """The attempt is where the least far of its replicas is."""
        live = [one for one in replicas_of(session, row.id) if one.ended_at is None]
        if row.ended_at is not None or not live:
            return
        state = min((one.state for one in live), key=lambda name: _ORDER[name])
        if _ORDER[state] <= _ORDER.get(row.state, 99):
            return
        row.state = state
        if state == "running" and row.started_at is None:
            row.started_at = max(one.started_at for one in live if one.started_at is not None)
        self._moved(session, row)

    def _moved(self, session: Session, row: AttemptRow) -> None:
        if row.kind in self._subjects and row.ended_at is None:
            self._subjects[row.kind].attempt_moved(session, row)

    def _end_replica(
        self,
        session: Session,
        row: AttemptRow,
        replica: ReplicaRow,
        state: str,
        reason: str,
        message: str | None,
        at: datetime,
    ) -> None:
        replica.state, replica.reason, replica.message, replica.ended_at = state, reason[:64], message, at
        session.flush()
        all_of_them = replicas_of(session, row.id)
        self._decide(row, all_of_them)
        if reason != ExitReason.SUCCEEDED and row.desired == "run" and len(all_of_them) > 1:
            row.desired, row.desired_reason = "stop", GANG_STOPPED
        if all(one.ended_at is not None for one in all_of_them):
            self._end(session, row, all_of_them)
        else:
            self._follow(session, row)

    def _decide(self, row: AttemptRow, all_of_them: Sequence[ReplicaRow]) -> None:
        """Whose end is the attempt's: what its own reason, message and exit code are."""
        if row.ended_at is not None or (row.reason == RENDEZVOUS_TIMEOUT == row.desired_reason):
            return
        decisive = cause(all_of_them, row.desired_reason)
        if decisive is None:
            return
        row.reason, row.exit_code = decisive.reason, decisive.exit_code
        message = decisive.message
        if len(all_of_them) > 1 and decisive.reason not in (ExitReason.SUCCEEDED, row.desired_reason):
            message = f"replica {decisive.rank} of {len(all_of_them)}: {message}"
            tail = self._tail(row.id, decisive.rank)
            message = f"{message.rstrip('.')}. Its last lines:\n{tail}" if tail else message
        row.message = message

    def _tail(self, attempt_id: str, rank: int) -> str:
        """The last lines of a replica's log."""
        try:
            with (self._logs / attempt_id / f"{rank}.log").open("rb") as stream:
                stream.seek(0, 2)
                stream.seek(max(0, stream.tell() - _TAIL_BYTES))
                text = stream.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.strip().splitlines()[-_TAIL_LINES:])

    def _end(self, session: Session, row: AttemptRow, all_of_them: Sequence[ReplicaRow]) -> None:
        if row.ended_at is not None:
            return
        at = max(one.ended_at for one in all_of_them if one.ended_at is not None)
        row.state, row.ended_at = ENDED, at
        row.peak_memory = max((one.peak_memory or 0 for one in all_of_them), default=0) or None
        self._usage.close(session, row.id, at)
        if row.kind in self._subjects:
            self._subjects[row.kind].attempt_ended(session, row)
