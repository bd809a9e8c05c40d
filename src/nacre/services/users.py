"""Users: signing up, in and out, and what administrators change of them."""

from __future__ import annotations

import logging
import os
import pwd
import re

from sqlalchemy import func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.queries.pages import newest_first
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.users import TokenRow, UserRow
from nacre.domain.identity import Caller, check_unlimited
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied, Unauthenticated
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.base import Page
from nacre.schema.users import IssuedToken, Me, PasswordChange, SignIn, SignUp, Token, User, UserUpdate
from nacre.services.events import Events
from nacre.services.invitations import Invitations, machine_owner
from nacre.services.passwords import Passwords
from nacre.services.projects import Projects
from nacre.services.settings import ServerSettings
from nacre.services.throttle import Throttle
from nacre.services.tokens import Tokens, user_wire

log = logging.getLogger("nacre.identity")

SESSION_SECONDS = 30 * 86_400
OWNER_TOKEN = "machine-owner"  # noqa: S105 - the name of a token

_RESERVED = frozenset({"admin", "administrator", "all", "default", "me", "nacre", "none", "root", "system"})
_FREE_PER_NAME = 5
_FREE_PER_ADDRESS = 50
_LONGEST_WAIT_S = 300.0


class Users:
    """People and their passwords. ``invitations`` are the operations of that noun."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        tokens: Tokens,
        projects: Projects,
        events: Events,
        settings: ServerSettings,
    ) -> None:
        self._db = db
        self._clock = clock
        self._tokens = tokens
        self._projects = projects
        self._events = events
        self._passwords = Passwords()
        self._by_name = Throttle(clock, free=_FREE_PER_NAME, longest_s=_LONGEST_WAIT_S)
        self._by_address = Throttle(clock, free=_FREE_PER_ADDRESS, longest_s=_LONGEST_WAIT_S)
        self.invitations = Invitations(db, clock, projects, events, settings)
        projects.on_change(tokens.forget)  # memberships decide what tokens reach

    # -- accounts -----------------------------------------------------------------------------------------

    def sign_up(self, body: SignUp, address: str, *, near: bool = False) -> IssuedToken:
        """Make an account, a project of its own, and sign it in.

        ``near``: who asks is at this machine (:meth:`nacre.services.settings.ServerSettings.sign_up`).

        Raises:
            PermissionDenied: the sign-up policy forbids it.
            InvalidSpec: the name is reserved.
            Conflict: the name is taken.
            RateLimited: too many tries failed from this address.
        """
        if body.name in _RESERVED or body.name.startswith(("usr_", "prj_")):
            raise InvalidSpec(
                f"the name {body.name} is reserved: choose another one",
                fields=[{"field": "name", "message": "reserved"}],
            )
        self._by_address.admit(address)
        invitation = body.invitation.get_secret_value() if body.invitation else None
        with self._db.read() as session:
            self.invitations.admit(session, invitation, near=near)  # before the costly hash
            _check_free(session, body.name)
        stored = self._passwords.hash(body.password)
        try:
            with self._db.write() as session:
                invited = self.invitations.admit(session, invitation, near=near)
                _check_free(session, body.name)
                row = self._add(session, body.name, email=body.email, password_hash=stored)
                self._projects.add(session, _free_project_name(session, row.name), row.id)
                if invited is not None:
                    self.invitations.use(session, invited, row)
                self._events.add(session, None, row.id, "users.sign_up", row.id, name=row.name)
                answer = self._tokens.open_session(session, row.id, SESSION_SECONDS, in_browser=body.cookie)
        except IntegrityError as error:
            raise Conflict(f"the name {body.name} was taken just now: choose another one") from error
        self._projects.forget()
        self._by_address.forgive(address, all_of_them=False)
        return answer

    def _add(
        self,
        session: Session,
        name: str,
        *,
        email: str | None = None,
        password_hash: str | None = None,
        admin: bool = False,
    ) -> UserRow:
        row = UserRow(
            id=new_id("usr"),
            name=name,
            email=email,
            password_hash=password_hash,
            admin=admin,
            disabled=False,
            created_at=self._clock.now(),
        )
        session.add(row)
        session.flush()
        return row

    def ensure_owner(self, kept: str | None = None) -> tuple[User, str]:
        """The machine's owner and a token of theirs that never expires; both made where they are missing.

        The first start makes an administrator, named after the user of the operating system, with the
        project ``default``. ``kept``: the token that the home already has; it is answered again while it
        is good, and replaced otherwise. A token made here ends the one made before.
        """
        with self._db.read() as session:
            owner = machine_owner(session)
        caller = self._tokens.resolve(kept) if kept else None
        if kept and caller is not None and caller.user_id == owner and caller.scopes == {"*"}:
            with self._db.read() as session:
                return user_wire(session.get_one(UserRow, caller.user_id)), kept
        with self._db.write() as session:
            owner = machine_owner(session)
            row = session.get_one(UserRow, owner) if owner else self._first(session)
            old = select(TokenRow).where(
                TokenRow.user_id == row.id, TokenRow.kind == "user", TokenRow.name == OWNER_TOKEN
            )
            for token in session.execute(old).scalars():
                session.delete(token)
            secret, _ = self._tokens.issue(
                session, user_id=row.id, kind="user", name=OWNER_TOKEN, scopes=["*"]
            )
        self._projects.forget()
        return user_wire(row), secret

    def _first(self, session: Session) -> UserRow:
        name = _name_of_os_user()
        if session.execute(select(UserRow.id).where(UserRow.name == name)).first() is not None:
            name = f"{name[:50]}-{new_id('x')[-8:]}"
        row = self._add(session, name, admin=True)
        if session.execute(select(ProjectRow.id).where(ProjectRow.name == "default")).first() is None:
            self._projects.add(session, "default", row.id)
        self._events.add(session, None, row.id, "users.sign_up", row.id, name=name, admin=True)
        return row

    # -- sessions -----------------------------------------------------------------------------------------

    def sign_in(self, body: SignIn, address: str) -> IssuedToken:
        """Exchange name and password for a session's token.

        Whether the name exists shows neither in the answer nor in the time it takes.

        Raises:
            Unauthenticated: wrong name or password.
            PermissionDenied: right, but the account is disabled.
            RateLimited: too many tries failed for this name, or from this address.
        """
        self._by_name.admit((body.name, address))
        self._by_address.admit(address)
        with self._db.read() as session:
            row = _by_name(session, body.name)
        if not self._passwords.match(row.password_hash if row else None, body.password) or row is None:
            log.warning("sign-in as %s from %s failed", body.name, address)
            raise Unauthenticated("wrong name or password: try again, or ask an administrator for help")
        self._by_name.forgive((body.name, address))
        self._by_address.forgive(address, all_of_them=False)
        seen = row.password_hash
        better = self._passwords.hash(body.password) if seen and self._passwords.outdated(seen) else None
        with self._db.write() as session:
            row = _by_name(session, body.name)
            if row is None or row.disabled:
                raise PermissionDenied("this account is disabled: ask an administrator of the server")
            if row.password_hash != seen:
                raise Unauthenticated("the password was changed just now: sign in with the new one")
            if better is not None:
                row.password_hash = better
            self._events.add(session, None, row.id, "users.sign_in", row.id)
            return self._tokens.open_session(session, row.id, body.lifetime_s, in_browser=body.cookie)

    def sign_out(self, caller: Caller) -> None:
        """Revoke the session in use.

        Raises:
            Conflict: the token in use is no session but a program's.
        """
        with self._db.read() as session:
            token = session.get(TokenRow, caller.token_id)
        if token is not None and token.kind != "session":
            raise Conflict(
                f"{token.name} is a program's token, not a sign-in: "
                f"revoke it with 'nacre token delete {token.id}' if you mean to"
            )
        self._tokens.delete(caller, caller.token_id)

    def me(self, caller: Caller) -> Me:
        """Who the token belongs to."""
        with self._db.read() as session:
            row = session.get_one(UserRow, caller.user_id)
            return Me(**user_wire(row).model_dump(), has_password=row.password_hash is not None)

    def change_password(self, caller: Caller, body: PasswordChange) -> None:
        """Change one's own password; every other session ends.

        An account that never had a password (the machine owner's) gives no old one.

        Raises:
            PermissionDenied: the old password is wrong.
            RateLimited: too many tries failed.
        """
        check_unlimited(caller, "change a password")
        key = (caller.user_id, "change")
        self._by_name.admit(key)
        with self._db.read() as session:
            seen = session.get_one(UserRow, caller.user_id).password_hash
        first = seen is None and body.old.get_secret_value() == ""
        if not first and not self._passwords.match(seen, body.old):
            raise PermissionDenied("the old password is wrong: try again, or ask an administrator for help")
        self._by_name.forgive(key)
        stored = self._passwords.hash(body.new)
        with self._db.write() as session:
            row = session.get_one(UserRow, caller.user_id)
            if row.password_hash != seen:
                raise Conflict("the password was changed just now by another session: try again")
            row.password_hash = stored
            self._tokens.revoke_sessions(session, row.id, but=caller.token_id)
            self._events.add(session, None, row.id, "users.change_password", row.id)

    # -- administration -----------------------------------------------------------------------------------

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[User]:
        """Every user, newest first, with when a token of theirs was last used."""
        seen = (
            select(func.max(TokenRow.last_used_at))
            .where(TokenRow.user_id == UserRow.id, TokenRow.kind.in_(("user", "session")))
            .scalar_subquery()
        )
        with self._db.read() as session:
            return newest_first(
                session,
                select(UserRow, seen),
                UserRow.id,
                lambda row: user_wire(row[0]).model_copy(update={"last_seen_at": row[1]}),
                cursor=cursor,
                limit=limit,
            )

    def sessions(
        self, caller: Caller, user: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Token]:
        """A user's sign-ins and tokens, newest first.

        Raises:
            NotFound: there is no such user.
        """
        with self._db.read() as session:
            user_id = _named(session, user).id
        return self._tokens.list_of(caller, user_id, cursor=cursor, limit=limit)

    def end_session(self, caller: Caller, user: str, token: str) -> None:
        """Revoke a user's sign-in or token, by its id. It stops at once; work that runs goes on.

        Raises:
            NotFound: there is no such user, or they have no such token.
        """
        with self._db.write() as session:
            row = _named(session, user)
            gone = self._tokens.revoke(session, row.id, token)
            if gone is None:
                raise NotFound(f"{row.name} has no token {token}: see 'nacre user sessions {row.name}'")
            self._events.add(
                session, None, caller.user_id, "users.end_session", row.id, name=row.name, token=gone.name
            )

    def update(self, caller: Caller, user: str, change: UserUpdate) -> User:
        """Disable a user, or make one an administrator. A disabled user's tokens stop at once.

        Raises:
            NotFound: there is no such user.
            Conflict: nobody would administer the server.
        """
        given = change.model_dump(exclude_none=True)
        with self._db.write() as session:
            row = _named(session, user)
            if given.get("disabled") or given.get("admin") is False:
                _check_other_admin(session, row)
            for field, value in given.items():
                setattr(row, field, value)
            session.flush()
            self._events.add(session, None, caller.user_id, "users.update", row.id, name=row.name, **given)
        self._tokens.forget()
        return user_wire(row)

    def delete(self, caller: Caller, user: str) -> None:
        """Delete a user who owns nothing; memberships and tokens go along.

        Raises:
            NotFound: there is no such user.
            Conflict: they are the only owner of a project, or the last administrator.
        """
        try:
            with self._db.write() as session:
                row = _named(session, user)
                _check_other_admin(session, row)
                alone = _owned_alone(session, row)
                if alone:
                    raise Conflict(
                        f"{row.name} is the only owner of {', '.join(alone)}: delete these projects, "
                        "or give them another owner with 'nacre project add-member NAME --role owner'",
                        projects=alone,
                    )
                session.delete(row)
                session.flush()
                self._events.add(session, None, caller.user_id, "users.delete", row.id, name=row.name)
        except IntegrityError as error:
            raise Conflict(
                f"{user} has work on this server: disable them with 'nacre user update {user} --disable'"
            ) from error
        self._projects.forget()


def _by_name(session: Session, name: str) -> UserRow | None:
    return session.execute(select(UserRow).where(UserRow.name == name)).scalar_one_or_none()


def _named(session: Session, user: str) -> UserRow:
    found = select(UserRow).where(or_(UserRow.name == user, UserRow.id == user)).with_for_update()
    row = session.execute(found).scalar_one_or_none()
    if row is None:
        raise NotFound(f"there is no user {user}: see 'nacre user ls'")
    return row


def _check_free(session: Session, name: str) -> None:
    if _by_name(session, name) is not None:
        raise Conflict(f"the name {name} is taken: choose another one")


def _check_other_admin(session: Session, row: UserRow) -> None:
    if not row.admin:
        return
    others = select(UserRow.id).where(
        UserRow.admin.is_(True), UserRow.disabled.is_(False), UserRow.id != row.id
    )
    if session.execute(others.with_for_update()).first() is None:
        raise Conflict(
            f"{row.name} is the last administrator: first make another one with "
            "'nacre user update NAME --admin'"
        )


def _owned_alone(session: Session, row: UserRow) -> list[str]:
    """Names of the projects that have this user for their only owner."""
    owners = (
        select(MemberRow.project_id)
        .where(MemberRow.role == Role.OWNER.value)
        .group_by(MemberRow.project_id)
        .having(func.count() == 1)
    )
    statement = (
        select(ProjectRow.name)
        .join(MemberRow, MemberRow.project_id == ProjectRow.id)
        .where(MemberRow.user_id == row.id, MemberRow.role == Role.OWNER.value, ProjectRow.id.in_(owners))
    )
    return sorted(session.execute(statement).scalars())


def _free_project_name(session: Session, name: str) -> str:
    """The name, or the first of ``name-2``, ``name-3``, … that no project has."""
    wanted, number = name, 1
    while session.execute(select(ProjectRow.id).where(ProjectRow.name == wanted)).first() is not None:
        number += 1
        wanted = f"{name[:56]}-{number}"
    return wanted


def _name_of_os_user() -> str:
    try:
        found = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        found = ""
    return re.sub(r"[^a-z0-9._-]", "-", found.lower())[:64].strip("._-") or "owner"
