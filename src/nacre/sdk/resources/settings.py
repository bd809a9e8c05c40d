"""``client.settings``: what an administrator sets for the whole server."""

from __future__ import annotations

from nacre.schema.users import Settings
from nacre.sdk.resources.base import Noun


class ServerSettings(Noun):
    """The server's settings."""

    def get(self) -> Settings:
        """The settings as they are."""
        found: Settings = self._transport.call("settings.get", Settings)
        return found

    def update(
        self,
        *,
        sign_up: str | None = None,
        trash_days: int | None = None,
        reserved: dict[str, float | str] | None = None,
    ) -> Settings:
        """Change what is not null (administrators).

        ``sign_up``: open, invite or closed. ``trash_days``: how long deleted runs can be restored.
        ``reserved``: cpu, memory (bytes, or text such as 8GB) and gpu that are set aside for instances and
        endpoints; amounts that are left out stay.
        """
        change = {"sign_up": sign_up, "trash_days": trash_days, "reserved": reserved}
        found: Settings = self._transport.call("settings.update", Settings, json=change)
        return found
