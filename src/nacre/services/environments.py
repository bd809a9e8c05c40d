"""Environments: the catalogue, the projects' own, and which of them is wanted."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Row, event, func, or_, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.environments import uses_of
from nacre.db.queries.pages import newest_first
from nacre.db.tables.environments import EnvironmentRow
from nacre.domain.identity import Caller
from nacre.domain.requirements import lacking, promised
from nacre.errors import Conflict, NotFound, PermissionDenied
from nacre.ids import new_id
from nacre.ports.environments import Built, Environments, Lock
from nacre.schema.base import Page
from nacre.schema.environments import (
    Environment,
    EnvironmentCreate,
    EnvironmentState,
    EnvironmentUses,
)
from nacre.services.catalogue import CatalogueEntry, catalogue, has_nvidia
from nacre.services.events import Events
from nacre.services.signals import Signals

TOPIC = "environments"
_BUSY = (EnvironmentState.RESOLVING, EnvironmentState.BUILDING)

InUse = Callable[[Session, str], str | None]
"""What uses the environment with this id, as words (``job train-3``); null for nothing."""


class EnvironmentCatalogue:
    """Keeps environments and wishes; :class:`~nacre.control.environments.EnvironmentLoop` fulfils them.

    ``logs``: folder of the build logs. ``gpu``: which form of the catalogue; null looks at the machine.
    """

    def __init__(
        self,
        db: Database,
        clock: Clock,
        port: Environments,
        signals: Signals,
        events: Events,
        logs: Path,
        *,
        gpu: bool | None = None,
    ) -> None:
        self._db = db
        self._clock = clock
        self._port = port
        self._signals = signals
        self._events = events
        self._logs = logs
        self._entries = catalogue(has_nvidia() if gpu is None else gpu)
        self._guards: list[InUse] = []
        self._installed = False
        self._installing = threading.Lock()

    def guard(self, in_use: InUse) -> None:
        """Have ``in_use`` asked before an environment is deleted."""
        self._guards.append(in_use)

    def install(self) -> None:
        """Write the catalogue's entries into the database; cheap after the first time.

        An entry that was never locked takes the declaration of this version of Nacre; one that was keeps
        its lock and its requirements until it is upgraded.
        """
        with self._installing:
            if self._installed:
                return
            with self._db.write() as session:
                for entry in self._entries.values():
                    self._catalogue_row(session, entry)
            self._installed = True

    def _catalogue_row(self, session: Session, entry: CatalogueEntry) -> EnvironmentRow:
        row = _by_name(session, None, entry.name)
        if row is None:
            row = self._new_row(None, entry.name, hidden=entry.hidden)
            session.add(row)
        if row.lock is None:
            _declare(row, entry)
        session.flush()
        return row

    def _new_row(self, project_id: str | None, name: str, *, hidden: bool = False) -> EnvironmentRow:
        now = self._clock.now()
        return EnvironmentRow(
            id=new_id("env"),
            project_id=project_id,
            name=name,
            hidden=hidden,
            description="",
            extra=[],
            state=EnvironmentState.PENDING,
            wanted=False,
            refresh=False,
            transient=False,
            change=0,
            created_at=now,
            updated_at=now,
        )

    # Operations

    def create(self, caller: Caller, body: EnvironmentCreate) -> Environment:
        """Define an environment of the project; it is resolved and built at once.

        Raises:
            Conflict: the project or the catalogue has one of that name.
        """
        self.install()
        with self._db.write() as session:
            if body.name in self._entries or _by_name(session, caller.project_id, body.name):
                raise Conflict(
                    f"there is an environment {body.name} already: choose another name"
                    + (
                        ""
                        if body.name in self._entries
                        else f", or delete it: 'nacre env delete {body.name}'"
                    )
                )
            row = self._new_row(caller.project_id, body.name)
            row.requirements, row.pyproject, row.lock_source = body.requirements, body.pyproject, body.lock
            row.python = body.python
            session.add(row)
            session.flush()
            self._want(session, row)
            self._events.add(session, caller.project_id, caller.user_id, "environments.create", row.id)
            return _environment(row)

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Environment]:
        """The project's own, newest first, and the catalogue's, without locks."""
        self.install()
        statement = select(EnvironmentRow).where(
            or_(EnvironmentRow.project_id == caller.project_id, EnvironmentRow.project_id.is_(None)),
            EnvironmentRow.hidden.is_(False),
            EnvironmentRow.deleted_at.is_(None),
        )
        with self._db.read() as session:
            return newest_first(session, statement, EnvironmentRow.id, _listed, cursor=cursor, limit=limit)

    def get(self, caller: Caller, name: str) -> Environment:
        """An environment by name or id.

        Raises:
            NotFound: the sentence names what there is.
        """
        self.install()
        with self._db.read() as session:
            return _environment(self._find(session, caller.project_id, name))

    def uses(self, caller: Caller, name: str, limit: int = 100) -> EnvironmentUses:
        """What of the caller's project uses it, the latest first."""
        self.install()
        with self._db.read() as session:
            return uses_of(session, caller.project_id, self._find(session, caller.project_id, name), limit)

    def build(self, caller: Caller, name: str, *, upgrade: bool = False) -> Environment:
        """Want it now; one that failed is tried again. ``upgrade``: resolve again to newer versions.

        Raises:
            PermissionDenied: only an administrator upgrades the catalogue's, since every project uses them.
        """
        self.install()
        with self._db.write() as session:
            row = self._find(session, caller.project_id, name)
            if upgrade and row.project_id is None and not caller.admin:
                raise PermissionDenied(
                    f"{row.name} belongs to every project, so only an administrator upgrades it: "
                    "make one of your own with 'nacre env create'"
                )
            if upgrade and row.lock_source is not None:
                raise Conflict(
                    f"{row.name} was made from a lock, which has nothing newer: make another one"
                )
            if row.state == EnvironmentState.FAILED or upgrade:
                row.state, row.refresh, row.transient = EnvironmentState.PENDING, upgrade, False
                row.reason = row.message = None
                row.change += 1
                if upgrade and (entry := self._entries.get(row.name)) and row.project_id is None:
                    _declare(row, entry)
            self._want(session, row)
            self._events.add(
                session, caller.project_id, caller.user_id, "environments.build", row.id, upgrade=upgrade
            )
            found = _environment(row)
        if found.state is EnvironmentState.PENDING:
            self.log_file(found.id).unlink(missing_ok=True)  # the log is that of the last try
        return found

    def delete(self, caller: Caller, name: str) -> None:
        """Delete an environment of the project, and its folder when nobody else's is the same.

        Raises:
            Conflict: it is the catalogue's, or something uses it.
        """
        with self._db.write() as session:
            row = self._find(session, caller.project_id, name)
            if row.project_id is None:
                raise Conflict(f"{row.name} belongs to every project and cannot be deleted")
            for in_use in self._guards:
                if user := in_use(session, row.id):
                    raise Conflict(f"{user} uses the environment {row.name}: stop it first")
            row.deleted_at, row.wanted = self._clock.now(), False
            if row.state != EnvironmentState.READY:
                row.state, row.reason, row.message = EnvironmentState.FAILED, "deleted", "it was deleted"
            row.change += 1
            session.flush()
            others = select(func.count()).where(
                EnvironmentRow.digest == row.digest, EnvironmentRow.deleted_at.is_(None)
            )
            digest = row.digest if row.digest and not session.scalar(others) else None
            self._events.add(session, caller.project_id, caller.user_id, "environments.delete", row.id)
            gone = row.id
        if digest is not None:
            self._port.delete(digest)
        self.log_file(gone).unlink(missing_ok=True)
        self._signals.notify(TOPIC, f"environment:{gone}")

    def read_log(self, environment_id: str, offset: int, limit: int = 1 << 18) -> tuple[bytes, bool]:
        """Bytes of the build log from ``offset``, and whether no more will come of the present try."""
        with self._db.read() as session:
            row = session.get(EnvironmentRow, environment_id)
            ended = row is None or not row.wanted
        try:
            with self.log_file(environment_id).open("rb") as stream:
                stream.seek(offset)
                return stream.read(limit), ended
        except FileNotFoundError:
            return b"", ended

    def log_name(self, environment_id: str) -> str:
        """A name for the present try's log: another one when it begins anew."""
        with self._db.read() as session:
            row = session.get(EnvironmentRow, environment_id)
        try:
            file = self.log_file(environment_id).stat().st_ino
        except FileNotFoundError:
            file = 0
        return f"{row.change if row is not None else 0}.{file}"

    def log_file(self, environment_id: str) -> Path:
        """Where its build log is."""
        return self._logs / f"{environment_id}.log"

    # For other services

    def ensure(self, session: Session, project_id: str, name: str) -> str:
        """Want an environment, by name or id, and return its id. One that could not be resolved stays
        failed; one that failed for a passing reason is tried again.

        Raises:
            NotFound: the sentence names what there is.
        """
        row = self._find(session, project_id, name)
        if row.state == EnvironmentState.FAILED and row.transient:
            row.state, row.transient, row.reason, row.message = EnvironmentState.PENDING, False, None, None
            row.change += 1
        if row.base_id is not None:
            base = session.get_one(EnvironmentRow, row.base_id)
            if base.deleted_at is None:
                self.ensure(session, project_id, base.id)
            if (
                row.state in (EnvironmentState.READY, EnvironmentState.FAILED)
                and row.base_digest != base.digest
            ):
                row.state, row.refresh = EnvironmentState.PENDING, True
                row.change += 1
        self._want(session, row)
        return row.id

    def status(self, session: Session, environment_id: str) -> Environment:
        """An environment by id, also a deleted one.

        Raises:
            NotFound: there never was one.
        """
        row = session.get(EnvironmentRow, environment_id)
        if row is None:
            raise NotFound(f"there is no environment {environment_id}")
        return _environment(row)

    def built(self, digest: str) -> Built | None:
        """The finished environment. When its folder is gone, it is wanted again."""
        found = self._port.find(digest)
        if found is None:
            self._lost(digest)
        return found

    def _lost(self, digest: str) -> None:
        with self._db.write() as session:
            statement = select(EnvironmentRow).where(
                EnvironmentRow.digest == digest,
                EnvironmentRow.state == EnvironmentState.READY,
                EnvironmentRow.deleted_at.is_(None),
            )
            for row in session.scalars(statement):
                row.state, row.change = EnvironmentState.PENDING, row.change + 1
                self._want(session, row)

    def derive(self, session: Session, project_id: str, environment_id: str, extra: Sequence[str]) -> str:
        """The id of "that one plus these packages": itself when its lock plainly has them, else a hidden
        one, which is then wanted."""
        base = self._find(session, project_id, environment_id)
        if not extra or (base.lock is not None and not lacking(base.lock, extra)):
            return base.id
        if base.lock is None and promised((base.requirements or "").splitlines(), extra):
            return base.id
        key = hashlib.sha256("\n".join([base.id, *sorted(extra)]).encode()).hexdigest()[:12]
        name = f"{base.name[:44].rstrip('._-')}-with-{key}"
        row = _by_name(session, base.project_id, name)
        if row is None:
            row = self._new_row(base.project_id, name, hidden=True)
            row.base_id, row.extra, row.python = base.id, sorted(extra), base.python
            row.description = f"{base.name} with {', '.join(sorted(extra))}"
            session.add(row)
            session.flush()
        return self.ensure(session, project_id, row.id)

    def from_lock(
        self, session: Session, project_id: str, name: str, lock: Lock, *, ready: bool = False
    ) -> str:
        """The id of a hidden environment with this very lock, which is then wanted. The lock is built as it
        is, so it must be one that this server made. ``ready``: :meth:`built` has found it."""
        hidden = f"{name[:44].rstrip('._-')}-lock-{lock.digest[:12]}"
        row = _by_name(session, project_id, hidden)
        if row is None:
            row = self._new_row(project_id, hidden, hidden=True)
            row.lock_source = row.lock = lock.text
            row.python = row.lock_python = lock.python
            row.digest = lock.digest
            if ready:
                row.state = EnvironmentState.READY
            session.add(row)
            session.flush()
        return self.ensure(session, project_id, row.id)

    def _want(self, session: Session, row: EnvironmentRow) -> None:
        if row.state in (EnvironmentState.READY, EnvironmentState.FAILED) and not row.refresh:
            return
        row.wanted, row.updated_at = True, self._clock.now()
        topics = (TOPIC, f"environment:{row.id}")
        event.listen(session, "after_commit", lambda _: self._signals.notify(*topics), once=True)

    def _find(self, session: Session, project_id: str, name: str) -> EnvironmentRow:
        """By name (the project's own, then the catalogue's) or by id."""
        row = _by_name(session, project_id, name) or _by_name(session, None, name)
        if row is None and (entry := self._entries.get(name)):
            row = self._catalogue_row(session, entry)
        if row is None:
            row = session.get(EnvironmentRow, name)
            if row is not None and (row.deleted_at or row.project_id not in (None, project_id)):
                row = None
        if row is None:
            own = session.scalars(
                select(EnvironmentRow.name).where(
                    EnvironmentRow.project_id == project_id,
                    EnvironmentRow.hidden.is_(False),
                    EnvironmentRow.deleted_at.is_(None),
                )
            )
            names = sorted({*own, *(e.name for e in self._entries.values() if not e.hidden)})
            raise NotFound(
                f"there is no environment {name}: there are {', '.join(names)}; "
                "make one with 'nacre env create'"
            )
        return row


def _by_name(session: Session, project_id: str | None, name: str) -> EnvironmentRow | None:
    owner = EnvironmentRow.project_id
    return session.scalars(
        select(EnvironmentRow).where(
            owner.is_(None) if project_id is None else owner == project_id,
            EnvironmentRow.name == name,
            EnvironmentRow.deleted_at.is_(None),
        )
    ).one_or_none()


def _listed(row: Row[*tuple[EnvironmentRow, ...]]) -> Environment:
    return _environment(row[0]).model_copy(update={"lock": None})


def _declare(row: EnvironmentRow, entry: CatalogueEntry) -> None:
    row.requirements, row.python = "\n".join(entry.requirements), entry.python
    row.description = entry.description


def _environment(row: EnvironmentRow) -> Environment:
    return Environment(
        id=row.id,
        created_at=row.created_at,
        name=row.name,
        catalogue=row.project_id is None,
        description=row.description,
        requirements=row.extra or (row.requirements or "").splitlines(),
        python=row.lock_python or row.python,
        state=EnvironmentState(row.state),
        reason=row.reason,
        message=row.message,
        digest=row.digest,
        lock=row.lock,
        size=row.size,
        build_seconds=row.build_seconds,
    )
