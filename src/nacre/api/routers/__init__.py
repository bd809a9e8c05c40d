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
    resources,
    runs,
    secrets,
    server,
    settings,
    tokens,
    usage,
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
    resources.routes,
    runs.routes,
    secrets.routes,
    server.routes,
    settings.routes,
    tokens.routes,
    usage.routes,
    users.routes,
)
