"""Heads of requests that were seen before: their bytes mean the same again, so they are not parsed again.

Clients that keep a connection send the same head with each request, but for the length of the body.
"""

from __future__ import annotations

from nacre.modelserver.messages import Request

_MOST = 2048
_LONGEST = 2048
_END = b"\r\n\r\n"


class Heads:
    """What heads meant. Only whole requests, head and body in one read, are recognised."""

    def __init__(self) -> None:
        self._known: dict[bytes, Request] = {}

    def find(self, data: bytes) -> Request | None:
        """The request that ``data`` is; null where that is not known, or it is more or less than one."""
        end = data.find(_END, 0, _LONGEST)
        known = self._known.get(data[:end])
        if known is None or len(data) != end + 4 + known.size:
            return None
        return known.again(data[end + 4 :])

    def learn(self, data: bytes, request: Request) -> None:
        """Remember the head of a request that the parser found in ``data``, which began with it."""
        headers = request.headers
        if not request.keep_alive or b"transfer-encoding" in headers or b"expect" in headers:
            return
        end = data.find(_END, 0, _LONGEST)
        # With anything before, between or behind, the lengths do not add up.
        if end <= 0 or len(data) != end + 4 + request.size:
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[data[:end]] = request.again(b"")
