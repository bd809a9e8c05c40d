"""Links that sign a browser in: made by who is signed in already, on the command line."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.users import TokenRow, UserRow
from nacre.domain.identity import Caller, check_unlimited
from nacre.errors import PermissionDenied, Unauthenticated
from nacre.schema.users import IssuedToken, SessionLink
from nacre.services.events import Events
from nacre.services.tokens import LINK, Tokens, fingerprint
from nacre.services.users import SESSION_SECONDS

LINK_SECONDS = 600.0

_MADE_BY = "made-by:"


class Sessions:
    """A link's code is a row among the tokens that calls nothing; using it deletes it."""

    def __init__(self, db: Database, clock: Clock, tokens: Tokens, events: Events) -> None:
        self._db = db
        self._clock = clock
        self._tokens = tokens
        self._events = events

    def link(self, caller: Caller) -> SessionLink:
        """A link for a browser of the caller. It works once, for ten minutes, and while the token does
        that asked for it.

        Raises:
            PermissionDenied: that token may do less than a session.
        """
        check_unlimited(caller, "sign a browser in")
        if "*" not in caller.scopes:
            raise PermissionDenied(
                "a token that may not do everything cannot sign a browser in: use 'nacre login' first"
            )
        now = self._clock.now()
        with self._db.write() as session:
            session.execute(delete(TokenRow).where(TokenRow.kind == LINK, TokenRow.expires_at <= now))
            code, _ = self._tokens.issue(
                session,
                user_id=caller.user_id,
                kind=LINK,
                name="link",
                scopes=[_MADE_BY + caller.token_id],
                lifetime_s=LINK_SECONDS,
            )
        return SessionLink(
            path=f"/sign-in?code={code}", code=code, expires_at=now + timedelta(seconds=LINK_SECONDS)
        )

    def redeem(self, code: str, *, in_browser: bool = True) -> IssuedToken:
        """Spend a link: a session of who made it, which lasts no longer than the token that did.

        Raises:
            Unauthenticated: the code is unknown, spent or too old, or its maker may do so no more.
        """
        now = self._clock.now()
        good = (TokenRow.hash == fingerprint(code), TokenRow.kind == LINK, TokenRow.expires_at > now)
        with self._db.read() as session:  # guesses must not queue up for the right to write
            known = session.execute(select(TokenRow.id).where(*good)).first() is not None
        if not known:
            raise _spent()
        with self._db.write() as session:
            spent = delete(TokenRow).where(*good).returning(TokenRow.user_id, TokenRow.scopes)
            found = session.execute(spent).one_or_none()
            if found is None:
                raise _spent()
            lifetime_s = self._lifetime(session, found.scopes[0].removeprefix(_MADE_BY))
            user = session.get_one(UserRow, found.user_id)
            if user.disabled:
                raise PermissionDenied("this account is disabled: ask an administrator of the server")
            self._events.add(session, None, user.id, "sessions.redeem", user.id)
            return self._tokens.open_session(session, user.id, lifetime_s, in_browser=in_browser)

    def _lifetime(self, session: Session, token_id: str) -> float:
        maker = session.get(TokenRow, token_id)
        if maker is None:
            raise _spent()
        if maker.expires_at is None:
            return SESSION_SECONDS
        left = (maker.expires_at - self._clock.now()).total_seconds()
        if left <= 0:
            raise _spent()
        return min(SESSION_SECONDS, left)


def _spent() -> Unauthenticated:
    return Unauthenticated("this link was used already or is too old: get another one with 'nacre console'")
