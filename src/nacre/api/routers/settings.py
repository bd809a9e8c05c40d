"""Routes of the server's settings."""

from __future__ import annotations

from nacre.api.routes import Allowed, Near, Routes, Wired
from nacre.schema.users import Settings, SettingsUpdate

routes = Routes()


@routes.operation("settings.get")
def get(caller: Allowed, services: Wired, near: Near) -> Settings:
    """The settings as they are."""
    return services.settings.get(near=near)


@routes.operation("settings.update")
def update(body: SettingsUpdate, caller: Allowed, services: Wired, near: Near) -> Settings:
    """Change what is not null."""
    return services.settings.update(caller, body, near=near)
