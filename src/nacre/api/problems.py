"""Errors as ``application/problem+json``: one shape, whatever failed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from nacre.api import session_cookie
from nacre.errors import InternalError, InvalidSpec, NacreError, NotFound, RequestError, from_problem

log = logging.getLogger("nacre.api")


class Problem(BaseModel):
    """RFC 9457 body of every error."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    extra: dict[str, Any]


class ProblemResponse(JSONResponse):
    """An answer with the body of a :class:`Problem`."""

    media_type = "application/problem+json"


_CONTENT = {ProblemResponse.media_type: {"schema": {"$ref": "#/components/schemas/Problem"}}}


def problem_response(error: NacreError) -> JSONResponse:
    """The answer that stands for the error."""
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else {}
    if "retry_after_s" in error.extra:
        headers["Retry-After"] = str(error.extra["retry_after_s"])
    return ProblemResponse(error.problem(), status_code=error.status, headers=headers)


def describe(errors: Sequence[Any]) -> InvalidSpec:
    """Pydantic's findings as one sentence, with the fields in ``extra``."""
    if errors[0]["type"] == "json_invalid":
        why = f"{errors[0]['ctx']['error']} at character {errors[0]['loc'][-1]}"
        return InvalidSpec(f"body: not JSON: {why}", fields=[{"field": "", "message": f"not JSON: {why}"}])
    fields = [
        {
            "field": ".".join(str(p) for p in e["loc"] if p != "body"),
            "message": str(e["msg"]).removeprefix("Value error, "),
        }
        for e in errors
    ]
    first = fields[0]
    more = f" (and {len(fields) - 1} more)" if len(fields) > 1 else ""
    return InvalidSpec(f"{first['field'] or 'body'}: {first['message']}{more}", fields=fields)


def install(app: FastAPI) -> None:
    """Make every error of this application a problem document."""

    @app.exception_handler(NacreError)
    async def _known(request: Request, error: NacreError) -> JSONResponse:
        if error.status >= 500:
            log.error("%s %s: %s", request.method, request.url.path, error.detail, exc_info=error)
        response = problem_response(error)
        if getattr(request.state, "session_ended", False):
            session_cookie.clear(request, response)
        return response

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(describe(error.errors()))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        if error.status_code == 404:
            return problem_response(NotFound(f"there is no route {request.method} {request.url.path}"))
        if isinstance(error.__cause__, NacreError):  # raised while FastAPI read the body
            return problem_response(error.__cause__)
        if isinstance(error.__cause__, ValueError | RecursionError):
            return problem_response(InvalidSpec("body: not JSON in UTF-8, or nested too deep", fields=[]))
        body = {"detail": str(error.detail)}
        found = from_problem(error.status_code, body)
        document = found.problem() | {"status": error.status_code}
        return ProblemResponse(document, error.status_code)

    @app.exception_handler(Exception)
    async def _defect(request: Request, error: Exception) -> JSONResponse:
        log.exception("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem_response(
            InternalError("this is a defect in Nacre; the server's log has the details")
        )


def documented(*kinds: type[NacreError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI ``responses`` for these errors.

    They refer to the schema of :class:`Problem` by its name: given as a ``model``, FastAPI would make a
    validator of it for each error of each operation at every start, over a thousand that nothing uses.
    """
    answers: dict[int | str, dict[str, Any]] = {}
    for kind in kinds or (RequestError,):
        text = (kind.__doc__ or kind.__name__).strip().splitlines()[0]
        entry = answers.setdefault(kind.status, {"content": _CONTENT, "description": text})
        if text not in entry["description"]:
            entry["description"] += f" / {text}"
    return answers
