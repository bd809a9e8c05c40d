"""What the server says of itself."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum

from pydantic import Field

from nacre.schema.access import Access, Operation
from nacre.schema.base import Answer
from nacre.schema.users import SignUpPolicy


class ServerInfo(Answer):
    """Answered to anybody: what a client needs before it signs in."""

    version: str
    sign_up: SignUpPolicy
    content_url: str
    inference_url: str


class ServerStatus(Answer):
    """How the server is."""

    version: str
    uptime_s: float
    database: str
    isolation: str
    jobs_running: int
    jobs_queued: int
    instances_running: int
    endpoints: int
    model_server: str


class CheckState(StrEnum):
    """``warning``: it works, but less well or less safely; ``problem``: something does not work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


class Check(Answer):
    """One thing that was tried."""

    name: str = Field(examples=["database"])
    state: CheckState
    message: str = Field(description="what was found, in a sentence")
    remedy: str | None = Field(None, description="what to do about it")


class Diagnosis(Answer):
    """Everything that was tried; ``state`` is that of the worst."""

    checked_at: datetime
    state: CheckState
    checks: list[Check]


def worst(checks: Iterable[Check]) -> CheckState:
    """The state of the worst check; ``ok`` for none."""
    order = list(CheckState)
    return max((check.state for check in checks), key=order.index, default=CheckState.OK)


OPERATIONS = (
    Operation("server.info", "GET", "/api/v1", "What this server is", Access.PUBLIC, cli="status"),
    Operation(
        "server.status",
        "GET",
        "/api/v1/status",
        "How this server is",
        Access.USER,
        "server:read",
        "status",
    ),
    Operation(
        "server.doctor",
        "GET",
        "/api/v1/doctor",
        "Try out what the server and its machine give",
        Access.ADMIN,
        "server:read",
        "doctor",
    ),
)
