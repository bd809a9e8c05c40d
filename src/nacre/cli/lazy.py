"""Commands whose modules are loaded when they are asked for: one command starts without all the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any, cast

import typer
from typer.core import TyperGroup

MODULES: dict[str, tuple[str, ...]] = {
    "console": ("console",),
    "deploy": ("endpoints",),
    "undeploy": ("endpoints",),
    "rollback": ("endpoint_changes",),
    "predict": ("predict",),
    "evaluate": ("evaluations",),
    "ps": ("jobs",),
    "logs": ("jobs",),
    "stop": ("jobs",),
    "show": ("jobs",),
    "delete": ("jobs",),
    "lineage": ("lineage",),
    "login": ("login",),
    "logout": ("login",),
    "run": ("run",),
    "offer": ("resources",),
    "queue": ("queue",),
    "up": ("server",),
    "server": ("server",),
    "down": ("server",),
    "status": ("server",),
    "doctor": ("server",),
    "check": ("server",),
    "tensorboard": ("tensorboard",),
    "cost": ("usage",),
    "data": ("data",),
    "env": ("environments",),
    "endpoint": ("endpoints", "endpoint_changes", "predict", "drift"),
    "event": ("events",),
    "experiment": ("experiments",),
    "import": ("imports",),
    "instance": ("instances",),
    "model": ("models", "model_files", "model_exports"),
    "project": ("projects",),
    "node": ("resources",),
    "quota": ("queue",),
    "runs": ("runs",),
    "secret": ("secrets",),
    "settings": ("settings",),
    "token": ("tokens",),
    "usage": ("usage",),
    "user": ("users",),
    "views": ("views",),
}
"""Command → its module of ``nacre.cli.commands``, and those that add to its group; in the help's order."""


@cache
def _load(name: str) -> Any:
    modules = [import_module(f"nacre.cli.commands.{one}") for one in MODULES[name]]
    app = typer.Typer()
    modules[0].register(app)
    return typer.main.get_group(app).commands[name]


class _Commands(Mapping[str, Any]):
    """What a group finds its commands in."""

    def get(self, name: str, default: Any = None) -> Any:
        """Not by way of ``KeyError``, which would hide those of a module that cannot be loaded."""
        return _load(name) if name in MODULES else default

    def __getitem__(self, name: str) -> Any:
        return _load(name)

    def __iter__(self) -> Iterator[str]:
        return iter(MODULES)

    def __len__(self) -> int:
        return len(MODULES)


class LazyGroup(TyperGroup):
    """The group ``nacre``."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands = cast(Any, _Commands())
