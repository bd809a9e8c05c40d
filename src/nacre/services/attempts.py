"""Attempts of jobs and instances: made, launched, stopped, ended; their launchers' reports and blobs."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.usage import UsageRow
from nacre.domain.identity import Caller
from nacre.domain.jobs import CANCELLED, PREEMPTED, end_reason, joined
from nacre.domain.scheduling import Holding
from nacre.errors import NacreError, Unavailable
from nacre.ports.engines import Engine, Handle
from nacre.schema.data import BlobsMissing
from nacre.schema.launch import Channel, ChannelAck, ExitReason, LaunchSpec, ReplicaEvent
from nacre.services.attempt_blobs import AttemptBlobs
from nacre.services.blobs import BlobLedger
from nacre.services.channels import Channels
from nacre.services.runs import Runs
from nacre.services.signals import Signals
from nacre.services.subjects import Subject
from nacre.services.tokens import REPORT_SCOPES, WORK_SCOPES, Tokens
from nacre.services.usage import UsageLedger

_log = logging.getLogger("nacre.attempts")

PLACED = "placed"
LAUNCHED = "launched"
ENDED = "ended"
CLOSED = "closed"
"""``placed`` (stored, maybe not launched), ``launched``, then what the launcher reports (preparing,
starting, running, stopping), ``ended`` (final; its folder may still be there), ``closed``."""

_ORDER = {PLACED: 0, LAUNCHED: 1, "preparing": 2, "starting": 3, "running": 4, "stopping": 5}


class Attempts:
    """The only writer of attempts. Topics after commits: ``attempts`` (something to look after),
    ``attempt:ID``, ``job:ID`` or ``instance:ID``, ``jobs`` or ``instances`` once one has ended."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        runs: Runs,
        usage: UsageLedger,
        tokens: Tokens,
        ledger: BlobLedger,
        engine: Engine,
        logs: Path,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._runs = runs
        self._usage = usage
        self._tokens = tokens
        self.engine = engine
        self.logs = logs
        self._subjects: dict[str, Subject] = {}
        self._fresh: dict[str, LaunchSpec] = {}
        self._launching = threading.Lock()
        self._blobs = AttemptBlobs(db, ledger, self._subjects)
        self._channels = Channels(
            db=db, clock=clock, signals=signals, runs=runs, attempts=self, ledger=ledger, logs=logs
        )

    def register(self, kind: str, subject: Subject) -> None:
        """Tell who makes attempts of this kind (``job``, ``instance``)."""
        self._subjects[kind] = subject

    # Making and launching

    def create(
        self,
        session: Session,
        spec: LaunchSpec,
        *,
        project_id: str,
        user_id: str,
        node: str,
        cpu: float,
        memory: int,
        gpus: list[int],
        price_per_hour: int,
    ) -> str:
        """Store an attempt with its handle, usage record and token. Call :meth:`launch` after the commit.

        ``spec.attempt_id`` is a fresh ``new_id("att")``; its tokens are filled in here.
        """
        now = self._clock.now()
        last = session.scalar(
            select(func.max(AttemptRow.number)).where(AttemptRow.subject_id == spec.subject_id)
        )
        row = AttemptRow(
            id=spec.attempt_id,
            project_id=project_id,
            kind=spec.kind,
            subject_id=spec.subject_id,
            number=(last or 0) + 1,
            run_id=spec.run_id,
            state=PLACED,
            desired="run",
            cpu=cpu,
            memory=memory,
            gpus=gpus,
            node=node,
            handle=self.engine.handle(spec),
            allocated_at=now,
        )
        session.add(row)
        session.flush()
        session.add(
            ReplicaRow(attempt_id=row.id, rank=spec.rank, log_offset=0, track_offset=0, events_offset=0)
        )
        self._usage.open(
            session,
            allocation_id=row.id,
            project_id=project_id,
            user_id=user_id,
            kind="job" if spec.kind == "job" else "instance",
            subject_id=spec.subject_id,
            subject_name=spec.subject_name,
            cpu=cpu,
            memory=memory,
            gpu=len(gpus),
            price_per_hour=price_per_hour,
            started_at=now,
        )
        self._fresh[row.id] = self._with_tokens(session, spec, user_id, project_id)
        return row.id

    def _with_tokens(self, session: Session, spec: LaunchSpec, user_id: str, project_id: str) -> LaunchSpec:
        """Two tokens: the work must not be able to report how it ended itself."""

        def issue(kind: str, scopes: Sequence[str]) -> str:
            secret, _ = self._tokens.issue(
                session,
                user_id=user_id,
                kind=kind,
                name=spec.subject_name[:64],
                scopes=scopes,
                project_id=project_id,
                attempt_id=spec.attempt_id,
            )
            return secret

        kind, scopes = ("attempt", WORK_SCOPES) if spec.kind == "job" else ("instance", ("*",))
        work = issue(kind, scopes if spec.work_scopes is None else spec.work_scopes)
        return spec.model_copy(update={"token": issue("attempt", REPORT_SCOPES), "work_token": work})

    def launch(self, attempt_id: str) -> None:
        """Launch an attempt that was placed; nothing when that was done. Repeat it after a crash.

        An engine that cannot tell now leaves it placed, for the control loop to try again; any other
        failure ends the attempt with ``launch_failed``.
        """
        with self._launching:
            self._launch(attempt_id)

    def _launch(self, attempt_id: str) -> None:
        fresh = self._fresh.pop(attempt_id, None)
        with self._db.read() as session:
            row = session.get(AttemptRow, attempt_id)
        if row is None or row.state != PLACED:
            return
        try:
            spec = fresh or self._again(row)
            self.engine.launch(spec, row.handle)
        except Unavailable as error:
            _log.warning("cannot launch %s now: %s", attempt_id, error.detail)
            return
        except (NacreError, OSError, ValueError) as error:
            _log.warning("launching %s failed: %s", attempt_id, error)
            self.end(
                attempt_id, ExitReason.LAUNCH_FAILED.value, f"The launcher could not be started: {error}."
            )
            return
        with self._db.write() as session:
            current = session.get(AttemptRow, attempt_id, with_for_update=True)
            if current is not None and current.state == PLACED:
                current.state = LAUNCHED

    def _again(self, row: AttemptRow) -> LaunchSpec:
        """The spec of an attempt whose server died before it was launched, with other tokens.

        The first ones stay valid: perhaps the launch did happen, and then these are not used.
        """
        spec = self._subjects[row.kind].launch_spec(row)
        with self._db.write() as session:
            user_id = session.scalar(select(UsageRow.user_id).where(UsageRow.allocation_id == row.id))
            assert user_id is not None
            return self._with_tokens(session, spec, user_id, row.project_id)

    # What there is

    def holdings(self, session: Session) -> list[Holding]:
        """What each attempt that has not ended takes of its node."""
        rows = session.execute(
            select(
                AttemptRow,
                UsageRow.subject_name,
                UsageRow.user_id,
                ProjectRow.name.label("project"),
                JobRow.spec["max_duration"].as_float().label("longest"),
                JobRow.spec["stop_duration"].as_float().label("grace"),
                JobRow.spec["spot"].as_boolean().label("spot"),
            )
            .join(UsageRow, UsageRow.allocation_id == AttemptRow.id)
            .join(ProjectRow, ProjectRow.id == AttemptRow.project_id)
            .outerjoin(JobRow, JobRow.id == AttemptRow.subject_id)
            .where(AttemptRow.ended_at.is_(None))
            .order_by(AttemptRow.id)
        )
        now = self._clock.now().timestamp()
        return [_holding(now, *row) for row in rows]

    def claim(self, session: Session) -> list[Holding]:
        """The holdings, which nobody else adds to until this transaction ends: look again, then create."""
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(7373)"))
        return self.holdings(session)

    def active(self, session: Session, subject_id: str) -> AttemptRow | None:
        """The attempt of a subject that has not ended, if there is one."""
        return session.scalars(
            select(AttemptRow).where(AttemptRow.subject_id == subject_id, AttemptRow.ended_at.is_(None))
        ).first()

    def of(self, session: Session, subject_ids: Sequence[str]) -> dict[str, list[AttemptRow]]:
        """The attempts of each subject, in order."""
        found: dict[str, list[AttemptRow]] = {subject_id: [] for subject_id in subject_ids}
        for row in session.scalars(
            select(AttemptRow).where(AttemptRow.subject_id.in_(subject_ids)).order_by(AttemptRow.number)
        ):
            found[row.subject_id].append(row)
        return found

    def open_ones(self) -> list[AttemptRow]:
        """Every attempt that is not closed: what the control loop looks after."""
        with self._db.read() as session:
            return list(
                session.scalars(
                    select(AttemptRow).where(AttemptRow.state != CLOSED).order_by(AttemptRow.id)
                )
            )

    def orphans(self) -> list[tuple[str, Handle, bool]]:
        """What the engine has of attempts that nobody looks after: id, handle, and whether the attempt is
        unknown (its job was deleted) and not just closed."""
        found = self.engine.leftovers()  # first: what is launched meanwhile is not among them
        known = select(AttemptRow.id, AttemptRow.state).where(
            AttemptRow.id.in_([name for name, _ in found])
        )
        with self._db.read() as session:
            states = {row.id: row.state for row in session.execute(known)}
        return [
            (name, handle, name not in states)
            for name, handle in found
            if states.get(name, CLOSED) == CLOSED
        ]

    def log_path(self, attempt_id: str, rank: int = 0) -> Path:
        """Where the log bytes of a replica are."""
        return self.logs / attempt_id / f"{rank}.log"

    # Changing

    def stop(self, session: Session, attempt_id: str, reason: str) -> AttemptRow | None:
        """Ask for the end; the attempt, unless that was done before or it has ended.

        After the commit notify ``attempts``: the control loop tells the engine.
        """
        row = session.get(AttemptRow, attempt_id, with_for_update=True)
        if row is None or row.ended_at is not None or row.desired != "run":
            return None
        row.desired, row.desired_reason = "stop", reason
        return row

    def apply_event(self, session: Session, row: AttemptRow, event: ReplicaEvent) -> None:
        """Bring one event of the launcher into the attempt and its subject."""
        at = self._at(row, event.time_ms)
        row.seen_at = self._clock.now()
        if event.isolation is not None:
            row.isolation = event.isolation
        if event.type == "state" and event.state is not None and row.ended_at is None:
            if _ORDER[event.state] > _ORDER.get(row.state, 99):
                row.state = event.state
                if event.state == "running" and row.started_at is None:
                    row.started_at = at
                self._moved(session, row)
        elif event.type == "artifacts" and event.manifest is not None:
            row.artifacts = event.manifest
            if row.run_id is not None:
                self._runs.set_artifacts(session, row.run_id, event.manifest)
        elif event.type == "warning":
            row.message = joined(row.message, event.message)
            self._moved(session, row)
        elif event.type == "exit":
            row.peak_memory = event.peak_memory_bytes
            reason = end_reason(event.reason, event.exit_code, event.signal)
            if reason == CANCELLED and row.desired_reason == PREEMPTED:
                reason = PREEMPTED  # a launcher that heard the signal before the reason
            self._end(session, row, reason, event.message, at, exit_code=event.exit_code)

    def _at(self, row: AttemptRow, time_ms: int) -> datetime:
        """The launcher's time, never outside the attempt's own life as this server saw it."""
        now = self._clock.now()
        at = self._channels.instant(time_ms) or now
        return min(max(at, row.allocated_at), now)

    def _moved(self, session: Session, row: AttemptRow) -> None:
        if row.kind in self._subjects:
            self._subjects[row.kind].attempt_moved(session, row)

    def end(self, attempt_id: str, reason: str, message: str) -> None:
        """End an attempt whose launcher will not report its end; it is fenced from then on."""
        with self._db.write() as session:
            row = session.get(AttemptRow, attempt_id, with_for_update=True)
            if row is None or row.ended_at is not None:
                return
            row.desired = "fence"
            self._end(session, row, reason, message, self._clock.now())
        self.notify(row)

    def _end(
        self,
        session: Session,
        row: AttemptRow,
        reason: str,
        message: str | None,
        at: datetime,
        *,
        exit_code: int | None = None,
    ) -> None:
        if row.ended_at is not None:
            return
        row.state, row.reason, row.message = ENDED, reason[:64], joined(message, row.message)
        row.exit_code, row.ended_at = exit_code, at
        self._usage.close(session, row.id, at)
        if row.kind in self._subjects:
            self._subjects[row.kind].attempt_ended(session, row)

    def close(self, attempt_id: str) -> None:
        """The launcher's folder is gone: its token ends, and nobody looks after the attempt any more."""
        with self._db.write() as session:
            row = session.get(AttemptRow, attempt_id, with_for_update=True)
            if row is not None and row.ended_at is not None:
                row.state = CLOSED
                self._tokens.revoke_attempt(session, attempt_id)
        self._blobs.forget(attempt_id)

    def remove(self, session: Session, subject_id: str) -> None:
        """Delete a subject's attempts; what they cost stays on record."""
        for row in self.of(session, [subject_id])[subject_id]:
            self._tokens.revoke_attempt(session, row.id)
            session.delete(row)

    def remove_files(self, row: AttemptRow) -> None:
        """Remove an ended attempt's folder and its log. May be repeated."""
        self.engine.forget(row.handle, everything=True)
        shutil.rmtree(self.logs / row.id, ignore_errors=True)

    def notify(self, row: AttemptRow) -> None:
        """Wake who waits for this attempt or its subject; after the commit."""
        topics = [f"attempt:{row.id}", f"{row.kind}:{row.subject_id}"]
        if row.ended_at is not None:
            topics += [f"{row.kind}s", "attempts"]
        self._signals.notify(*topics)

    # The launcher's operations

    def report(self, attempt: str, rank: int, channel: Channel, *, offset: int, body: bytes) -> ChannelAck:
        """Take bytes of a channel; repeated and overlapping sends count once.

        Raises:
            NotFound: the attempt is gone: its launcher must end.
        """
        return self._channels.report(attempt, rank, channel, offset=offset, body=body)

    def missing(self, caller: Caller, attempt: str, digests: list[str]) -> BlobsMissing:
        """Which blobs of the attempt's artifacts must be sent."""
        return self._blobs.missing(caller, attempt, digests)

    def put_blob(self, caller: Caller, attempt: str, digest: str, stream: BinaryIO) -> None:
        """Take an artifact's bytes."""
        self._blobs.put(caller, attempt, digest, stream)

    def get_blob(self, caller: Caller, attempt: str, digest: str) -> BinaryIO:
        """Bytes of the attempt's code or inputs.

        Raises:
            PermissionDenied: the blob is not part of them.
        """
        return self._blobs.open(caller, attempt, digest)


def _holding(
    now: float,
    row: AttemptRow,
    name: str,
    user: str,
    project: str,
    longest: float | None,
    grace: float | None,
    spot: bool | None,
) -> Holding:
    leaving = row.desired != "run"
    grace = grace or 0.0
    ends_by = longest and (row.started_at.timestamp() if row.started_at else now) + longest + grace
    if leaving:
        ends_by = min(now + grace, ends_by or now + grace)
    return Holding(
        node=row.node,
        name=name if row.kind == "job" else f"{row.kind} {name}",
        cpu=row.cpu,
        memory=row.memory,
        gpus=dict.fromkeys(row.gpus, 1.0),
        id=row.id,
        project=project,
        user=user,
        spot=bool(spot),
        since=row.allocated_at.timestamp(),
        ends_by=ends_by,
        grace=grace,
        leaving=leaving,
        job=row.kind == "job",
    )
