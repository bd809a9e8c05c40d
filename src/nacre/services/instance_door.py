"""Who may enter an instance through the user-content listener: tickets, cookies, membership."""

from __future__ import annotations

import secrets as random
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import quote

from sqlalchemy import delete, select

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.instances import InstanceRow, InstanceTicketRow
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.domain.identity import Caller
from nacre.errors import Conflict, NotFound, PermissionDenied, Unauthenticated
from nacre.schema.access import Role
from nacre.schema.instances import InstanceState, InstanceUrl
from nacre.services.apps import app_of
from nacre.services.events import Events
from nacre.services.tokens import Tokens, fingerprint

TICKET_SECONDS = 60.0
COOKIE_SECONDS = 24 * 3600.0

_AT_REST = (InstanceState.STOPPED, InstanceState.FAILED)


@dataclass(frozen=True)
class Admission:
    """An instance that a caller may enter, and how it is."""

    id: str
    name: str
    project: str
    state: InstanceState
    message: str | None


@dataclass(frozen=True)
class Entry:
    """A spent ticket: the secret of a cookie for the instance, its lifetime, and the page to lead to."""

    secret: str
    lifetime_s: float
    landing: str


class InstanceDoor:
    """Lets browsers in with a ticket, then a cookie for one instance; and programs with their token."""

    def __init__(
        self, db: Database, clock: Clock, events: Events, tokens: Tokens, content_url: str
    ) -> None:
        """``content_url``: origin of the user-content listener, ``http://host:7374``."""
        self._db = db
        self._clock = clock
        self._events = events
        self._tokens = tokens
        self._content_url = content_url.rstrip("/")

    def open(self, caller: Caller, instance_id: str) -> InstanceUrl:
        """A URL that signs a browser in to this instance. Its ticket works once, for a minute.

        Raises:
            Conflict: it is not running and not on its way.
            PermissionDenied: it belongs to somebody else, whose token is inside.
        """
        ticket = random.token_urlsafe(32)
        now = self._clock.now()
        expires_at = now + timedelta(seconds=TICKET_SECONDS)
        assert caller.project is not None
        with self._db.write() as session:
            row = session.get(InstanceRow, instance_id)
            if row is None or row.project_id != caller.project_id:
                raise NotFound("there is no such instance: see 'nacre instance ls'")
            _check_owner(caller, row, caller.project.role)
            if row.state in _AT_REST:
                raise Conflict(
                    f"instance {row.name} is {row.state}: start it with 'nacre instance start {row.name}'"
                )
            session.execute(delete(InstanceTicketRow).where(InstanceTicketRow.expires_at <= now))
            session.add(
                InstanceTicketRow(
                    hash=fingerprint(ticket),
                    instance_id=row.id,
                    user_id=caller.user_id,
                    expires_at=expires_at,
                )
            )
            self._events.add(
                session, row.project_id, caller.user_id, "instances.open", row.id, name=row.name
            )
        url = f"{self._content_url}/instances/{row.id}/_nacre/enter?ticket={quote(ticket)}"
        return InstanceUrl(url=url, expires_at=expires_at)

    def enter(self, instance_id: str, ticket: str) -> Entry:
        """Spend a ticket.

        Raises:
            Unauthenticated: the ticket is unknown, spent, too old, or for another instance.
        """
        now = self._clock.now()
        with self._db.write() as session:
            spent = session.execute(
                delete(InstanceTicketRow)
                .where(
                    InstanceTicketRow.hash == fingerprint(ticket),
                    InstanceTicketRow.instance_id == instance_id,
                    InstanceTicketRow.expires_at > now,
                )
                .returning(InstanceTicketRow.user_id)
            ).scalar_one_or_none()
            row = session.get(InstanceRow, instance_id) if spent is not None else None
            if spent is None or row is None:
                raise Unauthenticated(
                    "this link was used already or is older than a minute: get another one with "
                    "'nacre instance open NAME', or from the console"
                )
            secret, _ = self._tokens.issue(
                session,
                user_id=spent,
                kind="content",
                name=f"instance {row.name}"[:64],
                scopes=[_content_scope(instance_id)],
                project_id=row.project_id,
                lifetime_s=COOKIE_SECONDS,
            )
        return Entry(secret, COOKIE_SECONDS, app_of(row).landing)

    def admit(self, caller: Caller, instance_id: str, *, by_cookie: bool) -> Admission:
        """Whether the caller may use this instance through the proxy.

        Raises:
            NotFound: there is none, or the caller is no member of its project.
            PermissionDenied: token, role, or not theirs.
            Unauthenticated: a cookie of another instance.
        """
        statement = (
            select(InstanceRow, ProjectRow.name, MemberRow.role)
            .join(ProjectRow, ProjectRow.id == InstanceRow.project_id)
            .outerjoin(
                MemberRow,
                (MemberRow.project_id == InstanceRow.project_id) & (MemberRow.user_id == caller.user_id),
            )
            .where(InstanceRow.id == instance_id)
        )
        if by_cookie and _content_scope(instance_id) not in caller.scopes:
            raise Unauthenticated("this browser is signed in to another instance: open this one too")
        with self._db.read() as session:
            found = session.execute(statement).one_or_none()
        hidden = found is not None and (
            caller.project_ids is not None and found[0].project_id not in caller.project_ids
        )
        if found is None or found[2] is None or hidden:
            raise NotFound("there is no such instance, or you are not a member of its project")
        if not by_cookie and not {"*", "instances:write"} & caller.scopes:
            raise PermissionDenied("the token lacks the scope instances:write", scope="instances:write")
        row: InstanceRow = found[0]
        role = Role(found[2])
        if role is Role.VIEWER:
            raise PermissionDenied(f"this needs the role editor in project {found[1]}; yours is viewer")
        _check_owner(caller, row, role)
        return Admission(row.id, row.name, found[1], InstanceState(row.state), row.message)

    def touch(self, instance_id: str) -> None:
        """A person is at work in it now."""
        with self._db.write() as session:
            row = session.get(InstanceRow, instance_id, with_for_update=True)
            if row is not None and row.state == InstanceState.RUNNING:
                row.active_at = self._clock.now()


def _content_scope(instance_id: str) -> str:
    """What a cookie may do: enter one instance, and nothing in the API."""
    return f"content:{instance_id}"


def _check_owner(caller: Caller, row: InstanceRow, role: Role | None) -> None:
    """An instance holds a token that acts as its user: only they, and who owns the project, may enter."""
    if row.user_id != caller.user_id and role is not Role.OWNER:
        raise PermissionDenied(
            f"instance {row.name} belongs to another member: only they and owners of the project may "
            "open it; make one of your own with 'nacre instance create'"
        )
