"""Environments: locked dependencies, addressed by digest."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field, model_validator

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Digest, Name, Stamped, Wire


class EnvironmentState(StrEnum):
    """``pending``: nobody needed it yet; ``failed`` keeps the resolver's words in ``message``."""

    PENDING = "pending"
    RESOLVING = "resolving"
    BUILDING = "building"
    READY = "ready"
    FAILED = "failed"


class EnvironmentCreate(Wire):
    """Exactly one of ``requirements``, ``pyproject``, ``lock`` (their text).

    ``python``: a minor version such as ``3.11``; null takes the server's own.
    """

    name: Name
    requirements: str | None = Field(None, max_length=262_144)
    pyproject: str | None = Field(None, max_length=262_144)
    lock: str | None = Field(None, max_length=8_388_608)
    python: str | None = Field(None, pattern=r"^3\.\d{1,2}$")

    @model_validator(mode="after")
    def _one_source(self) -> EnvironmentCreate:
        given = [n for n in ("requirements", "pyproject", "lock") if getattr(self, n) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of requirements, pyproject and lock")
        return self


class Environment(Stamped):
    """An environment. ``catalogue`` ones are there for every project; ``digest`` is known when locked."""

    name: Name
    catalogue: bool = False
    description: str = ""
    requirements: list[str] = []
    python: str | None = None
    state: EnvironmentState
    reason: str | None = None
    message: str | None = None
    digest: Digest | None = None
    lock: str | None = None
    size: int | None = Field(None, description="bytes on disk, hard links to the shared cache included")
    build_seconds: float | None = None


class EnvironmentUse(Stamped):
    """A job or an instance in the environment."""

    name: str
    state: str
    user: str


class EnvironmentUses(Answer):
    """The project's own jobs and instances in it, the latest first, and how many there are."""

    jobs: list[EnvironmentUse]
    instances: list[EnvironmentUse]
    job_count: int
    instance_count: int


_E = f"{PROJECT}/environments"
OPERATIONS = (
    Operation(
        "environments.create",
        "POST",
        _E,
        "Define an environment of the project",
        Access.EDITOR,
        "environments:write",
        "env create",
    ),
    Operation(
        "environments.list",
        "GET",
        _E,
        "List the catalogue and the project's own",
        Access.VIEWER,
        "environments:read",
        "env ls",
    ),
    Operation(
        "environments.get",
        "GET",
        f"{_E}/{{environment}}",
        "Read an environment",
        Access.VIEWER,
        "environments:read",
        "env show",
    ),
    Operation(
        "environments.build",
        "POST",
        f"{_E}/{{environment}}/build",
        "Build it now, if it is not there",
        Access.EDITOR,
        "environments:write",
        "env build",
    ),
    Operation(
        "environments.uses",
        "GET",
        f"{_E}/{{environment}}/uses",
        "What of the project uses it",
        Access.VIEWER,
        "environments:read",
        "env uses",
    ),
    Operation(
        "environments.logs",
        "GET",
        f"{_E}/{{environment}}/log",
        "Stream the build log",
        Access.VIEWER,
        "environments:read",
        "env logs",
    ),
    Operation(
        "environments.delete",
        "DELETE",
        f"{_E}/{{environment}}",
        "Delete an environment of the project",
        Access.EDITOR,
        "environments:write",
        "env delete",
    ),
)
