"""What a service gives to the server for each of its methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nacre.modelserver.grpc.caller import Caller


class Cancel(Protocol):
    """What waits for an answer."""

    def cancel(self) -> None:
        """Nobody waits for it any more."""


Answer = Callable[[bytes | Exception], None]
"""Takes the answer's message, or why there is none: once, on the event loop."""
Tell = Callable[[Caller, bytes], bytes]
Ask = Callable[[Caller, bytes, Answer], Cancel | None]


@dataclass(frozen=True)
class Method:
    """One of ``tell`` (answers at once) and ``ask`` (answers by its third argument) is given; they raise
    ``Refused`` and ``BadRequest``. ``many``: a call has many messages, each with its answer, in their
    order. ``open``: it needs no token."""

    tell: Tell | None = None
    ask: Ask | None = None
    many: bool = False
    open: bool = False
