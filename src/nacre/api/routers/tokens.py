"""Routes of tokens."""

from __future__ import annotations

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.users import IssuedToken, Token, TokenCreate, TokenScopes
from nacre.services.scopes import every_scope

routes = Routes()


@routes.operation("tokens.create", status=201)
def create(body: TokenCreate, caller: Allowed, services: Wired) -> IssuedToken:
    """A token for a program; its secret is shown this once."""
    return services.tokens.create(caller, body)


@routes.operation("tokens.list")
def list_tokens(caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100) -> Page[Token]:
    """The caller's own tokens, newest first."""
    return services.tokens.list(caller, cursor=cursor, limit=limit)


@routes.operation("tokens.scopes")
def scopes(caller: Allowed) -> TokenScopes:
    """Every scope, and what it opens."""
    return every_scope()


@routes.operation("tokens.delete", status=204)
def delete(token: str, caller: Allowed, services: Wired) -> None:
    """Revoke a token by id or name."""
    services.tokens.delete(caller, token)
