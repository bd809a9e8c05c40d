"""One HTTP exchange with the work, streamed both ways."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import httpx
from starlette.types import Receive, Scope, Send

from nacre.errors import Unavailable
from nacre.proxy.headers import first, from_upstream, to_upstream
from nacre.proxy.upstreams import Link

T = TypeVar("T")

_log = logging.getLogger("nacre.proxy")

_TIMEOUT = {"connect": 5.0, "read": None, "write": None, "pool": None}


class _Gone(Exception):
    """The client went away."""


async def forward(scope: Scope, receive: Receive, send: Send, link: Link, token: str) -> None:
    """Pass the request on and the answer back. Path and query go through byte by byte.

    Raises:
        Unavailable: the work does not listen or broke off before it answered; nothing was sent.
    """
    body = _Body(receive)
    response = await _until_gone(_ask(scope, link, token, body), body)
    if response is None:
        return
    try:
        await send(
            {
                "type": "http.response.start",
                "status": response.status_code,
                "headers": from_upstream(response.headers.raw),
            }
        )
        await _until_gone(_relay(response, send), body)
    finally:
        await response.aclose()


class _Body:
    """The request's body as it comes, and then the client's leaving."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._done = asyncio.Event()

    async def stream(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            more = message.get("more_body", False)
            if chunk := message.get("body", b""):
                yield chunk
        self._done.set()

    def skip(self) -> None:
        self._done.set()

    async def gone(self) -> None:
        """Returns when the client has left; watches only once the body was read."""
        await self._done.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _until_gone(work: Coroutine[Any, Any, T], body: _Body) -> T | None:
    """The result of ``work``; null, with the work cancelled, when the client leaves first."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(body.gone())
    try:
        await asyncio.wait({task, watch}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            return None
        return task.result()
    except _Gone:
        return None
    finally:
        for one in (task, watch):
            one.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def _ask(scope: Scope, link: Link, token: str, body: _Body) -> httpx.Response:
    headers = list(scope["headers"])
    has_body = first(headers, b"content-length") not in (None, "0") or first(headers, b"transfer-encoding")
    if not has_body:
        body.skip()
    query = scope["query_string"]
    request = httpx.Request(
        scope["method"],
        "http://instance/",
        headers=to_upstream(headers, token),
        content=body.stream() if has_body else b"",
        extensions={
            "target": scope["raw_path"] + (b"?" + query if query else b""),
            "timeout": _TIMEOUT,
        },
    )
    try:
        return await link.transport.handle_async_request(request)
    except httpx.TransportError as error:
        raise Unavailable(
            "the program of this instance does not answer: look at its log with 'nacre instance logs', "
            "or stop it and start it again"
        ) from error


async def _relay(response: httpx.Response, send: Send) -> None:
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        async for chunk in response.stream:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except httpx.TransportError as error:
        # Without its last message the server breaks the connection off: the client sees that it is cut.
        _log.info("an instance broke off its answer: %r", error)
        return
    await send({"type": "http.response.body", "body": b"", "more_body": False})
