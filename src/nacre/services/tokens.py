"""Tokens: who they belong to, how far they reach, and their end."""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, Row, delete, event, or_, select, update
from sqlalchemy.orm import Session

from nacre.clock import Clock, epoch_ms
from nacre.db.connect import Database
from nacre.db.queries.pages import newest_first
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.users import TokenRow, UserRow
from nacre.domain.identity import Caller, ProjectRef, check_unlimited
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.base import Page
from nacre.schema.operations import INVOKE_SCOPE
from nacre.schema.serving import TokenGrant
from nacre.schema.users import IssuedToken, Token, TokenCreate, User
from nacre.services.brief import Brief
from nacre.services.scopes import clean
from nacre.services.signals import Signals

REPORT_SCOPES = ("attempts:report",)
"""Of a launcher's token, which the work never sees: it could report that it ended otherwise."""
WORK_SCOPES = ("runs:write", "runs:read", "data:read", "models:read", "models:write", INVOKE_SCOPE)
"""What a job's own token (``NACRE_TOKEN``) may do, inside its project."""

LINK = "link"
"""The kind of a link's code (``sessions.link``): it is exchanged for a session, and calls nothing."""

_KNOWN_SECONDS = 5.0
_KEPT_AFTER_EXPIRY = timedelta(days=7)
_OWN_KINDS = ("user", "session")


@dataclass(frozen=True)
class _Known:
    caller: Caller
    expires_at: datetime | None


