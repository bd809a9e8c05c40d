"""Routes of invitations."""

from __future__ import annotations

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.users import Invitation, InvitationCreate

routes = Routes()


@routes.operation("invitations.create", status=201)
def create(body: InvitationCreate, caller: Allowed, services: Wired) -> Invitation:
    """An invitation for one person; its secret is shown this once."""
    return services.users.invitations.create(caller, body)


@routes.operation("invitations.list")
def list_invitations(
    caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100
) -> Page[Invitation]:
    """Invitations that may still be used, newest first."""
    return services.users.invitations.list(caller, cursor=cursor, limit=limit)


@routes.operation("invitations.delete", status=204)
def delete(invitation: str, caller: Allowed, services: Wired) -> None:
    """Withdraw an invitation that nobody has used."""
    services.users.invitations.delete(caller, invitation)
