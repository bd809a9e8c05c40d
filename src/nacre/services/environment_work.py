"""What is to be resolved and built, and what came of it: the loop's side of environments."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.environments import EnvironmentRow
from nacre.errors import NacreError, RequestError
from nacre.ports.environments import Built, Lock, Source
from nacre.schema.environments import EnvironmentState
from nacre.services.environments import TOPIC
from nacre.services.signals import Signals

ENVIRONMENT_FAILED = "environment_failed"


@dataclass(frozen=True)
class Work:
    """One wish. ``lock`` is what it resolved to, null while that is to be done from ``source``, or from
    ``base`` and ``extra``. ``change`` guards the results."""

    id: str
    name: str
    change: int
    source: Source
    lock: Lock | None
    base: Lock | None = None
    extra: tuple[str, ...] = ()


class EnvironmentWork:
    """Hands out wishes and takes results. A result for a wish that changed meanwhile is dropped."""

    def __init__(self, db: Database, clock: Clock, signals: Signals) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals

    def wanted(self) -> list[str]:
        """Ids of what is wanted and not there, oldest wish first."""
        statement = (
            select(EnvironmentRow.id)
            .where(EnvironmentRow.wanted.is_(True), EnvironmentRow.deleted_at.is_(None))
            .order_by(EnvironmentRow.updated_at, EnvironmentRow.id)
        )
        with self._db.read() as session:
            return list(session.scalars(statement))

    def ready(self) -> list[tuple[str, str]]:
        """(id, digest) of all that are said to be there."""
        statement = select(EnvironmentRow.id, EnvironmentRow.digest).where(
            EnvironmentRow.state == EnvironmentState.READY, EnvironmentRow.deleted_at.is_(None)
        )
        with self._db.read() as session:
            return [(row.id, row.digest) for row in session.execute(statement) if row.digest]

    def lost(self, environment_id: str) -> None:
        """Its folder is gone: it is built again when it is next needed."""
        with self._db.write() as session:
            row = session.get(EnvironmentRow, environment_id, with_for_update=True)
            if row is not None and row.state == EnvironmentState.READY:
                row.state, row.change = EnvironmentState.PENDING, row.change + 1

    def begin(self, environment_id: str) -> Work | None:
        """Start on a wish; null when there is nothing to do now (it waits for its base, or is gone)."""
        with self._db.write() as session:
            row = session.get(EnvironmentRow, environment_id, with_for_update=True)
            if row is None or not row.wanted or row.deleted_at is not None:
                return None
            base = session.get(EnvironmentRow, row.base_id) if row.base_id else None
            work = self._start(row, base) if base is None or self._base_is_locked(row, base) else None
        self._tell(environment_id)
        return work

    def _start(self, row: EnvironmentRow, base: EnvironmentRow | None) -> Work:
        locked = row.lock is not None and not row.refresh
        row.state = EnvironmentState.BUILDING if locked else EnvironmentState.RESOLVING
        row.reason = row.message = None
        return Work(
            id=row.id,
            name=row.name,
            change=row.change,
            source=Source(row.requirements, row.pyproject, row.lock_source, row.python),
            lock=_lock(row) if locked else None,
            base=_lock(base) if base is not None else None,
            extra=tuple(row.extra),
        )

    def _base_is_locked(self, row: EnvironmentRow, base: EnvironmentRow) -> bool:
        """Whether the base can be built upon. A base that failed fails what builds on it."""
        if base.state == EnvironmentState.FAILED and base.lock is None:
            self._fail(row, f"{base.name}: {base.message}", base.transient)
            return False
        if base.lock is None or base.refresh:
            base.wanted = True
            return False
        if row.base_digest != base.digest:
            row.refresh, row.base_digest = row.lock is not None, base.digest
        return True

    def resolved(self, work: Work, lock: Lock) -> bool:
        """Keep the lock (of an upgrade: only once it is built); false when the wish has changed."""
        with self._db.write() as session:
            row = _current(session, work)
            if row is None:
                return False
            row.state = EnvironmentState.BUILDING
            if not row.refresh:
                _keep(row, lock)
        self._tell(work.id)
        return True

    def finished(self, work: Work, lock: Lock, built: Built) -> None:
        """It is there."""
        with self._db.write() as session:
            row = _current(session, work)
            if row is not None:
                _keep(row, lock)
                row.state, row.wanted = EnvironmentState.READY, False
                row.refresh = row.transient = False
                row.size, row.build_seconds = built.size, built.seconds
        self._tell(work.id)

    def failed(self, work: Work, error: NacreError) -> None:
        """It cannot be had. An upgrade that failed leaves the older lock in use, and says so."""
        transient = not isinstance(error, RequestError)
        with self._db.write() as session:
            row = _current(session, work)
            if row is not None and row.refresh and row.lock is not None and row.base_id is None:
                row.state, row.wanted, row.refresh = EnvironmentState.READY, False, False
                row.reason, row.message = "upgrade_failed", f"it stays as it was: {error.detail}"
            elif row is not None:
                self._fail(row, error.detail, transient)
        self._tell(work.id)

    def _fail(self, row: EnvironmentRow, message: str, transient: bool) -> None:
        row.state, row.wanted, row.refresh = EnvironmentState.FAILED, False, False
        row.reason, row.message, row.transient = ENVIRONMENT_FAILED, message, transient
        row.base_digest, row.updated_at = None, self._clock.now()

    def _tell(self, environment_id: str) -> None:
        self._signals.notify(TOPIC, "jobs", "instances", f"environment:{environment_id}")


def _current(session: Session, work: Work) -> EnvironmentRow | None:
    row = session.get(EnvironmentRow, work.id, with_for_update=True)
    return row if row is not None and row.change == work.change and row.wanted else None


def _keep(row: EnvironmentRow, lock: Lock) -> None:
    row.lock, row.lock_python, row.digest = lock.text, lock.python, lock.digest


def _lock(row: EnvironmentRow) -> Lock:
    assert row.lock is not None
    assert row.lock_python is not None
    assert row.digest is not None
    return Lock(row.lock, row.lock_python, row.digest)
