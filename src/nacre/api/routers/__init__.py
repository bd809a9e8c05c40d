"""One router per noun; each registers the operations of its noun."""

from fastapi import APIRouter

from nacre.api.routers import (
    events,
    invitations,
    members,
    projects,
    secrets,
    server,
    settings,
    tokens,
    users,
)

ALL: tuple[APIRouter, ...] = (
    events.routes,
    invitations.routes,
    members.routes,
    projects.routes,
    secrets.routes,
    server.routes,
    settings.routes,
    tokens.routes,
    users.routes,
)
