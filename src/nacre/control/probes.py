"""What the control loop asks of an instance's app: whether it is ready, and when it was last at work.

Whatever answers belongs to the user: answers are bounded in size and time.
"""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import closing
from datetime import datetime
from typing import Any, Protocol

from nacre.errors import Unavailable
from nacre.services.upstreams import SocketFile, Upstream

_MAX_BYTES = 2**20
_SECONDS = 2.0


class Probe(Protocol):
    """The questions. ``base``: the base URL's path of the instance, with slashes around."""

    def ready(self, upstream: Upstream, base: str) -> bool:
        """Whether it answers."""
        ...

    def active_at(self, upstream: Upstream, base: str, now: datetime, noted: datetime) -> datetime:
        """When it was last at work, not before ``noted`` (activity known otherwise) nor after ``now``.

        Raises:
            Unavailable: it does not answer, or with something else.
        """
        ...


def ask(upstream: Upstream, path: str, title: str) -> Any:
    """The JSON at a path. ``title``: what the app is called in errors.

    Raises:
        Unavailable: no such answer came.
    """
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
                    raise Unavailable(f"{title} answered {response.status}")
                return json.loads(_read(response, deadline, title))
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unavailable(f"{title} does not answer ({error})") from error


def _read(response: http.client.HTTPResponse, deadline: float, title: str) -> bytes:
    body = b""
    while chunk := response.read1(65_536):
        body += chunk
        if len(body) > _MAX_BYTES or time.monotonic() > deadline:
            raise Unavailable(f"{title} answered too much or too slowly")
    return body


def instant(text: str) -> datetime:
    """A time with its zone.

    Raises:
        ValueError: it is not one.
    """
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without a zone")
    return found
