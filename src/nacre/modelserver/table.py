"""Which path belongs to which dialect: the routes of all of them in one tree."""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from nacre.modelserver.calls import Parameters, Route, View
from nacre.modelserver.messages import Request, Response
from nacre.modelserver.protocols import kserve, mlflow, sagemaker, tfserving, v2, vertex

_DIALECTS = (v2, tfserving, kserve, mlflow, sagemaker, vertex)


@dataclass(slots=True)
class _Node:
    """``suffixed``: literal suffix of a part (``:predict``) → what follows; "" for a whole part."""

    literals: dict[str, _Node] = field(default_factory=dict)
    named: list[tuple[str, str, _Node]] = field(default_factory=list)
    methods: dict[str, Route] = field(default_factory=dict)


class Table:
    """Finds the route of a path."""

    def __init__(self, routes: list[Route]) -> None:
        self._root = _Node()
        for route in routes:
            self._add(route)

    def _add(self, route: Route) -> None:
        node = self._root
        for part in filter(None, route.path.split("/")):
            if not part.startswith("{"):
                node = node.literals.setdefault(part, _Node())
                continue
            name, _, suffix = part[1:].partition("}")
            known = next((child for own, tail, child in node.named if (own, tail) == (name, suffix)), None)
            if known is None:
                known = _Node()
                node.named.append((name, suffix, known))
                node.named.sort(key=lambda entry: -len(entry[1]))
            node = known
        if route.method in node.methods:
            raise ValueError(f"two dialects want {route.method} {route.path}")
        node.methods[route.method] = route

    def find(self, parts: list[str]) -> tuple[dict[str, Route], Parameters]:
        """The routes of a path by method, and its parameters; no routes where there is nothing."""
        return _walk(self._root, parts, 0) or ({}, {})


def _walk(node: _Node, parts: list[str], at: int) -> tuple[dict[str, Route], Parameters] | None:
    if at == len(parts):
        return (node.methods, {}) if node.methods else None
    part = parts[at]
    literal = node.literals.get(part)
    if literal is not None and (found := _walk(literal, parts, at + 1)) is not None:
        return found
    for name, suffix, child in node.named:
        if part.endswith(suffix) and len(part) > len(suffix):
            found = _walk(child, parts, at + 1)
            if found is not None:
                found[1][name] = part.removesuffix(suffix)
                return found
    return None


_ROUTES = [route for dialect in _DIALECTS for route in dialect.ROUTES]
_SHORT = [
    f"{route.method} {route.path}"
    for route in _ROUTES
    if (route.decode or route.method == "GET") and "/{" not in route.path.replace("{model}", "")
]
"""Those that name no version, and are there to be asked."""


def _alive(_: Request, view: View, __: Parameters) -> Response:
    """What a server of KServe's protocol v1 answers at its root, and what can be asked below it."""
    paths = [path.replace("{model}", view.name) for path in _SHORT]
    return Response(200, orjson.dumps({"status": "alive", "name": view.name, "paths": paths}))


TABLE = Table([*_ROUTES, Route("GET", "", answer=_alive)])
