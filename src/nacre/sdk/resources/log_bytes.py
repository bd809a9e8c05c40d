"""Logs as they come, also while the server restarts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx

from nacre.errors import Unavailable
from nacre.sdk.transport import Transport

_GIVE_UP_S = 120.0


def log_bytes(
    transport: Transport,
    operation: str,
    query: Mapping[str, Any],
    over: Callable[[], bool],
    began: Callable[[httpx.Response], Mapping[str, Any]] = lambda _: {},
    **params: Any,
) -> Iterator[bytes]:
    """A log's bytes from ``query``'s ``offset``, or its last lines (``tail``); on and on with ``follow``.

    ``over``: whether no more will come, asked when a log that is followed stops. ``began`` sees the head of
    each answer, and says what of the query the next one takes instead.

    Raises:
        Unavailable: the server did not come back.
    """
    asked = dict(query)
    failing_since: float | None = None
    while True:
        try:
            with transport.stream(operation, query=asked, **params) as answer:
                offset = int(answer.headers.get("nacre-offset", asked.get("offset") or 0))
                asked |= {"tail": None, "offset": offset, **began(answer)}
                failing_since = None
                for chunk in answer.iter_bytes():
                    asked["offset"] += len(chunk)
                    yield chunk
            if not asked.get("follow"):
                return
            if over():
                asked["follow"] = None  # and once more, for what came at the end
        except (httpx.TransportError, Unavailable) as error:
            failing_since = failing_since or time.monotonic()
            if not asked.get("follow") or time.monotonic() - failing_since > _GIVE_UP_S:
                raise Unavailable(f"the log cannot be read on: {error}") from error
            time.sleep(0.3)
