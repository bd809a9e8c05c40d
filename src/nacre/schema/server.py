"""What the server says of itself."""

from __future__ import annotations

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
)
