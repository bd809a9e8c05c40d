"""Invitations to sign up."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.pages import newest_first
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.users import InvitationRow, UserRow
from nacre.domain.identity import Caller, check_unlimited
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.base import Page
from nacre.schema.users import Invitation, InvitationCreate, SignUpPolicy
from nacre.services.events import Events
from nacre.services.projects import Projects
from nacre.services.settings import ServerSettings
from nacre.services.tokens import fingerprint


class Invitations:
    """One invitation lets one person sign up. While sign-up is closed, only the machine's owner invites."""

    def __init__(
        self, db: Database, clock: Clock, projects: Projects, events: Events, settings: ServerSettings
    ) -> None:
        self._db = db
        self._clock = clock
        self._projects = projects
        self._events = events
        self._settings = settings

    def create(self, caller: Caller, body: InvitationCreate) -> Invitation:
        """A new invitation, with its secret, which is shown this once.

        Raises:
            PermissionDenied: sign-up is closed and the caller is not the machine's owner, or the caller
                does not own the project.
            InvalidSpec: there is no such role.
            NotFound: there is no such project, or the caller is not a member of it.
        """
        check_unlimited(caller, "invite people")
        role = _role(body.role)
        project_id = self._project(caller, body.project)
        secret = "nacre_invite_" + secrets.token_urlsafe(32)
        now = self._clock.now()
        with self._db.write() as session:
            closed = self._settings.sign_up(session) is SignUpPolicy.CLOSED
            if closed and caller.user_id != machine_owner(session):
                raise PermissionDenied(
                    "sign-up is closed, so only the owner of the machine invites: "
                    "open it with 'nacre settings set --sign-up invite'"
                )
            row = InvitationRow(
                id=new_id("inv"),
                hash=fingerprint(secret),
                project_id=project_id,
                role=role.value,
                created_by=caller.user_id,
                created_at=now,
                expires_at=now + timedelta(seconds=body.lifetime_s),
            )
            session.add(row)
            self._events.add(
                session, project_id, caller.user_id, "invitations.create", row.id, role=row.role
            )
        return _invitation(row, body.project, secret)

    def _project(self, caller: Caller, name: str | None) -> str | None:
        if name is None:
            return None
        entered = self._projects.enter(caller, name).project
        if entered is None or entered.role is None:
            raise NotFound(
                f"there is no project {name}, or you are not a member of it: see 'nacre project ls'"
            )
        if entered.role is not Role.OWNER:
            raise PermissionDenied(
                f"only an owner of {name} invites people to it; your role is {entered.role}"
            )
        return entered.id

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Invitation]:
        """Invitations that somebody may still use, newest first."""
        statement = (
            select(InvitationRow, ProjectRow.name)
            .outerjoin(ProjectRow, ProjectRow.id == InvitationRow.project_id)
            .where(InvitationRow.used_by.is_(None), InvitationRow.expires_at > self._clock.now())
        )
        with self._db.read() as session:
            return newest_first(session, statement, InvitationRow.id, _listed, cursor=cursor, limit=limit)

    def delete(self, caller: Caller, invitation: str) -> None:
        """Withdraw an invitation.

        Raises:
            NotFound: there is none.
            Conflict: somebody has used it.
        """
        with self._db.write() as session:
            row = session.get(InvitationRow, invitation)
            if row is None:
                raise NotFound(f"there is no invitation {invitation}: see 'nacre user invitations'")
            if row.used_by is not None:
                raise Conflict(
                    f"{row.used_by} has used this invitation: disable the user instead with "
                    f"'nacre user update {row.used_by} --disable'"
                )
            session.delete(row)
            self._events.add(session, row.project_id, caller.user_id, "invitations.delete", row.id)

    def admit(self, session: Session, secret: str | None, *, near: bool = False) -> InvitationRow | None:
        """The invitation that lets somebody sign up under the present policy; null where none is needed.

        ``near`` as in :meth:`nacre.services.settings.ServerSettings.sign_up`.

        Raises:
            PermissionDenied: sign-up is closed, or needs an invitation that is still good.
        """
        policy = self._settings.sign_up(session, near=near)
        if secret is None:
            if policy is SignUpPolicy.OPEN:
                return None
            raise PermissionDenied(
                "sign-up needs an invitation: ask an administrator for one ('nacre user invite')"
                if policy is SignUpPolicy.INVITE
                else "sign-up is closed on this server: ask its owner to invite you ('nacre user invite')"
            )
        statement = select(InvitationRow).where(InvitationRow.hash == fingerprint(secret)).with_for_update()
        row = session.execute(statement).scalar_one_or_none()
        if row is None or row.used_by is not None or row.expires_at <= self._clock.now():
            raise PermissionDenied("this invitation is unknown, used or expired: ask for a new one")
        if policy is SignUpPolicy.CLOSED and row.created_by != machine_owner(session):
            raise PermissionDenied("sign-up was closed since: ask the owner of the machine to invite you")
        return row

    def use(self, session: Session, row: InvitationRow, user: UserRow) -> None:
        """The user has signed up with it: mark it, and make them a member of its project."""
        row.used_by = user.name
        if row.project_id is not None:
            member = MemberRow(
                project_id=row.project_id, user_id=user.id, role=row.role, created_at=self._clock.now()
            )
            session.add(member)
            session.flush()
            self._events.add(
                session, row.project_id, user.id, "members.set", user.id, user=user.name, role=row.role
            )


def machine_owner(session: Session) -> str | None:
    """The user who administers this server the longest: who started it, unless deleted since."""
    oldest = select(UserRow.id).where(UserRow.admin.is_(True), UserRow.disabled.is_(False))
    return session.execute(oldest.order_by(UserRow.created_at, UserRow.id).limit(1)).scalar_one_or_none()


def _role(text: str) -> Role:
    try:
        return Role(text)
    except ValueError as error:
        raise InvalidSpec(
            f"there is no role {text!r}: use {', '.join(Role)}",
            fields=[{"field": "role", "message": "unknown"}],
        ) from error


def _listed(row: Row[*tuple[Any, ...]]) -> Invitation:
    return _invitation(row[0], row[1])


def _invitation(row: InvitationRow, project: str | None, secret: str | None = None) -> Invitation:
    return Invitation(
        id=row.id,
        created_at=row.created_at,
        project=project,
        role=row.role,
        expires_at=row.expires_at,
        used_by=row.used_by,
        secret=secret,
    )
