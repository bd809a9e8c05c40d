"""What launchers report: four byte channels per replica, each byte taken exactly once."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.domain.gangs import merged
from nacre.errors import NotFound, RequestError, TooLarge, Unavailable
from nacre.schema.launch import Channel, ChannelAck, ReplicaEvent, ReplicaSample
from nacre.schema.runs import TrackRecord
from nacre.services.blobs import BlobLedger
from nacre.services.replicas import LOST, rendezvous, replicas_of
from nacre.services.runs import Runs
from nacre.services.samples import apply_samples
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.channels")

MAX_BODY_BYTES = 2**20
"""The most that one report carries; the rest comes with the next."""
MAX_LOG_BYTES = 1024 * 2**20
"""Of one replica, whatever its launcher sends: the last line of defence of the server's disk."""
_MAX_LINE_BYTES = 256 * 2**10

L = TypeVar("L", bound=BaseModel)


class Sink(Protocol):
    """Who brings events into attempts."""

    def apply_event(
        self,
        session: Session,
        row: AttemptRow,
        replica: ReplicaRow,
        event: ReplicaEvent,
        artifacts: str | None,
    ) -> None: ...
    def notify(self, row: AttemptRow) -> None: ...


class Channels:
    """Takes reports. The size of the log file, and the offsets of the other channels in the database, are
    the truth about what was taken."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        runs: Runs,
        attempts: Sink,
        ledger: BlobLedger,
        logs: Path,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._runs = runs
        self._attempts = attempts
        self._ledger = ledger
        self._logs = logs
        self._locks = [threading.Lock() for _ in range(64)]

    def report(
        self, attempt_id: str, rank: int, channel: Channel, *, offset: int, body: bytes
    ) -> ChannelAck:
        """Take what lies past what was taken before, and say how far it is now."""
        if len(body) > MAX_BODY_BYTES:
            raise TooLarge(f"send at most {MAX_BODY_BYTES} bytes at once", limit=MAX_BODY_BYTES)
        if channel == "log":
            return self._log(attempt_id, rank, offset, body)
        return self._lines(attempt_id, rank, channel, offset=offset, body=body)

    def _lock(self, key: object) -> threading.Lock:
        return self._locks[hash(key) % len(self._locks)]

    def _row(self, session: Session, attempt_id: str, *, lock: bool = False) -> AttemptRow:
        row = session.get(AttemptRow, attempt_id, with_for_update=True if lock else None)
        if row is None:
            raise NotFound("there is no such attempt: it was deleted")
        return row

    # Log: bytes into a file

    def _log(self, attempt_id: str, rank: int, offset: int, body: bytes) -> ChannelAck:
        with self._db.read() as session:
            row = self._row(session, attempt_id)
            replica = _replica(session, attempt_id, rank)
            ack = _ack(session, row, replica, 0)
        path = self._logs / attempt_id / f"{rank}.log"
        with self._lock((attempt_id, rank)):
            try:
                size, grown = _append(path, offset, body)
            except OSError as error:
                raise Unavailable(f"the log cannot be written: {error.strerror}") from error
        if grown:
            self._signals.notify(f"log:{row.subject_id}")
        return ack.model_copy(update={"offset": size})

    # The others: lines into the database

    def _lines(
        self, attempt_id: str, rank: int, channel: Channel, *, offset: int, body: bytes
    ) -> ChannelAck:
        if channel == "events" and b'"artifacts"' in body:
            with self._lock(attempt_id):  # what all replicas left is put together one after the other
                outputs = self._outputs(attempt_id, rank, body)
                return self._take(attempt_id, rank, channel, offset=offset, body=body, outputs=outputs)
        return self._take(attempt_id, rank, channel, offset=offset, body=body, outputs={})

    def _take(
        self,
        attempt_id: str,
        rank: int,
        channel: Channel,
        *,
        offset: int,
        body: bytes,
        outputs: Mapping[str, str],
    ) -> ChannelAck:
        field = f"{channel}_offset"
        with self._db.write() as session:
            row = self._row(session, attempt_id, lock=True)
            replica = _replica(session, attempt_id, rank, lock=True)
            replica.seen_at = self._clock.now()
            taken: int = getattr(replica, field)
            fresh = _whole_lines(body[taken - offset :]) if offset <= taken < offset + len(body) else b""
            if fresh and not _fenced(row, replica):
                if channel == "track":
                    self._track(session, row, fresh)
                elif channel == "events":
                    self._events(session, row, replica, fresh, outputs)
                elif channel == "samples":
                    samples = _parse(fresh, ReplicaSample, row)
                    _try(session, row, partial(apply_samples, session, self._runs, row, rank, samples))
                setattr(replica, field, taken + len(fresh))
            ack = _ack(session, row, replica, getattr(replica, field))
        if fresh and channel != "samples":  # which change nothing but the run, and that says so itself
            self._attempts.notify(row)
            if channel == "track" and row.run_id:
                self._signals.notify(f"run:{row.run_id}")
        return ack

    def _outputs(self, attempt_id: str, rank: int, body: bytes) -> dict[str, str]:
        """For each manifest in these events, that of all that the attempt left so far.

        Those that name blobs which the attempt's project never sent are not among them: nobody gains a file
        by knowing its digest. Done before the transaction, because it reads and writes files.
        """
        with self._db.read() as session:
            row = self._row(session, attempt_id)
            others = {
                one.rank: one.artifacts
                for one in replicas_of(session, attempt_id)
                if one.rank != rank and one.artifacts is not None
            }
        found = {}
        for manifest in {e.manifest for e in _parse(body, ReplicaEvent, row, warn=False) if e.manifest}:
            if not self._possessed(row.project_id, manifest):
                continue
            found[manifest] = manifest
            if others or rank > 0:
                parts = {k: self._ledger.read_manifest(v) for k, v in {**others, rank: manifest}.items()}
                found[manifest] = self._ledger.write_manifest(row.project_id, merged(parts))
        return found

    def _possessed(self, project_id: str, manifest: str) -> bool:
        try:
            self._ledger.take_manifest(project_id, manifest)
        except RequestError:
            return False
        return True

    def _track(self, session: Session, row: AttemptRow, data: bytes) -> None:
        if row.run_id is None:
            return
        run_id = row.run_id
        records = _parse(data, TrackRecord, row)
        try:
            with session.begin_nested():
                self._runs.apply(session, run_id, records)
        except RequestError:  # one of them cannot be had: then all the others
            for record in records:
                _try(session, row, lambda record=record: self._runs.apply(session, run_id, [record]))  # type: ignore[misc]

    def _events(
        self,
        session: Session,
        row: AttemptRow,
        replica: ReplicaRow,
        data: bytes,
        outputs: Mapping[str, str],
    ) -> None:
        for event in _parse(data, ReplicaEvent, row):
            output = None if event.manifest is None else outputs.get(event.manifest)
            if event.manifest is not None and output is None:
                _log.warning("attempt %s: artifacts that its project does not have", row.id)
                continue
            apply = partial(self._attempts.apply_event, session, row, replica, event, output)
            _try(session, row, apply)


def _try(session: Session, row: AttemptRow, apply: Callable[[], None]) -> None:
    """Apply one line, or leave it out with a warning: one bad line must not hold up the channel."""
    try:
        with session.begin_nested():
            apply()
    except RequestError as error:
        _log.warning("attempt %s: a line was left out: %s", row.id, error.detail)


def _replica(session: Session, attempt_id: str, rank: int, *, lock: bool = False) -> ReplicaRow:
    found = session.get(ReplicaRow, (attempt_id, rank), with_for_update=True if lock else None)
    if found is None:
        raise NotFound("there is no such replica")
    return found


def _fenced(row: AttemptRow, replica: ReplicaRow) -> bool:
    return row.desired == "fence" or replica.state == LOST


def _ack(session: Session, row: AttemptRow, replica: ReplicaRow, offset: int) -> ChannelAck:
    waits = replica.ready_at is not None and replica.started_at is None and row.desired == "run"
    return ChannelAck(
        offset=offset,
        desired="fence" if _fenced(row, replica) else row.desired,
        reason=row.desired_reason,
        grace_s=row.desired_grace,
        rendezvous=rendezvous(session, row.id) if waits else None,
    )


def _append(path: Path, offset: int, body: bytes) -> tuple[int, bool]:
    """Write what lies past the end of the file; its size afterwards, and whether it grew."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        size = os.fstat(descriptor).st_size
        if not offset <= size < offset + len(body):
            return size, False
        if offset + len(body) > MAX_LOG_BYTES:
            raise TooLarge(f"the log is over {MAX_LOG_BYTES} bytes", limit=MAX_LOG_BYTES)
        rest = memoryview(body)[size - offset :]
        while rest:
            written = os.pwrite(descriptor, rest, size)
            size, rest = size + written, rest[written:]
        return size, True
    finally:
        os.close(descriptor)


def _whole_lines(data: bytes) -> bytes:
    """Up to the last line end; an endless line is taken too, to be left out as malformed."""
    end = data.rfind(b"\n") + 1
    if end == 0 and len(data) >= _MAX_LINE_BYTES:
        return data
    return data[:end]


def _parse(data: bytes, kind: type[L], row: AttemptRow, *, warn: bool = True) -> list[L]:
    found: list[L] = []
    bad = 0
    first = ""
    for line in data.splitlines():
        if not line.strip():
            continue
        try:
            found.append(kind.model_validate_json(line))
        except ValidationError as error:
            bad += 1
            first = first or f"{line[:80]!r}: {error.errors()[0]['msg']}"
    if bad and warn:
        _log.warning("attempt %s: %d malformed lines were left out, the first: %s", row.id, bad, first)
    return found
