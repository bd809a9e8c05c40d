"""Routes by operation: path, method, summary, errors and authorisation all come from the registry."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from starlette.requests import HTTPConnection

from nacre.api import session_cookie
from nacre.api.problems import documented
from nacre.domain.identity import Caller, check
from nacre.errors import (
    Conflict,
    InternalError,
    InvalidSpec,
    NacreError,
    NotFound,
    PermissionDenied,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from nacre.schema.access import Access
from nacre.schema.operations import OPERATIONS
from nacre.services.registry import Services

_PROJECT = {"name": "project", "in": "path", "required": True, "schema": {"type": "string"}}
F = TypeVar("F", bound=Callable[..., Any])

_COMMON = (InvalidSpec, NotFound, TooLarge, Unavailable, InternalError)


def services(request: Request) -> Services:
    """The wired services of this server."""
    found: Services = request.app.state.services
    return found


Wired = Annotated[Services, Depends(services)]


def bearer(request: HTTPConnection) -> str | None:
    """The token of the request, if it carries one."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def authorise(request: Request, wired: Wired) -> Caller | None:
    """Who calls, checked against the operation of this route; null only for public operations.

    A token counts before the session's cookie.
    """
    operation = OPERATIONS[request.scope["route"].operation_id]
    secret = bearer(request)
    if operation.access is Access.PUBLIC:
        return None
    if secret:
        caller = wired.tokens.resolve(secret)
    else:
        try:
            caller = session_cookie.caller(request, wired.tokens)
        except Unauthenticated:
            request.state.session_ended = True
            raise
    if caller is not None and "project" in request.path_params:
        caller = wired.projects.enter(caller, request.path_params["project"])
    check(operation, caller, request.path_params.get("attempt"))
    return caller


def _signed_in(caller: Annotated[Caller | None, Depends(authorise)]) -> Caller:
    assert caller is not None
    return caller


Near = Annotated[bool, Depends(session_cookie.near)]
"""Whether who asks is at this machine."""

Allowed = Annotated[Caller, Depends(_signed_in)]
"""The caller of an operation that is not public, with ``project`` set where the path has one."""


Cursor = Annotated[str | None, Query(max_length=128, description="`next` of the page before")]
Limit = Annotated[int, Query(ge=1, le=1000, description="items on a page")]


class Routes(APIRouter):
    """A router that registers operations.

    Example::

        routes = Routes()

        @routes.operation("projects.list")
        def list_projects(caller: Allowed, services: Wired) -> Page[Project]:
            return services.projects.list(caller)
    """

    def operation(
        self, name: str, *, status: int = 200, also: tuple[type[NacreError], ...] = (), **options: Any
    ) -> Callable[[F], F]:
        """Serve an operation of the registry with the decorated function.

        ``also`` are errors to document besides the usual ones. ``options`` go to FastAPI
        (``response_class``, …). Authorisation is always on.
        """
        op = OPERATIONS[name]
        errors: tuple[type[Any], ...] = _COMMON
        if op.access is not Access.PUBLIC:
            errors += (Unauthenticated, PermissionDenied)
        if op.method != "GET":
            errors += (Conflict,)

        def register(function: F) -> F:
            if "{project}" in op.path and "project" not in inspect.signature(function).parameters:
                # Authorisation takes it from the path; clients that are made from the document need it.
                extra = options.get("openapi_extra", {})
                options["openapi_extra"] = {**extra, "parameters": [*extra.get("parameters", []), _PROJECT]}
            self.add_api_route(
                op.path,
                function,
                methods=[op.method],
                operation_id=op.name,
                summary=op.summary,
                tags=[op.noun],
                status_code=status,
                responses=documented(*errors, *also),
                dependencies=[Depends(authorise)],
                **options,
            )
            return function

        return register
