"""Routes of a project's secrets."""

from __future__ import annotations

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.projects import Secret, SecretSet

routes = Routes()


@routes.operation("secrets.set")
def set_secret(project: str, secret: str, body: SecretSet, caller: Allowed, services: Wired) -> Secret:
    """Keep a secret, or replace its value."""
    return services.secrets.set(caller, secret, body)


@routes.operation("secrets.list")
def list_secrets(
    project: str, caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100
) -> Page[Secret]:
    """Names and kinds; never values."""
    return services.secrets.list(caller, cursor=cursor, limit=limit)


@routes.operation("secrets.delete", status=204)
def delete(project: str, secret: str, caller: Allowed, services: Wired) -> None:
    """Delete a secret."""
    services.secrets.delete(caller, secret)
