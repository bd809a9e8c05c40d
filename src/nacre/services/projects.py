"""Projects and their members."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Row, column, delete, func, or_, select, table, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.pages import newest_first
from nacre.db.tables import ALL_TABLES
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.users import SettingRow, UserRow
from nacre.domain.identity import Caller, ProjectRef, check_unlimited
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.base import Page
from nacre.schema.projects import Member, MemberSet, Project, ProjectCreate, ProjectUpdate
from nacre.services.brief import Brief
from nacre.services.events import Events

_ENTERED_SECONDS = 5.0
_RESERVED = frozenset({"all", "current", "default", "me", "new", "none"})
_NUMBER = "projects.last_number"

GOES_ALONG = frozenset({"events", "invitations", "members", "project_blobs", "quotas", "secrets", "tokens"})
"""Tables whose rows do not keep a project from being deleted. A row of any other table that has a column
``project_id`` does, so a new noun is protected without being named here."""

_BILLED = "usage"
"""What was used is owed also when the project is gone: its rows stay, and with them the project's row."""


@dataclass(frozen=True)
class ProjectFacts:
    """What other services need of a project. ``number`` counts from 1 and is never used again."""

    id: str
    number: int
    name: str
    network: str


class Projects:
    """Membership decides who sees a project; whoever makes one owns it."""

    def __init__(self, db: Database, clock: Clock, events: Events) -> None:
        self._db = db
        self._clock = clock
        self._events = events
        self._entered: Brief[tuple[str, str], ProjectRef] = Brief(_ENTERED_SECONDS)
        self._homes: Brief[str, ProjectRef] = Brief(_ENTERED_SECONDS)
        self._listeners: list[Callable[[], None]] = []

    def on_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` after each commit that changes projects or memberships."""
        self._listeners.append(listener)

    def forget(self) -> None:
        """Memberships changed and the change is committed."""
        self._entered.forget()
        self._homes.forget()
        for listener in self._listeners:
            listener()

    # -- who is where -------------------------------------------------------------------------------------

    def enter(self, caller: Caller, project: str) -> Caller:
        """The caller with ``project`` (a name or an id) set, and their role in it.

        The role is null, and the id empty, for a project that does not exist or that they are no member of.
        """
        own = caller.project
        if caller.limited and own is not None:
            if project not in (own.id, own.name):
                return replace(caller, project=ProjectRef("", project, None))
            return caller
        found = self._entered.get((caller.user_id, project), lambda: self._find(caller.user_id, project))
        return replace(caller, project=found or ProjectRef("", project, None))

    def _find(self, user_id: str, project: str) -> ProjectRef | None:
        statement = (
            select(ProjectRow.id, ProjectRow.name, MemberRow.role)
            .join(MemberRow, MemberRow.project_id == ProjectRow.id)
            .where(MemberRow.user_id == user_id, or_(ProjectRow.name == project, ProjectRow.id == project))
        )
        with self._db.read() as session:
            row = session.execute(statement).one_or_none()
        return ProjectRef(row.id, row.name, Role(row.role)) if row is not None else None

    def home(self, caller: Caller) -> ProjectRef | None:
        """The project of callers who name none: the oldest that they own, else the oldest they are in."""
        return self._homes.get(caller.user_id, lambda: self._find_home(caller.user_id))

    def _find_home(self, user_id: str) -> ProjectRef | None:
        owned_first = (MemberRow.role != Role.OWNER.value, ProjectRow.number)
        statement = (
            select(ProjectRow.id, ProjectRow.name, MemberRow.role)
            .join(MemberRow, MemberRow.project_id == ProjectRow.id)
            .where(MemberRow.user_id == user_id)
            .order_by(*owned_first)
            .limit(1)
        )
        with self._db.read() as session:
            row = session.execute(statement).one_or_none()
        return ProjectRef(row.id, row.name, Role(row.role)) if row is not None else None

    def by_id(self, session: Session, project_id: str) -> ProjectFacts:
        """The facts of a project, in the caller's transaction.

        Raises:
            NotFound: it was deleted.
        """
        row = session.get(ProjectRow, project_id)
        if row is None:
            raise NotFound(f"there is no project {project_id}: see 'nacre project ls'")
        return ProjectFacts(row.id, row.number, row.name, row.network)

    # -- projects -----------------------------------------------------------------------------------------

    def create(self, caller: Caller, body: ProjectCreate) -> Project:
        """A new project that the caller owns.

        Raises:
            Conflict: the name is taken, by whomever.
            InvalidSpec: the name is reserved.
        """
        check_unlimited(caller, "make projects")
        if body.name in _RESERVED or body.name.startswith("prj_"):
            raise InvalidSpec(
                f"the name {body.name} is reserved: choose another one",
                fields=[{"field": "name", "message": "reserved"}],
            )
        try:
            with self._db.write() as session:
                row = self.add(session, body.name, caller.user_id, body.description)
                self._events.add(session, row.id, caller.user_id, "projects.create", row.id, name=row.name)
        except IntegrityError as error:
            raise Conflict(f"the name {body.name} was taken just now: choose another one") from error
        self.forget()
        return _project(row, Role.OWNER)

    def add(self, session: Session, name: str, owner_id: str, description: str = "") -> ProjectRow:
        """A project and its owner, in the caller's transaction; call :meth:`forget` after the commit.

        Raises:
            Conflict: the name is taken.
        """
        number = _next_number(session)
        if session.execute(select(ProjectRow.id).where(ProjectRow.name == name)).first() is not None:
            raise Conflict(f"the name {name} is taken: choose another one; 'nacre project ls' lists yours")
        now = self._clock.now()
        row = ProjectRow(
            id=new_id("prj"),
            number=number,
            name=name,
            description=description,
            network="none",
            created_at=now,
        )
        session.add(row)
        session.flush()
        session.add(MemberRow(project_id=row.id, user_id=owner_id, role=Role.OWNER.value, created_at=now))
        session.flush()
        return row

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Project]:
        """The projects that the caller is a member of, newest first."""
        statement = (
            select(ProjectRow, MemberRow.role)
            .join(MemberRow, MemberRow.project_id == ProjectRow.id)
            .where(MemberRow.user_id == caller.user_id)
        )
        if caller.project_ids is not None:
            statement = statement.where(ProjectRow.id.in_(caller.project_ids))
        with self._db.read() as session:
            return newest_first(
                session,
                statement,
                ProjectRow.id,
                lambda row: _project(row[0], Role(row[1])),
                cursor=cursor,
                limit=limit,
            )

    def get(self, caller: Caller) -> Project:
        """The project of the path."""
        with self._db.read() as session:
            return _project(_existing(session, caller.project_id), _role(caller))

    def update(self, caller: Caller, change: ProjectUpdate) -> Project:
        """Change what is not null."""
        given = change.model_dump(exclude_none=True)
        with self._db.write() as session:
            row = _existing(session, caller.project_id)
            for field, value in given.items():
                setattr(row, field, value)
            if given:
                self._events.add(session, row.id, caller.user_id, "projects.update", row.id, **given)
        self.forget()
        return _project(row, _role(caller))

    def delete(self, caller: Caller) -> None:
        """Delete an empty project, with its members, secrets and events. What it cost stays on record.

        Raises:
            Conflict: something is in it; the sentence names what.
        """
        project_id = caller.project_id
        with self._db.write() as session:
            row = session.get(ProjectRow, project_id, with_for_update=True)
            if row is None:
                raise NotFound(f"the project {project_id} is gone already: see 'nacre project ls'")
            name, inside = row.name, _contents(session, project_id)
            billed = inside.pop(_BILLED, 0)
            if inside:
                listed = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in inside.items())
                raise Conflict(
                    f"the project {row.name} is not empty ({listed}): delete what is in it first",
                    contents=inside,
                )
            for name in sorted(GOES_ALONG & ALL_TABLES.tables.keys()):
                along = ALL_TABLES.tables[name]
                session.execute(delete(along).where(along.c.project_id == project_id))
            if (
                billed
            ):  # nobody is a member any more; the name is free, and the bill still tells which it was
                row.name = f"{row.name[:48]}~{row.number}"
            else:
                session.delete(row)
            session.flush()
            self._events.add(session, None, caller.user_id, "projects.delete", project_id, name=name)
        self.forget()

    # -- members ------------------------------------------------------------------------------------------

    def members(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Member]:
        """The project's members by name; ``cursor`` is the last name of the page before."""
        statement = (
            select(UserRow.name, MemberRow)
            .join(UserRow, UserRow.id == MemberRow.user_id)
            .where(MemberRow.project_id == caller.project_id)
            .order_by(UserRow.name)
            .limit(limit + 1)
        )
        if cursor is not None:
            statement = statement.where(UserRow.name > cursor)
        with self._db.read() as session:
            found = [_member(row) for row in session.execute(statement)]
        shown = found[:limit]
        return Page(items=shown, next=shown[-1].user if len(found) > limit else None)

    def set_member(self, caller: Caller, user: str, body: MemberSet) -> Member:
        """Add a member, or change a member's role.

        Raises:
            NotFound: there is no such user.
            Conflict: it would leave the project without an owner.
        """
        with self._db.write() as session:
            _lock(session, caller.project_id)
            person = _person(session, user)
            row = session.get(MemberRow, (caller.project_id, person.id))
            if row is None:
                row = MemberRow(
                    project_id=caller.project_id,
                    user_id=person.id,
                    role=body.role.value,
                    created_at=self._clock.now(),
                )
                session.add(row)
            elif row.role == Role.OWNER and body.role is not Role.OWNER:
                _check_other_owner(session, caller, person)
            row.role = body.role.value
            session.flush()
            self._events.add(
                session,
                caller.project_id,
                caller.user_id,
                "members.set",
                person.id,
                user=person.name,
                role=body.role.value,
            )
        self.forget()
        return Member(user=person.name, role=body.role, created_at=row.created_at)

    def remove_member(self, caller: Caller, user: str) -> None:
        """Remove a member; what they made stays in the project.

        Raises:
            NotFound: they are no member.
            Conflict: they are its last owner.
        """
        with self._db.write() as session:
            _lock(session, caller.project_id)
            person = _person(session, user)
            row = session.get(MemberRow, (caller.project_id, person.id))
            if row is None:
                raise NotFound(
                    f"{person.name} is not a member of this project: see 'nacre project members'"
                )
            if row.role == Role.OWNER:
                _check_other_owner(session, caller, person)
            session.delete(row)
            self._events.add(
                session,
                caller.project_id,
                caller.user_id,
                "members.delete",
                person.id,
                user=person.name,
            )
        self.forget()


def _existing(session: Session, project_id: str) -> ProjectRow:
    row = session.get(ProjectRow, project_id)
    if row is None:
        raise NotFound("this project was deleted just now: see 'nacre project ls'")
    return row


def _lock(session: Session, project_id: str) -> None:
    """Changes of one project's members follow each other, also on PostgreSQL."""
    session.execute(select(ProjectRow.id).where(ProjectRow.id == project_id).with_for_update())


def _role(caller: Caller) -> Role | None:
    return caller.project.role if caller.project else None


def _project(row: ProjectRow, role: Role | None) -> Project:
    return Project.model_validate(
        {
            "id": row.id,
            "created_at": row.created_at,
            "name": row.name,
            "description": row.description,
            "network": row.network,
            "role": role,
        }
    )


def _member(row: Row[*tuple[Any, ...]]) -> Member:
    return Member(user=row[0], role=Role(row[1].role), created_at=row[1].created_at)


def _person(session: Session, user: str) -> UserRow:
    statement = select(UserRow).where(or_(UserRow.name == user, UserRow.id == user))
    row = session.execute(statement).scalar_one_or_none()
    if row is None:
        raise NotFound(f"there is no user {user}: an administrator invites people with 'nacre user invite'")
    return row


def _check_other_owner(session: Session, caller: Caller, person: UserRow) -> None:
    others = select(MemberRow.user_id).where(
        MemberRow.project_id == caller.project_id,
        MemberRow.role == Role.OWNER.value,
        MemberRow.user_id != person.id,
    )
    if session.execute(others).first() is None:
        raise Conflict(
            f"{person.name} is the last owner: first make another one with "
            "'nacre project add-member NAME --role owner'"
        )


def _next_number(session: Session) -> int:
    """A number that no project, also no deleted one, ever had. Whoever makes a project meanwhile waits."""
    made = text("INSERT INTO settings (key, value) VALUES (:key, '0') ON CONFLICT DO NOTHING")
    session.execute(made, {"key": _NUMBER})
    last = session.execute(
        select(SettingRow).where(SettingRow.key == _NUMBER).with_for_update()
    ).scalar_one()
    highest = session.execute(select(func.max(ProjectRow.number))).scalar() or 0
    number = max(int(last.value), highest) + 1
    last.value = str(number)
    return number


def _contents(session: Session, project_id: str) -> dict[str, int]:
    """How many rows of each table keep the project from being deleted."""
    found: dict[str, int] = {}
    for known in ALL_TABLES.sorted_tables:
        if "project_id" not in known.c or known.name in GOES_ALONG:
            continue
        rows = table(known.name, column("project_id"))
        count = select(func.count()).select_from(rows).where(rows.c.project_id == project_id)
        if number := session.execute(count).scalar_one():
            found[known.name] = number
    return found
