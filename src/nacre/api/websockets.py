"""What every WebSocket of the API does: sign-in, the answer to plain HTTP, messages, tasks side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import orjson
from fastapi import WebSocket
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse

from nacre.api import session_cookie
from nacre.api.problems import Problem, ProblemResponse, describe, problem_response
from nacre.api.routes import bearer
from nacre.errors import InvalidSpec, RequestError
from nacre.services.tokens import Tokens

T = TypeVar("T")

POLICY = 1008
"""The close code for who may not."""

UPGRADE: dict[str, Any] = {"status": 426, "response_model": Problem, "response_class": ProblemResponse}
"""How an operation is registered whose only answer to plain HTTP is :func:`upgrade_required`."""


def upgrade_required(method: str) -> JSONResponse:
    """The answer to plain HTTP; ``method`` of the SDK opens the WebSocket."""
    error = RequestError(f"this is a WebSocket: connect with ws:// or wss://, or with {method} in Python")
    answer = problem_response(error)
    answer.status_code = 426
    answer.headers["Upgrade"] = "websocket"
    return answer


def find_secret(socket: WebSocket, tokens: Tokens) -> str | None:
    """The secret in the handshake, a token before the session's cookie; null without one. Blocking.

    Raises:
        PermissionDenied: a cookie, but the page that connects is not the console's.
        Unauthenticated: the session has ended, or there are sessions of two people.
    """
    if secret := bearer(socket):
        return secret
    if found := session_cookie.secrets(socket):
        session_cookie.check_page(socket)
        return session_cookie.chosen(found, tokens)[0]
    return None


def parse(kind: TypeAdapter[T], raw: str | bytes) -> T:
    """A message of the client.

    Raises:
        InvalidSpec: it makes no sense.
    """
    try:
        return kind.validate_python(orjson.loads(raw))
    except orjson.JSONDecodeError as error:
        raise InvalidSpec(f"the message is not JSON: {error}") from None
    except ValidationError as error:
        raise describe(error.errors()) from None


async def until_first_ends(*works: Coroutine[Any, Any, None]) -> None:
    """Run side by side until the first ends, raise what it raised, and cancel the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
