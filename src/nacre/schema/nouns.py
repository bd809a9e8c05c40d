"""Which modules have the operations of a noun: who needs one operation loads no other wire types."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from nacre.schema.access import Operation

MODULES: dict[str, tuple[str, ...]] = {
    "server": ("server",),
    "users": ("users",),
    "sessions": ("users",),
    "invitations": ("users",),
    "tokens": ("users",),
    "settings": ("users",),
    "projects": ("projects",),
    "members": ("projects",),
    "secrets": ("projects",),
    "events": ("projects",),
    "instance_types": ("resources",),
    "nodes": ("resources",),
    "blobs": ("data",),
    "data": ("data", "summaries"),
    "environments": ("environments",),
    "jobs": ("jobs",),
    "attempts": ("jobs",),
    "queue": ("queue",),
    "quotas": ("queue",),
    "experiments": ("experiments",),
    "runs": ("runs", "previews", "charts"),
    "lineage": ("lineage",),
    "live": ("live",),
    "instances": ("instances",),
    "models": ("models",),
    "evaluations": ("models",),
    "endpoints": ("endpoints", "predictions"),
    "usage": ("usage",),
    "views": ("views",),
}
"""Noun → modules of ``nacre.schema``."""


def operations(module: str) -> list[Operation]:
    """The operations that a module of ``nacre.schema`` has."""
    found: list[Operation] = import_module(f"nacre.schema.{module}").OPERATIONS
    return found


@cache
def find_operation(name: str) -> Operation:
    """The operation of this name, such as ``jobs.list``.

    Raises:
        KeyError: there is none.
    """
    for module in MODULES[name.partition(".")[0]]:
        for one in operations(module):
            if one.name == name:
                return one
    raise KeyError(name)