class Tokens:
    """Tokens are ``nacre_`` and 43 characters; the database has their SHA-256 only.

    Kinds: ``user`` (made for a program), ``session`` (a sign-in), ``attempt`` and ``instance`` (of work,
    limited to its project), ``content`` (cookies of the user-content listener), ``link``.
    """

    def __init__(self, db: Database, clock: Clock, signals: Signals) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._known: Brief[str, _Known] = Brief(_KNOWN_SECONDS)
        self._used: dict[str, datetime] = {}

    # -- who calls ----------------------------------------------------------------------------------------

    def resolve(self, secret: str) -> Caller | None:
        """Who the token belongs to; null for one that is unknown, expired, revoked or of a disabled user.

        A token of an attempt or an instance comes with ``project`` set: its own. Of a disabled user's only
        the launchers' are left, which report, so that running work still has an end.
        """
        digest = fingerprint(secret)
        known = self._known.get(digest, lambda: self._load(digest))
        if known is None:
            return None
        now = self._clock.now()
        if known.expires_at is not None and known.expires_at <= now:
            return None
        self._used[known.caller.token_id] = now
        return known.caller

    def _load(self, digest: str) -> _Known | None:
        statement = (
            select(TokenRow, UserRow, ProjectRow.name, MemberRow.role)
            .join(UserRow, UserRow.id == TokenRow.user_id)
            .outerjoin(ProjectRow, ProjectRow.id == TokenRow.project_id)
            .outerjoin(
                MemberRow,
                (MemberRow.project_id == TokenRow.project_id) & (MemberRow.user_id == TokenRow.user_id),
            )
            .where(TokenRow.hash == digest, TokenRow.kind != LINK)
        )
        with self._db.read() as session:
            found = session.execute(statement).one_or_none()
        return _known(found) if found is not None else None

    def forget(self) -> None:
        """Something outside the tokens changed what they may do (a membership, a user, a project)."""
        self._known.forget()
        self._signals.notify("access")

    def record_uses(self) -> int:
        """Write when tokens were last used, and return how many; a loop calls it once a minute."""
        used, self._used = self._used, {}
        if used:
            with self._db.write() as session:
                for token_id, at in list(used.items()):
                    session.execute(update(TokenRow).where(TokenRow.id == token_id).values(last_used_at=at))
        return len(used)

    def sweep(self) -> int:
        """Delete tokens that expired a week ago, and return how many."""
        limit = self._clock.now() - _KEPT_AFTER_EXPIRY
        with self._db.write() as session:
            gone = session.execute(delete(TokenRow).where(TokenRow.expires_at < limit))
        return _count(gone)

    # -- operations ---------------------------------------------------------------------------------------

    def create(self, caller: Caller, body: TokenCreate) -> IssuedToken:
        """A token for a program of the caller; it reaches no further than the one in use.

        Raises:
            InvalidSpec: a scope that does not exist, or a burst without a rate.
            PermissionDenied: a scope, a time or a rate that the token in use does not have itself.
            Conflict: the caller has a token of that name.
        """
        check_unlimited(caller, "make tokens")
        scopes = clean(body.scopes)
        if "*" not in caller.scopes and not caller.scopes.issuperset(scopes):
            raise PermissionDenied(
                "a token cannot make one that may do more than itself: leave out "
                + ", ".join(sorted(set(scopes) - caller.scopes))
            )
        with self._db.write() as session:
            self._check_outlives(session, caller, body.lifetime_s)
            self._check_rate(session, caller, body)
            taken = select(TokenRow.id).where(
                TokenRow.user_id == caller.user_id, TokenRow.kind == "user", TokenRow.name == body.name
            )
            if session.execute(taken).first() is not None:
                raise Conflict(
                    f"you have a token {body.name} already: choose another name, "
                    f"or revoke it with 'nacre token delete {body.name}'"
                )
            secret, token_id = self.issue(
                session,
                user_id=caller.user_id,
                kind="user",
                name=body.name,
                scopes=scopes,
                lifetime_s=body.lifetime_s,
            )
            row = session.get_one(TokenRow, token_id)
            row.rate_per_s, row.burst = body.rate_per_s, body.burst
            return self.issued(session, secret, token_id)

    def _check_rate(self, session: Session, caller: Caller, body: TokenCreate) -> None:
        if body.burst is not None and body.rate_per_s is None:
            raise InvalidSpec("a burst goes with a rate: say how many requests a second, too")
        own = session.get(TokenRow, caller.token_id)
        limit = own.rate_per_s if own is not None else None
        if limit is not None and (body.rate_per_s is None or body.rate_per_s > limit):
            raise PermissionDenied(
                f"a token cannot make one that may call more often than itself: ask for a rate of {limit:g}"
            )

    def _check_outlives(self, session: Session, caller: Caller, lifetime_s: int | None) -> None:
        own = session.get(TokenRow, caller.token_id)
        if own is None or own.kind != "user" or own.expires_at is None:
            return
        if lifetime_s is None or self._clock.now() + timedelta(seconds=lifetime_s) > own.expires_at:
            left = int((own.expires_at - self._clock.now()).total_seconds())
            raise PermissionDenied(
                f"a token cannot make one that outlives it: ask for at most {left} seconds, "
                "or sign in with 'nacre login' first"
            )

    def list(self, caller: Caller, *, cursor: str | None = None, limit: int = 100) -> Page[Token]:
        """The caller's own tokens and sign-ins, newest first; those of jobs and instances are not shown."""
        return self.list_of(caller, caller.user_id, cursor=cursor, limit=limit)

    def list_of(
        self, caller: Caller, user_id: str, *, cursor: str | None = None, limit: int = 100
    ) -> Page[Token]:
        """The same of any user."""
        statement = select(TokenRow).where(TokenRow.user_id == user_id, TokenRow.kind.in_(_OWN_KINDS))
        with self._db.read() as session:
            return newest_first(
                session,
                statement,
                TokenRow.id,
                lambda row: self._wire(row[0], caller),
                cursor=cursor,
                limit=limit,
            )

    def delete(self, caller: Caller, token: str) -> None:
        """Revoke one of the caller's own tokens, by id or name.

        Raises:
            NotFound: the caller has no such token.
        """
        check_unlimited(caller, "revoke tokens")
        mine = select(TokenRow).where(TokenRow.user_id == caller.user_id, TokenRow.kind.in_(_OWN_KINDS))
        with self._db.write() as session:
            row = session.execute(mine.where(TokenRow.id == token)).scalar_one_or_none()
            if row is None:
                named = mine.where(TokenRow.name == token, TokenRow.kind == "user")
                row = session.execute(named.order_by(TokenRow.id)).scalars().first()
            if row is None:
                raise NotFound(f"you have no token {token}: see 'nacre token ls'")
            session.delete(row)
            after_commit(session, self.forget)

    def revoke(self, session: Session, user_id: str, token_id: str) -> TokenRow | None:
        """End a user's sign-in or token, with the caller's commit; null when there is none of that id."""
        row = session.get(TokenRow, token_id)
        if row is None or row.user_id != user_id or row.kind not in _OWN_KINDS:
            return None
        session.delete(row)
        after_commit(session, self.forget)
        return row

    # -- inside others' transactions ----------------------------------------------------------------------

    def issue(
        self,
        session: Session,
        *,
        user_id: str,
        kind: str,
        name: str,
        scopes: Iterable[str],
        project_id: str | None = None,
        attempt_id: str | None = None,
        lifetime_s: float | None = None,
    ) -> tuple[str, str]:
        """A new token in the caller's transaction: its secret, which nothing keeps, and its id."""
        secret = "nacre_" + secrets.token_urlsafe(32)
        now = self._clock.now()
        row = TokenRow(
            id=new_id("tok"),
            hash=fingerprint(secret),
            user_id=user_id,
            name=name,
            kind=kind,
            scopes=list(scopes),
            project_id=project_id,
            attempt_id=attempt_id,
            created_at=now,
            expires_at=None if lifetime_s is None else now + timedelta(seconds=lifetime_s),
        )
        session.add(row)
        session.flush()
        after_commit(session, lambda: self._signals.notify("access"))
        return secret, row.id

    def open_session(
        self, session: Session, user_id: str, lifetime_s: float, *, in_browser: bool = False
    ) -> IssuedToken:
        """A new sign-in of a user, in the caller's transaction."""
        secret, token_id = self.issue(
            session,
            user_id=user_id,
            kind="session",
            name="console" if in_browser else "session",
            scopes=["*"],
            lifetime_s=lifetime_s,
        )
        return self.issued(session, secret, token_id)

    def issued(self, session: Session, secret: str, token_id: str) -> IssuedToken:
        """The answer that shows a new token's secret, this once."""
        row = session.get_one(TokenRow, token_id)
        owner = session.get_one(UserRow, row.user_id)
        return IssuedToken(token=self._wire(row), secret=secret, user=user_wire(owner))

    def revoke_attempt(self, session: Session, attempt_id: str) -> None:
        """End every token of an attempt; they stop with the caller's commit."""
        session.execute(delete(TokenRow).where(TokenRow.attempt_id == attempt_id))
        after_commit(session, self.forget)

    def revoke_sessions(self, session: Session, user_id: str, *, but: str) -> None:
        """End a user's sign-ins except one, with the caller's commit."""
        sessions = delete(TokenRow).where(
            TokenRow.user_id == user_id, TokenRow.kind == "session", TokenRow.id != but
        )
        session.execute(sessions)
        after_commit(session, self.forget)

    # -- the inference listener ---------------------------------------------------------------------------

    def grants(self) -> dict[str, TokenGrant]:
        """Every token that may call endpoints, by its SHA-256 in hex, with the projects it reaches.

        It changes with tokens, users and memberships, which notify ``access``.
        """
        now = self._clock.now()
        memberships = select(MemberRow.user_id, ProjectRow.id, ProjectRow.name).join(
            ProjectRow, ProjectRow.id == MemberRow.project_id
        )
        tokens = (
            select(TokenRow, ProjectRow.name)
            .join(UserRow, UserRow.id == TokenRow.user_id)
            .outerjoin(ProjectRow, ProjectRow.id == TokenRow.project_id)
            .where(
                UserRow.disabled.is_(False),
                TokenRow.kind != "content",
                or_(TokenRow.expires_at.is_(None), TokenRow.expires_at > now),
            )
        )
        reach: defaultdict[str, dict[str, str]] = defaultdict(dict)
        grants: dict[str, TokenGrant] = {}
        with self._db.read() as session:
            for user_id, project_id, name in session.execute(memberships):
                reach[user_id][project_id] = name
            for row, own_project in session.execute(tokens):
                if not {"*", INVOKE_SCOPE} & set(row.scopes):
                    continue
                projects = _granted(row, own_project, reach[row.user_id])
                if projects:
                    expires = None if row.expires_at is None else epoch_ms(row.expires_at)
                    grants[row.hash] = TokenGrant(
                        projects=projects,
                        expires_ms=expires,
                        rate_per_s=row.rate_per_s,
                        burst=row.burst,
                    )
        return grants

    def _wire(self, row: TokenRow, caller: Caller | None = None) -> Token:
        seen = [at for at in (row.last_used_at, self._used.get(row.id)) if at is not None]
        return Token(
            id=row.id,
            created_at=row.created_at,
            name=row.name,
            kind=row.kind,
            scopes=row.scopes,
            expires_at=row.expires_at,
            last_used_at=max(seen, default=None),
            rate_per_s=row.rate_per_s,
            burst=row.burst,
            current=caller is not None and caller.token_id == row.id,
        )


