"""From a request's target and token to endpoint, route and grant; remembered until something changes."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import Parameters, Route
from nacre.modelserver.endpoint import Endpoint
from nacre.modelserver.host import Host
from nacre.modelserver.messages import Request
from nacre.modelserver.table import TABLE
from nacre.modelserver.tokens import Grant

_MOST = 4096


class WrongMethod(Refused):
    """405; ``allowed`` are the methods that there are."""

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(405, f"this takes {' or '.join(allowed)}")
        self.allowed = allowed


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a target means to the holder of a token. ``version``: the model version that it names."""

    endpoint: Endpoint
    route: Route
    parameters: Parameters
    grant: Grant
    version: str | None


class Resolver:
    """Looks targets up; the same ones again cost one lookup in a dictionary."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._known: dict[tuple[bytes, bytes, bytes | None], Resolved] = {}
        self._epochs = (-1, -1)

    def resolve(self, request: Request) -> Resolved:
        """Where the request goes.

        Raises :class:`Refused`: 401, 403, 404 or 405.
        """
        host = self._host
        epochs = (host.epoch, host.access.epoch)
        if epochs != self._epochs:
            self._known.clear()
            self._epochs = epochs
        key = (request.method, request.target, request.headers.get(b"authorization"))
        found = self._known.get(key)
        if found is not None:
            expires = found.grant.expires_s
            if expires is None or expires > time.time():
                return found
        found = self._look_up(request)
        # A refused token may just have been read: it belongs to the next epoch.
        if (host.epoch, host.access.epoch) == self._epochs:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = found
        return found

    def _look_up(self, request: Request) -> Resolved:
        parts = split(request.target)
        if len(parts) < 3 or parts[0] != "endpoints":
            raise Refused(404, "there is nothing here: endpoints are /endpoints/{project}/{name}/v2")
        project, name = parts[1], parts[2]
        grant = self._host.access.grant(request.headers.get(b"authorization"), project)
        endpoint = self.endpoint(project, name)
        method = request.method.decode("latin-1")
        routes, parameters = TABLE.find(parts[3:])
        if not routes:
            raise Refused(
                404,
                "there is nothing here: ask for v2/models/{model}/infer, v1/models/{model}:predict "
                "or invocations",
            )
        route = routes.get("GET" if method == "HEAD" else method)
        if route is None:
            raise WrongMethod(sorted({*routes, *(["HEAD"] if "GET" in routes else [])}))
        check_model(endpoint, parameters)
        return Resolved(endpoint, route, parameters, grant, parameters.get("version"))

    def endpoint(self, project: str, name: str) -> Endpoint:
        """The endpoint. Raises :class:`Refused` with 404, naming those that there are."""
        endpoint = self._host.endpoints.get(f"{project}/{name}")
        if endpoint is not None:
            return endpoint
        there = ", ".join(repr(other) for other in self._host.names(project))
        rest = f"there are {there}" if there else "there is none: deploy one with nacre deploy"
        raise Refused(404, f"project {project!r} has no endpoint {name!r}; {rest}")


def check_model(endpoint: Endpoint, parameters: Parameters) -> None:
    """Raise :class:`Refused` with 404 where a path names another model or version than the endpoint has."""
    model = parameters.get("model")
    models = endpoint.models()
    if model is not None and model != endpoint.name and model not in models:
        served = ", ".join(repr(one) for one in sorted(models))
        raise Refused(404, f"endpoint {endpoint.name!r} serves model {served}, there is no {model!r}")
    version = parameters.get("version")
    if version is not None and endpoint.of_version(version) is None:
        have = sorted({one.wanted.model_version for one in endpoint.revisions.values()})
        raise Refused(
            404,
            f"endpoint {endpoint.name!r} serves version {', '.join(map(str, have))} of its model, "
            f"not {version!r}",
        )


def split(target: bytes) -> list[str]:
    """The parts of a request's path."""
    path = target.partition(b"?")[0]
    if not path.startswith(b"/"):
        # The absolute form that proxies use: scheme://host/path
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
    parts = path.strip(b"/").split(b"/")
    if b"%" in path:
        parts = [unquote_to_bytes(part) for part in parts]
    return [part.decode("utf-8", "replace") for part in parts]
