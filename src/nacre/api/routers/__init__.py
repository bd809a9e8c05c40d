"""One router per noun; each registers the operations of its noun."""

from fastapi import APIRouter

from nacre.api.routers import (
    endpoints,
    environments,
    events,
    invitations,
    members,
    models,
    projects,
    secrets,
    server,
    settings,
    tokens,
    users,
)

ALL: tuple[APIRouter, ...] = (
    endpoints.routes,
    environments.routes,
    events.routes,
    invitations.routes,
    members.routes,
    models.routes,
    projects.routes,
    secrets.routes,
    server.routes,
    settings.routes,
    tokens.routes,
    users.routes,
)
