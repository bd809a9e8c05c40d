"""Routes of users and sessions."""

from __future__ import annotations

from fastapi import Request

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.errors import PermissionDenied, RateLimited, Unauthenticated
from nacre.schema.base import Page
from nacre.schema.users import IssuedToken, PasswordChange, SignIn, SignUp, User, UserUpdate

routes = Routes()


def _address(request: Request) -> str:
    return request.client.host if request.client else "local"


@routes.operation("users.sign_up", status=201, also=(PermissionDenied, RateLimited))
def sign_up(body: SignUp, request: Request, services: Wired) -> IssuedToken:
    """Make an account with a project of its own, and sign it in."""
    return services.users.sign_up(body, _address(request))


@routes.operation("users.sign_in", status=201, also=(Unauthenticated, PermissionDenied, RateLimited))
def sign_in(body: SignIn, request: Request, services: Wired) -> IssuedToken:
    """Exchange name and password for the token of a new session."""
    return services.users.sign_in(body, _address(request))


@routes.operation("users.sign_out", status=204)
def sign_out(caller: Allowed, services: Wired) -> None:
    """Revoke the session's token that the request carries."""
    services.users.sign_out(caller)


@routes.operation("users.me")
def me(caller: Allowed, services: Wired) -> User:
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
