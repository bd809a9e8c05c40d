"""Routes of a project's members."""

from __future__ import annotations

from nacre.api.routes import Allowed, Cursor, Limit, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.projects import Member, MemberSet

routes = Routes()


@routes.operation("members.list")
def list_members(
    project: str, caller: Allowed, services: Wired, cursor: Cursor = None, limit: Limit = 100
) -> Page[Member]:
    """Members by name."""
    return services.projects.members(caller, cursor=cursor, limit=limit)


@routes.operation("members.set")
def set_member(project: str, user: str, body: MemberSet, caller: Allowed, services: Wired) -> Member:
    """Add a member, or change a role."""
    return services.projects.set_member(caller, user, body)


@routes.operation("members.delete", status=204)
def delete(project: str, user: str, caller: Allowed, services: Wired) -> None:
    """Remove a member."""
    services.projects.remove_member(caller, user)
