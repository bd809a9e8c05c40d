"""What happened, to what, by whom: append-only, and the audit trail."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.pages import newest_first
from nacre.db.tables.projects import EventRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.ids import new_id
from nacre.schema.base import Page
from nacre.schema.projects import Event


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

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Event]:
        """The project's events, newest first. A deleted user appears by identifier."""
        statement = (
            select(EventRow, UserRow.name)
            .outerjoin(UserRow, UserRow.id == EventRow.user_id)
            .where(EventRow.project_id == caller.project_id)
        )
        with self._db.read() as session:
            return newest_first(session, statement, EventRow.id, _event, cursor=cursor, limit=limit)


def _event(row: Row[*tuple[Any, ...]]) -> Event:
    event: EventRow = row[0]
    return Event(
        id=event.id,
        created_at=event.created_at,
        verb=event.verb,
        subject=event.subject,
        user=row[1] or event.user_id,
        detail=event.detail,
    )
