"""Operations: every use case that the server offers, its route, and who may call it.

Each noun's module lists its own ``OPERATIONS``; ``operations.py`` gathers them. The API, the SDK and the
CLI are held to that list by a parity test (``tests/surface/test_parity.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """What a member may do in a project: each role may do all that the ones before it may."""

    VIEWER = "viewer"
    EDITOR = "editor"
    OWNER = "owner"


class Access(StrEnum):
    """Who may call an operation, besides having the scope in their token."""

    PUBLIC = "public"  # anybody
    USER = "user"  # any signed-in user
    VIEWER = "viewer"  # a member of the project in the path, at least in that role
    EDITOR = "editor"
    OWNER = "owner"
    ADMIN = "admin"  # a user who administers the server
    ATTEMPT = "attempt"  # the launcher of the attempt in the path


@dataclass(frozen=True)
class Operation:
    """One use case. ``name`` is ``noun.verb``: the SDK's ``client.noun.verb`` and OpenAPI's operationId.

    ``scope`` is what a token must carry (``jobs:write``; none for PUBLIC). ``cli`` is the command that
    covers it (``instance stop``), or null for what only programs call.
    """

    name: str
    method: str
    path: str
    summary: str
    access: Access
    scope: str | None = None
    cli: str | None = None

    @property
    def noun(self) -> str:
        return self.name.split(".", 1)[0]

    @property
    def verb(self) -> str:
        return self.name.split(".", 1)[1]


PROJECT = "/api/v1/projects/{project}"
