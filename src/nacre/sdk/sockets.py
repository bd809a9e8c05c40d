"""Dialing a WebSocket of the server, over TCP or its unix socket."""

from __future__ import annotations

from typing import Any

from websockets.sync.client import ClientConnection, connect, unix_connect

from nacre.sdk.transport import Transport

_OPEN_S = 10.0
_NEAR = ("unix:", "http://127.", "http://localhost")


def dial(transport: Transport, path: str, *, max_size: int, **options: Any) -> ClientConnection:
    """Connect as the transport's user; a context manager too.

    Args:
        path: of the server, with its query.
        max_size: bytes of one message.
        options: more of ``websockets``.

    Raises:
        OSError: nobody listens there.
        InvalidHandshake, TimeoutError, EOFError: somebody does, who did not open a WebSocket; of an HTTP
            status, :class:`websockets.exceptions.InvalidStatus`.
    """
    url, token = transport.url, transport.token
    options = {
        "additional_headers": {"Authorization": f"Bearer {token}"} if token else {},
        "open_timeout": _OPEN_S,
        "close_timeout": 1,
        "max_size": max_size,
        "compression": None if url.startswith(_NEAR) else "deflate",
        **options,
    }
    opened: ClientConnection
    if url.startswith("unix:"):
        opened = unix_connect(url.removeprefix("unix:"), uri=f"ws://nacre{path}", **options)
    else:
        opened = connect("ws" + url.removeprefix("http") + path, proxy=None, **options)
    return opened
