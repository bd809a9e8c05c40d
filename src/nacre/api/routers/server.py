"""Routes of the server itself."""

from __future__ import annotations

from nacre.api.routes import Allowed, Near, Routes, Wired
from nacre.schema.server import Diagnosis, ServerInfo, ServerStatus

routes = Routes()


@routes.operation("server.info")
def info(services: Wired, near: Near) -> ServerInfo:
    """What this server is; needs no token. Who may sign up is told as it is for who asks."""
    return services.status.info(near=near)


@routes.operation("server.status")
def status(caller: Allowed, services: Wired) -> ServerStatus:
    """How this server is."""
    return services.status.status(caller)


@routes.operation("server.doctor")
def doctor(caller: Allowed, services: Wired) -> Diagnosis:
    """Try out what the server and its machine give; takes about a second."""
    return services.doctor.check(caller)
