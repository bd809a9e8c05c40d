"""Resources: what work asks for; instance types and prices; nodes."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator, model_validator

from nacre.schema.access import Access, Operation
from nacre.schema.base import Answer, Micros, Name, Wire

_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?\s*", re.IGNORECASE)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|m|h|d|w)\s*", re.IGNORECASE)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def parse_size(value: Any) -> Any:
    """``"4GB"``, ``"512 MiB"``, ``"1.5g"`` or a number of bytes → bytes.

    A unit means a power of 1024, with or without the ``i``, as dstack and Docker read it.
    """
    if not isinstance(value, str):
        return value
    if (match := _SIZE.fullmatch(value)) is None:
        raise ValueError(f"{value!r} is not a size: write it like 512MB or 4GB")
    return int(float(match[1]) * 1024 ** _UNITS[match[2].upper()])


def parse_duration(value: Any) -> Any:
    """``"90s"``, ``"1h30m"``, ``"2d"`` or a number of seconds → seconds."""
    if not isinstance(value, str):
        return value
    text = value.strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = list(_DURATION.finditer(text))
    if not parts or "".join(p[0] for p in parts) != text:
        raise ValueError(f"{value!r} is not a duration: write it like 90s, 30m or 1h30m")
    return sum(float(p[1]) * _SECONDS[p[2].lower()] for p in parts)


Size = Annotated[int, BeforeValidator(parse_size), Field(ge=0, description="bytes, or text such as 4GB")]
Space = Annotated[Size, Field(gt=0)]
"""A size that is something."""
Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    Field(gt=0, description="seconds, or text such as 1h30m"),
]


class Resources(Wire):
    """What work asks for. ``gpu``: a count, a part of one device (0.5), or ``name:count`` as dstack writes it
    (``H100:2``)."""

    cpu: float = Field(1.0, gt=0, le=1024)
    memory: Space = 2 * 2**30
    gpu: float = Field(0, ge=0, le=64)
    gpu_name: str | None = None
    disk: Space = 20 * 2**30
    shm_size: Space = 2**30

    @model_validator(mode="before")
    @classmethod
    def _usual_names(cls, value: Any) -> Any:
        """Names of other platforms, and ``gpu: H100:2`` for a count of a kind."""
        if not isinstance(value, dict):
            return value
        value = dict(value)
        for alias, name in (("cpus", "cpu"), ("disk_size", "disk"), ("accelerators", "gpu")):
            if alias in value:
                value.setdefault(name, value.pop(alias))
        gpu = value.get("gpu")
        if isinstance(gpu, str) and not _NUMBER.fullmatch(gpu.strip()):
            kind, _, count = gpu.strip().partition(":")
            value["gpu_name"], value["gpu"] = kind, count or 1
        return value

    @field_validator("gpu", mode="before")
    @classmethod
    def _count(cls, value: Any) -> Any:
        if isinstance(value, str) and not _NUMBER.fullmatch(value.strip()):
            raise ValueError("write gpu as a count, and the kind in gpu_name (H100)")
        return value

    @field_validator("gpu")
    @classmethod
    def _part(cls, value: float) -> float:
        if value > 1 and value != int(value):
            raise ValueError(f"{value:g} GPUs: ask for a whole number, or for a part of one (0.5)")
        return value


class InstanceType(Answer):
    """A named shape with a price per hour."""

    name: Name
    cpu: float
    memory: int
    gpu: int = 0
    gpu_name: str | None = None
    price_per_hour: Micros
    currency: str
    available: bool = Field(True, description="whether this machine could ever hold it")


class NodeWork(Answer):
    """What a replica of a job or of an endpoint, or an instance, holds of a machine. ``gpus``: by index of its
    devices, the part of each. ``price_per_hour``: of this replica."""

    project: str
    kind: str = Field(description="job, instance or endpoint")
    name: str
    user: str
    cpu: float
    memory: int
    gpus: dict[int, float] = {}
    price_per_hour: Micros
    since: datetime


class Node(Answer):
    """A machine: what it has, what is taken, and by which work, as far as the caller may see it.

    ``gpus_used``: by index of its devices, the part of each that is taken.
    """

    name: str
    cpu: float
    memory: int
    gpus: list[str] = []
    cpu_used: float = 0
    memory_used: int = 0
    gpus_used: dict[int, float] = {}
    isolation: str
    alive: bool = True
    work: list[NodeWork] = []


OPERATIONS = (
    Operation(
        "instance_types.list",
        "GET",
        "/api/v1/instance-types",
        "List instance types with prices",
        Access.USER,
        "instances:read",
        "offer",
    ),
    Operation(
        "nodes.list",
        "GET",
        "/api/v1/nodes",
        "List machines and what is taken on them",
        Access.USER,
        "nodes:read",
        "node ls",
    ),
)
