"""One router per noun; each registers the operations of its noun."""

from fastapi import APIRouter

from nacre.api.routers import server

ALL: tuple[APIRouter, ...] = (
    server.routes,
)
