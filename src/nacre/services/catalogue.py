"""The environments that every project has, as ``catalogue.toml`` declares them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True)
class CatalogueEntry:
    """A declared environment; ``hidden`` ones are for Nacre's own use and not listed.

    ``python``: the minor version that it needs; null is the server's own.
    """

    name: str
    description: str
    requirements: tuple[str, ...]
    python: str | None = None
    hidden: bool = False


@cache
def catalogue(gpu: bool) -> dict[str, CatalogueEntry]:
    """The entries by name, for a server with or without an NVIDIA GPU."""
    declared = tomllib.loads(files("nacre.services").joinpath("catalogue.toml").read_text("utf-8"))
    return {
        name: CatalogueEntry(
            name,
            entry["description"],
            tuple(entry["gpu"] if gpu and "gpu" in entry else entry["requirements"]),
            entry.get("python"),
            entry.get("hidden", False),
        )
        for name, entry in declared.items()
    }


def has_nvidia() -> bool:
    """Whether this machine has the NVIDIA driver loaded."""
    return Path("/dev/nvidiactl").exists() or Path("/proc/driver/nvidia/version").exists()
