"""Saved views of the console's pages: everybody's own, and those shared with the project."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import Row, func, or_, select

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.pages import newest_first
from nacre.db.queries.upserts import insert_into
from nacre.db.tables.users import UserRow
from nacre.db.tables.views import ViewRow
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound, PermissionDenied, QuotaExceeded
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.base import Page
from nacre.schema.views import View, ViewName, ViewSet
from nacre.services.events import Events
from nacre.services.tracking import storable

MAX_VIEWS = 200
"""Of a user in a project."""

_NAME: TypeAdapter[str] = TypeAdapter(ViewName)


class Views:
    """The only writer of views."""

    def __init__(self, db: Database, clock: Clock, events: Events) -> None:
        self._db = db
        self._clock = clock
        self._events = events

    def set(self, caller: Caller, name: str, body: ViewSet) -> View:
        """Keep a view, or replace the caller's own of that name.

        Raises:
            InvalidSpec: it cannot be a view's name.
            PermissionDenied: a viewer of the project shares nothing with it.
            QuotaExceeded: the caller has ``MAX_VIEWS`` already.
        """
        name = _checked(name)
        if body.shared and _role(caller) is Role.VIEWER:
            raise PermissionDenied(
                "this needs the role editor: a viewer's views are their own; save it without sharing it",
                role=Role.EDITOR,
            )
        now = self._clock.now()
        changes = {
            "page": body.page,
            "query": storable(body.query),
            "shared": body.shared,
            "updated_at": now,
        }
        mine = (ViewRow.project_id == caller.project_id, ViewRow.user_id == caller.user_id)
        made = insert_into(self._db, ViewRow).values(
            id=new_id("view"),
            project_id=caller.project_id,
            user_id=caller.user_id,
            name=name,
            created_at=now,
            **changes,
        )
        with self._db.write() as session:
            before = session.scalar(select(ViewRow.shared).where(*mine, ViewRow.name == name))
            if before is None:
                count = session.scalar(select(func.count()).select_from(ViewRow).where(*mine)) or 0
                if count >= MAX_VIEWS:
                    raise QuotaExceeded(
                        f"you have {count} views in this project, the most there may be: "
                        "delete some with 'nacre views delete'"
                    )
            session.execute(
                made.on_conflict_do_update(index_elements=["project_id", "user_id", "name"], set_=changes)
            )
            if body.shared or before:
                self._tell(session, caller, "views.set", name, shared=body.shared)
            row = session.execute(select(ViewRow).where(*mine, ViewRow.name == name)).scalar_one()
            return _wire(row, caller.user_name)

    def list(
        self, caller: Caller, *, page: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[View]:
        """The caller's own views and the shared ones, the newest first; ``page``: of one page."""
        statement = (
            select(ViewRow, UserRow.name)
            .join(UserRow, UserRow.id == ViewRow.user_id)
            .where(
                ViewRow.project_id == caller.project_id,
                or_(ViewRow.user_id == caller.user_id, ViewRow.shared),
            )
        )
        if page is not None:
            statement = statement.where(ViewRow.page == page)
        with self._db.read() as session:
            return newest_first(session, statement, ViewRow.id, _listed, cursor=cursor, limit=limit)

    def delete(self, caller: Caller, name: str, *, user: str | None = None) -> None:
        """Delete a view of the caller's own, or, as an owner of the project, a shared one of ``user``.

        Raises:
            NotFound: there is none of that name that the caller can see.
            PermissionDenied: it is another's, and the caller is no owner.
        """
        statement = (
            select(ViewRow)
            .join(UserRow, UserRow.id == ViewRow.user_id)
            .where(
                ViewRow.project_id == caller.project_id,
                ViewRow.name == name,
                UserRow.name == (user or caller.user_name),
                or_(ViewRow.user_id == caller.user_id, ViewRow.shared),
            )
        )
        with self._db.write() as session:
            row = session.execute(statement).scalar_one_or_none()
            if row is None:
                whose = f" of {user}" if user else ""
                raise NotFound(f"there is no view {name!r}{whose} in this project: see 'nacre views ls'")
            if row.user_id != caller.user_id and _role(caller) is not Role.OWNER:
                raise PermissionDenied(
                    "this needs the role owner: others' views are theirs to delete", role=Role.OWNER
                )
            session.delete(row)
            if row.shared:
                self._tell(session, caller, "views.delete", name, user=user or caller.user_name)

    def _tell(self, session: Any, caller: Caller, verb: str, name: str, **detail: Any) -> None:
        """What is shared is the project's business; what is one's own is not."""
        self._events.add(session, caller.project_id, caller.user_id, verb, name, **detail)


def _role(caller: Caller) -> Role | None:
    return caller.project.role if caller.project is not None else None


def _checked(name: str) -> str:
    try:
        return storable(_NAME.validate_python(name))
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise InvalidSpec(
            f"{name[:100]!r} cannot name a view: {why}", fields=[{"field": "view", "message": why}]
        ) from None


def _listed(row: Row[*tuple[Any, ...]]) -> View:
    return _wire(row[0], row[1])


def _wire(row: ViewRow, user: str) -> View:
    return View(
        name=row.name,
        page=row.page,
        query=row.query,
        user=user,
        shared=row.shared,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
