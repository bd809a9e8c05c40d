"""Serves MLflow's protocol, in front of the other routes: hot calls pass no framework on their way.

``register(calls, …)`` takes the tables of the modules; see :class:`nacre.api.compat.mlflow.calls.Calls`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from nacre.api.compat.mlflow import (
    artifacts,
    experiments,
    history,
    logged_models,
    model_versions,
    registry,
    runs,
    system,
)
from nacre.api.compat.mlflow import logging as hot
from nacre.api.compat.mlflow.auth import authorise, secret_of
from nacre.api.compat.mlflow.calls import Call, Calls, Entry
from nacre.api.compat.mlflow.errors import MlflowError, answer, invalid
from nacre.domain.identity import Caller
from nacre.errors import InternalError, NacreError, TooLarge
from nacre.services.registry import Services

log = logging.getLogger("nacre.api.mlflow")

MAX_JSON_BYTES = 16 * 2**20
_PREFIXES = ("/api/2.0/", "/api/3.0/", "/ajax-api/2.0/", "/ajax-api/3.0/")
_OURS = ("mlflow/", "mlflow-artifacts/")
_ASKED_SECONDS = 4.0
_MOST_ASKED = 10_000
_NOBODY = Caller(user_id="", user_name="", scopes=frozenset())

TABLES: tuple[Calls, ...] = (
    system.calls,
    experiments.calls,
    runs.calls,
    hot.calls,
    history.calls,
    artifacts.calls,
    logged_models.calls,
    registry.calls,
    model_versions.calls,
)
"""Every module's calls."""


class MlflowEdge:
    """Middleware: answers MLflow's calls, and hands every other request on."""

    def __init__(self, app: ASGIApp, services: Services, tables: Iterable[Calls] = TABLES) -> None:
        self._app = app
        self._services = services
        self._plain: dict[tuple[str, str], Entry] = {}
        self._asked: dict[tuple[str | None, ...], float] = {}
        self._shaped: list[tuple[str, Any, dict[str, Any], Entry]] = []
        for entry in (entry for calls in tables for entry in calls.entries):
            if "{" in entry.path:
                pattern, _, convertors = compile_path(entry.path)
                self._shaped.append((entry.method, pattern, convertors, entry))
            else:
                self._plain[entry.method, entry.path] = entry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "") if scope["type"] == "http" else ""
        rest = None
        if path.startswith(_PREFIXES):
            rest = path.split("/", 3)[3]
        elif path in ("/health", "/version", "/get-artifact"):
            rest = path[1:]
        if rest is None or not (rest.startswith(_OURS) or path == "/" + rest):
            await self._app(scope, receive, send)
            return
        try:
            found = await self._answer(rest, scope, receive)
        except (MlflowError, NacreError) as error:
            if isinstance(error, NacreError) and error.status >= 500:
                log.error("%s %s: %s", scope["method"], path, error.detail, exc_info=error)
            status, body, headers = answer(error)
            await _send(send, status, body, headers)
        except Exception as error:
            log.exception("%s %s failed", scope["method"], path, exc_info=error)
            defect = InternalError("this is a defect in Nacre; the server's log has the details")
            status, body, headers = answer(defect)
            await _send(send, status, body, headers)
        else:
            if isinstance(found, Response):
                await found(scope, receive, send)
            else:
                await _send(send, 200, b"{}" if found is None else orjson.dumps(found))

    async def _answer(self, rest: str, scope: Scope, receive: Receive) -> Any:
        entry, parameters = self._find(scope["method"], rest, scope)
        caller = _NOBODY
        if entry.operation is not None:
            caller = await self._caller(entry, parameters, scope)
        body = {} if entry.raw else await _body(scope, receive)
        call = Call(self._services, caller, body, scope, receive, parameters)
        if entry.awaited:
            return await entry.handler(call)
        return await asyncio.to_thread(entry.handler, call)

    def _find(self, method: str, rest: str, scope: Scope) -> tuple[Entry, dict[str, str]]:
        if (entry := self._plain.get((method, rest))) is not None:
            return entry, {}
        for wanted, pattern, convertors, entry in self._shaped:
            if wanted == method and (match := pattern.match(rest)) is not None:
                return entry, {k: str(convertors[k].convert(v)) for k, v in match.groupdict().items()}
        raise MlflowError("ENDPOINT_NOT_FOUND", f"Nacre does not serve {method} {scope['path']} of MLflow")

    async def _caller(self, entry: Entry, parameters: dict[str, str], scope: Scope) -> Caller:
        assert entry.operation is not None
        header = workspace = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                header = value
            elif name == b"x-mlflow-workspace":
                workspace = unquote(value.decode("latin-1")).strip() or None
        secret, named = secret_of(header), parameters.get("workspace")
        asked = (secret, workspace, named)
        now = time.monotonic()
        if self._asked.get(asked, 0.0) > now:  # tokens and projects remember: no wait for the database
            return authorise(self._services, entry.operation, secret, workspace, named)
        caller = await asyncio.to_thread(
            authorise, self._services, entry.operation, secret, workspace, named
        )
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[asked] = now + _ASKED_SECONDS
        return caller


async def _body(scope: Scope, receive: Receive) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if scope["query_string"]:
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        found = {name: values[0] if len(values) == 1 else values for name, values in query.items()}
    data = await _read(receive)
    if not data or data.isspace():
        return found
    try:
        sent = orjson.loads(data)
        if isinstance(sent, str):  # old clients encode twice
            sent = orjson.loads(sent)
    except orjson.JSONDecodeError as error:
        kind = Headers(scope=scope).get("content-type", "")
        if scope["method"] == "GET" and "json" not in kind:
            return found
        raise MlflowError("BAD_REQUEST", f"the body is not JSON: {error}") from None
    if not isinstance(sent, dict):
        raise invalid("the body is not a JSON object")
    return found | sent


async def _read(receive: Receive) -> bytes:
    message = await receive()
    data: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        return data
    parts, size = [data], len(data)
    while message.get("more_body", False):
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_JSON_BYTES:
            raise TooLarge(f"the request's body is over the limit of {MAX_JSON_BYTES} bytes")
    return b"".join(parts)


async def _send(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    sent = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})
