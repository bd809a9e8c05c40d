"""Attempts of jobs, instances and replicas of endpoints: made, launched, stopped, ended; their launchers'
reports and blobs."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session, selectinload

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.usage import UsageRow
from nacre.domain.identity import Caller
from nacre.domain.jobs import RENDEZVOUS_TIMEOUT
from nacre.domain.scheduling import Holding, Seat
from nacre.errors import NacreError, Unavailable
from nacre.ports.engines import Engine, Handle
from nacre.schema.data import BlobsMissing
from nacre.schema.launch import Channel, ChannelAck, ExitReason, LaunchSpec, ReplicaEvent
from nacre.services.attempt_blobs import AttemptBlobs
from nacre.services.blobs import BlobLedger
from nacre.services.channels import Channels
from nacre.services.holdings import holdings
from nacre.services.replicas import CLOSED, ENDED, LAUNCHED, LOST, PLACED, Replicas, replicas_of
from nacre.services.runs import Runs
from nacre.services.signals import Signals
from nacre.services.subjects import Subject
from nacre.services.tokens import REPORT_SCOPES, WORK_SCOPES, Tokens
from nacre.services.usage import UsageLedger

_log = logging.getLogger("nacre.attempts")


class Attempts:
    """The only writer of attempts. Topics after commits: ``attempts`` (something to look after),
    ``attempt:ID``, ``KIND:ID`` of its subject, and ``jobs``, ``instances`` or ``endpoints`` at an end."""

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
        self._fresh: dict[str, list[LaunchSpec]] = {}
        self._launching = threading.Lock()
        self._blobs = AttemptBlobs(db, ledger, self._subjects)
        self._replicas = Replicas(clock=clock, runs=runs, usage=usage, subjects=self._subjects, logs=logs)
        self._channels = Channels(
            db=db, clock=clock, signals=signals, runs=runs, attempts=self, ledger=ledger, logs=logs
        )

    def register(self, kind: str, subject: Subject) -> None:
        """Tell who makes attempts of this kind (``job``, ``instance``, ``endpoint``)."""
        self._subjects[kind] = subject

    # Making and launching

    def create(
        self,
        session: Session,
        specs: Sequence[LaunchSpec],
        *,
        project_id: str,
        user_id: str,
        seats: Sequence[Seat],
        cpu: float,
        memory: int,
        price_per_hour: int,
        paid_by: str | None = None,
    ) -> str:
        """Store an attempt with its handles, usage record and tokens. Call :meth:`launch` after the commit.

        Args:
            specs: of each replica, in the order of ranks, with one fresh ``new_id("att")`` as
                ``attempt_id``; their tokens are filled in here.
            seats: where each replica goes.
            cpu, memory, price_per_hour: of each replica.
            paid_by: subject of the usage record, where that is not the attempt's own.
        """
        now = self._clock.now()
        first = specs[0]
        last = session.scalar(
            select(func.max(AttemptRow.number)).where(AttemptRow.subject_id == first.subject_id)
        )
        row = AttemptRow(
            id=first.attempt_id,
            project_id=project_id,
            kind=first.kind,
            subject_id=first.subject_id,
            number=(last or 0) + 1,
            run_id=first.run_id,
            state=PLACED,
            desired="run",
            cpu=cpu,
            memory=memory,
            allocated_at=now,
        )
        session.add(row)
        session.flush()
        for spec, seat in zip(specs, seats, strict=True):
            replica = ReplicaRow(
                attempt_id=row.id,
                rank=spec.rank,
                node=seat.node,
                gpus={str(index): part for index, part in seat.gpus.items()},
                handle=self.engine.handle(spec),
                state=PLACED,
                log_offset=0,
                track_offset=0,
                events_offset=0,
                samples_offset=0,
            )
            session.add(replica)
        self._usage.open(
            session,
            allocation_id=row.id,
            project_id=project_id,
            user_id=user_id,
            kind=first.kind,
            subject_id=paid_by or first.subject_id,
            subject_name=first.subject_name,
            cpu=cpu * len(specs),
            memory=memory * len(specs),
            gpu=sum((part for seat in seats for part in seat.gpus.values()), 0.0),
            price_per_hour=price_per_hour * len(specs),
            started_at=now,
        )
        self._fresh[row.id] = self._with_tokens(session, specs, user_id, project_id)
        return row.id

    def _with_tokens(
        self, session: Session, specs: Sequence[LaunchSpec], user_id: str, project_id: str
    ) -> list[LaunchSpec]:
        """Two tokens: the work must not be able to report how it ended itself. Endpoints call nobody, and
        get none."""
        first = specs[0]

        def issue(kind: str, scopes: Sequence[str]) -> str:
            secret, _ = self._tokens.issue(
                session,
                user_id=user_id,
                kind=kind,
                name=first.subject_name[:64],
                scopes=scopes,
                project_id=project_id,
                attempt_id=first.attempt_id,
            )
            return secret

        tokens = {"token": issue("attempt", REPORT_SCOPES)}
        if first.kind != "endpoint":
            kind, scopes = ("attempt", WORK_SCOPES) if first.kind == "job" else ("instance", ("*",))
            tokens["work_token"] = issue(kind, scopes if first.work_scopes is None else first.work_scopes)
        return [spec.model_copy(update=tokens) for spec in specs]

    def launch(self, attempt_id: str) -> None:
        """Launch the replicas that were placed only; nothing when that was done. Repeat it after a crash.

        An engine that cannot tell now leaves them placed, for the control loop to try again; any other
        failure ends the attempt with ``launch_failed``.
        """
        with self._launching:
            self._launch(attempt_id)

    def _launch(self, attempt_id: str) -> None:
        fresh = self._fresh.pop(attempt_id, None)
        with self._db.read() as session:
            row = session.get(AttemptRow, attempt_id)
            placed = [one for one in replicas_of(session, attempt_id) if one.state == PLACED]
        if row is None or row.ended_at is not None or not placed:
            return
        launched: list[int] = []
        try:
            specs = {spec.rank: spec for spec in fresh or self._again(row)}
            for replica in placed:
                self.engine.launch(specs[replica.rank], replica.handle)
                launched.append(replica.rank)
        except Unavailable as error:
            _log.warning("cannot launch %s now: %s", attempt_id, error.detail)
        except (NacreError, OSError, ValueError) as error:
            _log.warning("launching %s failed: %s", attempt_id, error)
            message = f"The launcher could not be started: {error}."
            self.end(attempt_id, ExitReason.LAUNCH_FAILED.value, message)
            return
        if not launched:
            return
        with self._db.write() as session:
            current = session.get(AttemptRow, attempt_id, with_for_update=True)
            found = replicas_of(session, attempt_id)
            for replica in found:
                if replica.rank in launched and replica.state == PLACED:
                    replica.state = LAUNCHED
            if current is not None and current.state == PLACED and len(launched) == len(placed):
                current.state = LAUNCHED

    def _again(self, row: AttemptRow) -> list[LaunchSpec]:
        """The specs of an attempt whose server died before it was launched, with other tokens.

        The first ones stay valid: perhaps the launch did happen, and then these are not used.
        """
        with self._db.read() as session:
            replicas = replicas_of(session, row.id)
        specs = self._subjects[row.kind].launch_specs(row, replicas)
        with self._db.write() as session:
            user_id = session.scalar(select(UsageRow.user_id).where(UsageRow.allocation_id == row.id))
            assert user_id is not None
            return self._with_tokens(session, specs, user_id, row.project_id)

    # What there is

    def holdings(self, session: Session) -> list[Holding]:
        """What each replica of an attempt that has not ended takes of its node."""
        return holdings(session, self._clock.now())

    def fenced(self, session: Session) -> set[str]:
        """Subjects with an attempt that ended without its launcher's word, and of which something may still
        run: nothing else may write where it does."""
        return set(
            session.scalars(
                select(AttemptRow.subject_id)
                .join(ReplicaRow, ReplicaRow.attempt_id == AttemptRow.id)
                .where(AttemptRow.state == ENDED, ReplicaRow.state == LOST)
            )
        )

    def claim(self, session: Session) -> list[Holding]:
        """The holdings, which nobody else adds to until this transaction ends: look again, then create."""
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(7373)"))
        return self.holdings(session)

    def active(self, session: Session, subject_id: str) -> AttemptRow | None:
        """The attempt of a subject that has not ended, if there is one."""
        return session.scalars(
            _with_replicas().where(AttemptRow.subject_id == subject_id, AttemptRow.ended_at.is_(None))
        ).first()

    def of(self, session: Session, subject_ids: Sequence[str]) -> dict[str, list[AttemptRow]]:
        """The attempts of each subject, in order."""
        found: dict[str, list[AttemptRow]] = {subject_id: [] for subject_id in subject_ids}
        for row in session.scalars(
            _with_replicas().where(AttemptRow.subject_id.in_(subject_ids)).order_by(AttemptRow.number)
        ):
            found[row.subject_id].append(row)
        return found

    def open_ones(self) -> list[AttemptRow]:
        """Every attempt that is not closed: what the control loop looks after."""
        with self._db.read() as session:
            return [
                *session.scalars(_with_replicas().where(AttemptRow.state != CLOSED).order_by(AttemptRow.id))
            ]

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

    def stop(
        self,
        session: Session,
        attempt_id: str,
        reason: str,
        message: str | None = None,
        grace_s: float | None = None,
    ) -> AttemptRow | None:
        """Ask for the end; the attempt, unless that was done before or it has ended.

        ``grace_s``: seconds from SIGTERM to SIGKILL, when not what its spec says. After the commit notify
        ``attempts``: the control loop tells the engine.
        """
        row = session.get(AttemptRow, attempt_id, with_for_update=True)
        if row is None or row.ended_at is not None or row.desired != "run":
            return None
        row.desired, row.desired_reason, row.desired_grace = "stop", reason, grace_s
        if message is not None:
            row.reason, row.message = reason, message
        return row

    def apply_event(
        self,
        session: Session,
        row: AttemptRow,
        replica: ReplicaRow,
        event: ReplicaEvent,
        artifacts: str | None,
    ) -> None:
        """Bring one event of a launcher into the attempt and its subject."""
        self._replicas.apply(session, row, replica, event, artifacts)

    def end(self, attempt_id: str, reason: str, message: str) -> None:
        """End an attempt whose launchers will not report its end; they are fenced from then on."""
        with self._db.write() as session:
            row = session.get(AttemptRow, attempt_id, with_for_update=True)
            if row is None or row.ended_at is not None:
                return
            row.desired = "fence"
            for replica in replicas_of(session, attempt_id):
                self._replicas.lose(session, row, replica, reason, message)
        self.notify(row)

    def lose(self, attempt_id: str, rank: int, reason: str, message: str) -> None:
        """End one replica whose launcher will not report its end; the rest of its gang is stopped."""
        with self._db.write() as session:
            row = session.get(AttemptRow, attempt_id, with_for_update=True)
            replica = session.get(ReplicaRow, (attempt_id, rank), with_for_update=True)
            if row is None or replica is None or row.ended_at is not None:
                return
            self._replicas.lose(session, row, replica, reason, message)
        self.notify(row)

    def break_barrier(self, attempt_id: str, message: str) -> None:
        """Stop a gang that does not come together."""
        with self._db.write() as session:
            row = self.stop(session, attempt_id, RENDEZVOUS_TIMEOUT, message)
        if row is not None:
            self.notify(row)

    def close(self, attempt_id: str) -> None:
        """The launcher's folder is gone: its token ends, and nobody looks after the attempt any more."""
        with self._db.write() as session:
            row = session.get(AttemptRow, attempt_id, with_for_update=True)
            if row is not None and row.ended_at is not None:
                row.state = CLOSED
                self._tokens.revoke_attempt(session, attempt_id)
        self._blobs.forget(attempt_id)
        if row is not None:
            self._signals.notify(f"{row.kind}s")  # it may have been waited for: see fenced

    def remove(self, session: Session, subject_id: str) -> None:
        """Delete a subject's attempts; what they cost stays on record."""
        for row in self.of(session, [subject_id])[subject_id]:
            self._tokens.revoke_attempt(session, row.id)
            session.delete(row)

    def remove_files(self, row: AttemptRow) -> None:
        """Remove an ended attempt's folders and its logs. May be repeated."""
        for replica in row.replicas:
            self.engine.forget(replica.handle, everything=True)
        shutil.rmtree(self.logs / row.id, ignore_errors=True)

    def notify(self, row: AttemptRow) -> None:
        """Wake who waits for this attempt or its subject; after the commit."""
        topics = [f"attempt:{row.id}", f"{row.kind}:{row.subject_id}"]
        if row.ended_at is not None:
            topics.append(f"{row.kind}s")
        if row.ended_at is not None or row.desired != "run":
            topics.append("attempts")
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


def _with_replicas() -> Select[AttemptRow]:
    return select(AttemptRow).options(selectinload(AttemptRow.replicas))
