"""One router per noun; each registers the operations of its noun."""

from fastapi import APIRouter

from nacre.api.routers import (
    attempts,
    blobs,
    data,
    endpoints,
    environments,
    events,
    instances,
    invitations,
    jobs,
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
    attempts.routes,
    blobs.routes,
    data.routes,
    endpoints.routes,
    environments.routes,
    events.routes,
    instances.routes,
    invitations.routes,
    jobs.routes,
    members.routes,
    models.routes,
    projects.routes,
    secrets.routes,
    server.routes,
    settings.routes,
    tokens.routes,
    users.routes,
)
