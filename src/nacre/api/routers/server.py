"""Routes of the server itself."""

from __future__ import annotations

from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.server import ServerInfo, ServerStatus

routes = Routes()


@routes.operation("server.info")
def info(services: Wired) -> ServerInfo:
    """What this server is; needs no token."""
    return services.status.info()


@routes.operation("server.status")
def status(caller: Allowed, services: Wired) -> ServerStatus:
    """How this server is."""
    return services.status.status(caller)
