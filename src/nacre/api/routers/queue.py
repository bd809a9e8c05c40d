"""The queue, shares and quotas."""

from __future__ import annotations

from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.queue import QueueEntry, Quota, QuotaUpdate, Share

routes = Routes()


@routes.operation("queue.list")
def entries(caller: Allowed, services: Wired) -> Page[QueueEntry]:
    """What waits, in the order of turns; the first 1,000."""
    return services.scheduling.list(caller)


@routes.operation("queue.shares")
def shares(caller: Allowed, services: Wired) -> Page[Share]:
    """What each project holds now and used of late; projects of others are one line."""
    return services.scheduling.shares(caller)


@routes.operation("quotas.get")
def quota(caller: Allowed, services: Wired) -> Quota:
    """The most that the project's work holds at one moment."""
    return services.quotas.get(caller)


@routes.operation("quotas.update")
def update(name: str, body: QuotaUpdate, caller: Allowed, services: Wired) -> Quota:
    """Change the fields that are sent; null takes a limit away. What runs goes on."""
    return services.quotas.update(caller, name, body)
