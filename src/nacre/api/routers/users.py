"""Routes of users and sessions."""

from __future__ import annotations

from fastapi import Request, Response

from nacre.api import session_cookie
from nacre.api.routes import Allowed, Cursor, Limit, Near, Routes, Wired
from nacre.errors import PermissionDenied, RateLimited, Unauthenticated
from nacre.schema.base import Page
from nacre.schema.users import (
    IssuedToken,
    Me,
    PasswordChange,
    SignedIn,
    SignIn,
    SignUp,
    Token,
    User,
    UserUpdate,
)

routes = Routes()


def _address(request: Request) -> str:
    return request.client.host if request.client else "local"


@routes.operation("users.sign_up", status=201, also=(PermissionDenied, RateLimited))
def sign_up(body: SignUp, request: Request, response: Response, services: Wired, near: Near) -> SignedIn:
    """Make an account with a project of its own, and sign it in."""
    if body.cookie:
        session_cookie.check_console(request)
    issued = services.users.sign_up(body, _address(request), near=near)
    return signed_in(issued, request, response, body.cookie)


@routes.operation("users.sign_in", status=201, also=(Unauthenticated, PermissionDenied, RateLimited))
def sign_in(body: SignIn, request: Request, response: Response, services: Wired) -> SignedIn:
    """Exchange name and password for the token of a new session."""
    if body.cookie:
        session_cookie.check_console(request)
    return signed_in(services.users.sign_in(body, _address(request)), request, response, body.cookie)


def signed_in(issued: IssuedToken, request: Request, response: Response, cookie: bool) -> SignedIn:
    """The answer of a sign-in: the secret in it, or in the session's cookie."""
    if cookie:
        assert issued.token.expires_at is not None
        lifetime = issued.token.expires_at - issued.token.created_at
        session_cookie.keep(request, response, issued.secret, lifetime.total_seconds())
    return SignedIn(token=issued.token, user=issued.user, secret=None if cookie else issued.secret)


@routes.operation("users.sign_out", status=204)
def sign_out(caller: Allowed, services: Wired, request: Request, response: Response) -> None:
    """Revoke the session's token that the request carries."""
    services.users.sign_out(caller)
    session_cookie.clear(request, response)


@routes.operation("users.me")
def me(caller: Allowed, services: Wired) -> Me:
    """Who the token belongs to."""
    return services.users.me(caller)


@routes.operation("users.change_password", status=204, also=(RateLimited,))
def change_password(body: PasswordChange, caller: Allowed, services: Wired) -> None:
    """Change one's own password; other sessions end."""
    services.users.change_password(caller, body)


@routes.operation("users.list")
def list_users(caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100) -> Page[User]:
    """Every user, newest first."""
    return services.users.list(caller, cursor=cursor, limit=limit)


@routes.operation("users.update")
def update(user: str, body: UserUpdate, caller: Allowed, services: Wired) -> User:
    """Disable or enable a user; give or take administration."""
    return services.users.update(caller, user, body)


@routes.operation("users.delete", status=204)
def delete(user: str, caller: Allowed, services: Wired) -> None:
    """Delete a user who owns nothing."""
    services.users.delete(caller, user)


@routes.operation("users.sessions")
def sessions(
    user: str, caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100
) -> Page[Token]:
    """A user's sign-ins and tokens, newest first."""
    return services.users.sessions(caller, user, cursor=cursor, limit=limit)


@routes.operation("users.end_session", status=204)
def end_session(user: str, token: str, caller: Allowed, services: Wired) -> None:
    """Revoke a user's sign-in or token, by its id."""
    services.users.end_session(caller, user, token)