def fingerprint(secret: str) -> str:
    """What is stored of a secret that is long and random: its SHA-256 in hex."""
    return hashlib.sha256(secret.encode(errors="surrogateescape")).hexdigest()


def after_commit(session: Session, action: Callable[[], None]) -> None:
    """Call ``action`` once the session's transaction is committed; never, when it is rolled back.

    The action must not use the database: the transaction's locks are still being given back.
    """
    event.listen(session, "after_commit", lambda _: action(), once=True)


def user_wire(row: UserRow) -> User:
    """A user as the API shows one."""
    return User(
        id=row.id,
        created_at=row.created_at,
        name=row.name,
        email=row.email,
        admin=row.admin,
        disabled=row.disabled,
    )


def _known(found: Row[*tuple[Any, ...]]) -> _Known | None:
    token: TokenRow
    user: UserRow
    token, user, project_name, role = found
    scopes = frozenset(token.scopes)
    if user.disabled:
        scopes &= frozenset(REPORT_SCOPES)
        if token.attempt_id is None or not scopes:
            return None
    own = None
    if token.project_id is not None:
        if token.kind == "attempt":
            role = Role.EDITOR
        own = ProjectRef(token.project_id, project_name, Role(role) if role is not None else None)
    caller = Caller(
        user_id=user.id,
        user_name=user.name,
        admin=user.admin and own is None,
        token_id=token.id,
        scopes=scopes,
        project_ids=None if own is None else frozenset({own.id}),
        attempt_id=token.attempt_id,
        project=own,
    )
    return _Known(caller, token.expires_at)


def _granted(row: TokenRow, own_project: str | None, reach: dict[str, str]) -> list[str]:
    if row.project_id is None:
        return sorted(reach.values())
    allowed = row.kind == "attempt" or row.project_id in reach
    return [own_project] if allowed and own_project is not None else []


def _count(result: Any) -> int:
    return result.rowcount if isinstance(result, CursorResult) else 0
