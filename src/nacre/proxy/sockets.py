"""One WebSocket, joined to the work's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.typing import Origin, Subprotocol

from nacre.errors import Unavailable
from nacre.proxy.headers import first, host, to_upstream
from nacre.proxy.upstreams import Link

MAX_MESSAGE = 64 * 2**20
"""Of a WebSocket message in bytes; give uvicorn the same as ``ws_max_size``."""

POLICY = 1008
TRY_LATER = 1013


class Refused(Exception):
    """The work answered the handshake with an HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


async def connect(scope: Scope, link: Link, token: str) -> ClientConnection:
    """Open the work's side, before the browser's side is accepted.

    Raises:
        Unavailable: nothing answers.
        Refused: it answered, but not with a WebSocket.
    """
    headers = list(scope["headers"])
    query = scope["query_string"]
    target = (scope["raw_path"] + (b"?" + query if query else b"")).decode("latin-1")
    where = host(headers)
    # The origin was checked by us; Jupyter compares it with the Host, which a TLS proxy may have changed.
    origin = None if first(headers, b"origin") is None else Origin(f"http://{where}")
    passed = [
        (k.decode("latin-1"), v.decode("latin-1")) for k, v in to_upstream(headers, token, websocket=True)
    ]
    try:
        return await unix_connect(
            link.file.path,
            f"ws://{where}{target}",
            additional_headers=passed,
            subprotocols=[Subprotocol(name) for name in scope.get("subprotocols", ())] or None,
            origin=origin,
            user_agent_header=first(headers, b"user-agent"),
            compression=None,
            max_size=MAX_MESSAGE,
            ping_interval=None,
            open_timeout=10,
        )
    except InvalidStatus as error:
        raise Refused(error.response.status_code) from error
    except (OSError, InvalidHandshake, TimeoutError, EOFError) as error:
        raise Unavailable("the program of this instance does not answer: try again") from error


async def join(
    upstream: ClientConnection,
    receive: Receive,
    send: Send,
    *,
    allowed: Callable[[], Awaitable[None]],
    active: Callable[[], None],
) -> None:
    """Accept the browser's side and carry messages until either side closes.

    Args:
        allowed: returns when the caller may no longer be here.
        active: called for each message from the browser.
    """
    await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})
    inward = asyncio.ensure_future(_inward(upstream, receive, active))
    outward = asyncio.ensure_future(_outward(upstream, send))
    revoked = asyncio.ensure_future(allowed())
    tasks = {inward, outward, revoked}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if inward in done:
            code, reason = inward.result()
            await upstream.close(code, reason)
        elif outward in done:
            outward.result()
            code, reason = upstream.close_code or 1006, upstream.close_reason or ""
            await send({"type": "websocket.close", "code": _code(code), "reason": reason})
        else:
            text = "you may no longer use this instance"
            await send({"type": "websocket.close", "code": POLICY, "reason": text})
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await upstream.close()


async def _inward(
    upstream: ClientConnection, receive: Receive, active: Callable[[], None]
) -> tuple[int, str]:
    """From the browser to the work; the code and reason with which the browser left."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            return _code(message.get("code") or 1005), message.get("reason") or ""
        data = message.get("text")
        active()
        try:
            await upstream.send(data if data is not None else message["bytes"])
        except ConnectionClosed:
            await asyncio.Event().wait()  # the other direction reports how it was closed


async def _outward(upstream: ClientConnection, send: Send) -> None:
    try:
        async for data in upstream:
            kind = "text" if isinstance(data, str) else "bytes"
            await send({"type": "websocket.send", kind: data})
    except ConnectionClosed:
        return


def _code(code: int) -> int:
    """A code that may be sent: those that stand for "none" and "broken" may not."""
    if code == 1005:
        return 1000
    return code if (code in range(1000, 1015) and code not in (1004, 1006)) or 3000 <= code < 5000 else 1011
