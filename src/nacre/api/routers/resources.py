"""Instance types with their prices, and the machines."""

from __future__ import annotations

from nacre.api.routes import Allowed, Routes, Wired
from nacre.schema.base import Page
from nacre.schema.resources import InstanceType, Node

routes = Routes()


@routes.operation("instance_types.list")
def instance_types(caller: Allowed, services: Wired) -> Page[InstanceType]:
    return services.nodes.instance_types(caller)


@routes.operation("nodes.list")
def nodes(caller: Allowed, services: Wired) -> Page[Node]:
    return services.nodes.list(caller)
