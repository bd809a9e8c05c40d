"""What happened, to what, by whom: append-only, and the audit trail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, or_, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.pages import newest_first
from nacre.db.tables.projects import EventRow, ProjectRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller, check_unlimited
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.projects import Event


@dataclass(frozen=True)
class EventFilter:
    """Which events; null is any.

    verb: ``jobs.submit``, or ``jobs`` for every verb of jobs. user: a name, or the id of a deleted user.
    subject: an id, or the name that the event tells (``digits`` means
    ``digits@1``, too). before: earlier than.
    """

    verb: str | None = None
    user: str | None = None
    subject: str | None = None
    before: datetime | None = None

    def apply(self, statement: Select[*tuple[Any, ...]]) -> Select[*tuple[Any, ...]]:
        """The statement, which joins users, with these conditions."""
        if self.verb:
            noun = EventRow.verb.startswith(f"{self.verb}.", autoescape=True)
            statement = statement.where(or_(EventRow.verb == self.verb, noun))
        if self.user:
            statement = statement.where(or_(UserRow.name == self.user, EventRow.user_id == self.user))
        if self.subject:
            told = [EventRow.detail[key].as_string() == self.subject for key in ("name", "user")]
            version = EventRow.subject.startswith(f"{self.subject}@", autoescape=True)
            statement = statement.where(or_(EventRow.subject == self.subject, version, *told))
        if self.before:
            statement = statement.where(EventRow.created_at < self.before)
        return statement


ANY = EventFilter()


class Events:
    """Events are added inside the transaction of what they tell about, so neither exists alone."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def add(
        self,
        session: Session,
        project_id: str | None,
        user_id: str | None,
        verb: str,
        subject: str,
        **detail: Any,
    ) -> None:
        """Record an event in the caller's transaction.

        Args:
            project_id: null for what belongs to the server and to no project.
            user_id: null for what the server did by itself.
            verb: the operation's name (``jobs.submit``), or a noun and what happened to it.
            subject: identifier of the thing.
            detail: JSON facts; never a secret's value.
        """
        session.add(
            EventRow(
                id=new_id("evt"),
                project_id=project_id,
                user_id=user_id,
                verb=verb,
                subject=subject,
                detail=detail,
                created_at=self._clock.now(),
            )
        )

    def list(
        self, caller: Caller, wanted: EventFilter = ANY, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Event]:
        """The project's events, newest first. A deleted user appears by identifier."""
        return self._page(_EVENTS.where(EventRow.project_id == caller.project_id), wanted, cursor, limit)

    def list_all(
        self,
        caller: Caller,
        wanted: EventFilter = ANY,
        *,
        project: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[Event]:
        """Events of every project (``project``: of the one of this name or id) and of the server, newest
        first. For administrators, of projects that they are no members of, too: it is the audit trail.

        Raises:
            PermissionDenied: the token is that of a job or an instance.
        """
        check_unlimited(caller, "read the events of the whole server")
        statement = _EVENTS
        if project is not None:
            statement = statement.where(or_(ProjectRow.name == project, ProjectRow.id == project))
        return self._page(statement, wanted, cursor, limit)

    def _page(
        self, statement: Select[*tuple[Any, ...]], wanted: EventFilter, cursor: str | None, limit: int
    ) -> Page[Event]:
        found = wanted.apply(statement)
        with self._db.read() as session:
            return newest_first(session, found, EventRow.id, _event, cursor=cursor, limit=limit)


_EVENTS = (
    select(EventRow, UserRow.name, ProjectRow.name)
    .outerjoin(UserRow, UserRow.id == EventRow.user_id)
    .outerjoin(ProjectRow, ProjectRow.id == EventRow.project_id)
)


def _event(row: Row[*tuple[Any, ...]]) -> Event:
    event: EventRow = row[0]
    return Event(
        id=event.id,
        created_at=event.created_at,
        verb=event.verb,
        subject=event.subject,
        user=row[1] or event.user_id,
        project=row[2],
        detail=event.detail,
    )
