"""Projects, their members, secrets and events."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field, SecretStr

from nacre.schema.access import PROJECT, Access, Operation, Role
from nacre.schema.base import Answer, JsonObject, Name, Stamped, Wire
from nacre.schema.launch import Network


class ProjectCreate(Wire):
    """A new project; who makes it is its owner."""

    name: Name
    description: str = ""


class ProjectUpdate(Wire):
    """Null leaves a field. ``network``: what this project's work reaches: the server only (none), package
    indexes too (packages), or everything (full)."""

    description: str | None = None
    network: Network | None = None


class Project(Stamped):
    """Owner of everything; unit of membership and cost. ``role`` is the caller's own."""

    name: Name
    description: str = ""
    network: Network = "none"
    role: Role | None = None


class Member(Answer):
    """A user in a project."""

    user: Name
    role: Role
    created_at: datetime


class MemberSet(Wire):
    """The role to give."""

    role: Role


class SecretSet(Wire):
    """``kind: variable`` injects it as ``NAME``; ``file`` as ``/run/secrets/NAME``."""

    value: SecretStr = Field(min_length=1, max_length=65_536)
    kind: Literal["variable", "file"] = "variable"


class Secret(Answer):
    """A secret without its value, which is never shown again."""

    name: str
    kind: Literal["variable", "file"]
    created_at: datetime
    updated_at: datetime


class Event(Stamped):
    """What happened, to what, by whom. ``user``: null for what the server did by itself."""

    verb: str = Field(examples=["jobs.submit"])
    subject: str = Field(description="id of the thing")
    user: str | None = None
    project: str | None = Field(None, description="null: of the server, not of a project")
    detail: JsonObject = {}


OPERATIONS = (
    Operation(
        "projects.create",
        "POST",
        "/api/v1/projects",
        "Create a project",
        Access.USER,
        "projects:write",
        "project create",
    ),
    Operation(
        "projects.list",
        "GET",
        "/api/v1/projects",
        "List one's projects",
        Access.USER,
        "projects:read",
        "project ls",
    ),
    Operation(
        "projects.get",
        "GET",
        PROJECT,
        "Read a project",
        Access.VIEWER,
        "projects:read",
        "project show",
    ),
    Operation(
        "projects.update",
        "PATCH",
        PROJECT,
        "Change a project",
        Access.OWNER,
        "projects:write",
        "project update",
    ),
    Operation(
        "projects.delete",
        "DELETE",
        PROJECT,
        "Delete an empty project",
        Access.OWNER,
        "projects:write",
        "project delete",
    ),
    Operation(
        "members.list",
        "GET",
        f"{PROJECT}/members",
        "List a project's members",
        Access.VIEWER,
        "projects:read",
        "project members",
    ),
    Operation(
        "members.set",
        "PUT",
        f"{PROJECT}/members/{{user}}",
        "Add a member or change a role",
        Access.OWNER,
        "projects:write",
        "project add-member",
    ),
    Operation(
        "members.delete",
        "DELETE",
        f"{PROJECT}/members/{{user}}",
        "Remove a member",
        Access.OWNER,
        "projects:write",
        "project remove-member",
    ),
    Operation(
        "secrets.set",
        "PUT",
        f"{PROJECT}/secrets/{{secret}}",
        "Keep a secret for jobs and instances",
        Access.EDITOR,
        "secrets:write",
        "secret set",
    ),
    Operation(
        "secrets.list",
        "GET",
        f"{PROJECT}/secrets",
        "List the names of secrets",
        Access.VIEWER,
        "secrets:read",
        "secret ls",
    ),
    Operation(
        "secrets.delete",
        "DELETE",
        f"{PROJECT}/secrets/{{secret}}",
        "Delete a secret",
        Access.EDITOR,
        "secrets:write",
        "secret delete",
    ),
    Operation(
        "events.list",
        "GET",
        f"{PROJECT}/events",
        "List what happened in a project",
        Access.VIEWER,
        "events:read",
        "event ls",
    ),
    Operation(
        "events.list_all",
        "GET",
        "/api/v1/events",
        "List what happened on the whole server",
        Access.ADMIN,
        "events:read",
        "event ls",
    ),
)
