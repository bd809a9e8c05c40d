"""What the control loop asks of a JupyterLab: whether it is ready, and what runs in it."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import closing
from datetime import datetime
from typing import Any

from nacre.domain.instances import Kernel, Terminal
from nacre.errors import Unavailable
from nacre.services.upstreams import SocketFile, Upstream

_MAX_BYTES = 2**20
_SECONDS = 2.0


def ready(upstream: Upstream, base: str) -> bool:
    """Whether it answers. ``base``: its base URL's path, with slashes around."""
    try:
        _get(upstream, f"{base}api/status")
    except Unavailable:
        return False
    return True


def activity(upstream: Upstream, base: str) -> tuple[list[Kernel], list[Terminal]]:
    """What runs in it.

    Raises:
        Unavailable: it does not answer, or with something else.
    """
    kernels = _get(upstream, f"{base}api/kernels")
    terminals = _get(upstream, f"{base}api/terminals")
    try:
        return (
            [Kernel(str(item["execution_state"]), _time(item["last_activity"])) for item in kernels],
            [Terminal(_time(item["last_activity"])) for item in terminals],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unavailable("what answers is not JupyterLab") from error


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return found


def _get(upstream: Upstream, path: str) -> Any:
    """JSON of a bounded size in a bounded time: whatever answers belongs to the user."""
    deadline = time.monotonic() + _SECONDS
    headers = {"Authorization": f"token {upstream.token}", "Connection": "close"}
    with closing(socket.socket(socket.AF_UNIX)) as connected, SocketFile(upstream.socket) as file:
        connected.settimeout(_SECONDS)
        connection = http.client.HTTPConnection("localhost")
        connection.sock = connected
        try:
            connected.connect(file.path)
            connection.request("GET", path, headers=headers)
            with connection.getresponse() as response:
                if response.status != 200:
                    raise Unavailable(f"JupyterLab answered {response.status}")
                return json.loads(_read(response, deadline))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"JupyterLab does not answer ({error})") from error


def _read(response: http.client.HTTPResponse, deadline: float) -> bytes:
    body = b""
    while chunk := response.read1(65_536):
        body += chunk
        if len(body) > _MAX_BYTES or time.monotonic() > deadline:
            raise Unavailable("JupyterLab answered too much or too slowly")
    return body
