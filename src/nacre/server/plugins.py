"""Built-in and foreign implementations of ports, found by entry point."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from nacre.errors import PluginError


def load(group: str, name: str) -> Any:
    """The object that the entry point ``name`` of ``nacre.<group>`` names.

    Raises:
        PluginError: there is none of that name, or it cannot be imported.
    """
    found = entry_points(group=f"nacre.{group}", name=name)
    if not found:
        known = ", ".join(sorted(e.name for e in entry_points(group=f"nacre.{group}"))) or "none"
        raise PluginError(f"there is no plugin {name!r} for {group} (found: {known}): install nacre again")
    try:
        return next(iter(found)).load()
    except ImportError as error:
        raise PluginError(f"the plugin {name!r} for {group} cannot be imported: {error}") from error


def load_all(group: str) -> list[Any]:
    """Every object of the group, by name."""
    names = sorted({e.name for e in entry_points(group=f"nacre.{group}")})
    return [load(group, name) for name in names]
