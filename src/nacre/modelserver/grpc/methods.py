"""What a service gives to the server for each of its methods."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from nacre.modelserver.grpc.caller import Caller

Unary = Callable[[Caller, bytes], Coroutine[Any, Any, bytes]]
Stream = Callable[[Caller, AsyncIterator[bytes]], AsyncGenerator[bytes]]


@dataclass(frozen=True)
class Method:
    """One of ``unary`` (a message, an answer) and ``stream`` (many of both) is given; they raise
    ``Refused`` and ``BadRequest``. ``open``: it needs no token."""

    unary: Unary | None = None
    stream: Stream | None = None
    open: bool = False
