"""gRPC for one worker, on the worker's own event loop: methods, and how much is under way at once."""

from __future__ import annotations

import asyncio

from nacre.modelserver.asking import Asking
from nacre.modelserver.backend import Refused
from nacre.modelserver.grpc import health, inference, prediction
from nacre.modelserver.grpc.connection import Connection
from nacre.modelserver.grpc.methods import Method
from nacre.modelserver.grpc.rpc import Rpc
from nacre.modelserver.limits import MIB
from nacre.modelserver.listener import Listener

MOST_CALLS = 1024
"""Calls in a worker until they are answered, also those whose message has not come yet."""
MOST_STREAMS = 512
"""Calls of many messages; they mostly wait."""
MOST_UNSENT = 4096
"""Answers that clients have not taken yet."""
_SLOWEST = MIB
"""Bytes a second at which the largest message has to come."""

METHODS = {
    f"/{service}/{name}".encode(): method
    for service, methods in {**health.SERVICES, **inference.SERVICES, **prediction.SERVICES}.items()
    for name, method in methods.items()
}


class Server:
    """Serves clients of the worker's listener that begin in HTTP/2. A call is refused by its token before
    its message is read."""

    def __init__(self, asking: Asking, listener: Listener) -> None:
        self.asking = asking
        self.listener = listener
        self.limits = listener.limits
        self.loop = asyncio.get_running_loop()
        self.upload_time = self.limits.body_time + self.limits.max_body / _SLOWEST
        """Seconds from a call's headers to the end of its only message."""
        self._calls = self._streams = 0
        self._uploads: dict[Rpc, None] = {}
        """Calls that wait for their only message, the oldest first."""
        self._unsent: dict[Rpc, int] = {}
        """Bytes of answers that clients have not taken yet; those that moved last come last."""
        self._unsent_bytes = 0

    def take(self, transport: asyncio.Transport, data: bytes) -> None:
        """Serve a client from now on; ``data`` is what it has sent."""
        connection = Connection(self, transport, data)
        if self.listener.draining:
            connection.drain()

    def method(self, path: bytes) -> Method | None:
        """The method of a path."""
        return METHODS.get(path)

    # ---- calls

    def enter(self, rpc: Rpc, method: Method) -> None:
        """A call begins, perhaps in place of the one that has waited longest for its message.

        Raises :class:`Refused` when there is no room.
        """
        if method.many:
            if self._streams >= MOST_STREAMS:
                raise _full("streams", self._streams)
            self._streams += 1
            return
        # Not for who has shown no token.
        if self._calls >= MOST_CALLS and self._uploads and not method.open:
            oldest = next(iter(self._uploads))
            oldest.fail(Refused(429, "too many calls wait for their message: send it with the call"))
        if self._calls >= MOST_CALLS:
            raise _full("calls", self._calls)
        self._calls += 1
        self._uploads[rpc] = None

    def arrived(self, rpc: Rpc) -> None:
        """The call's message is there."""
        self._uploads.pop(rpc, None)

    def leave(self, rpc: Rpc, method: Method) -> None:
        """The call is answered, or over."""
        if method.many:
            self._streams -= 1
        else:
            self._calls -= 1
            self._uploads.pop(rpc, None)

    # ---- memory

    def check_held(self) -> None:
        """Raise :class:`Refused` when too much that was sent is in memory, together with HTTP/1."""
        if self.listener.held > self.limits.max_bodies:
            raise Refused(503, "the server holds too many large requests: try again later")

    def keep(self, rpc: Rpc, size: int) -> None:
        """Hold an answer until it is sent, perhaps in place of those that have stood still for longest.

        Raises :class:`Refused` when it is too large.
        """
        if size > self.limits.max_bodies:
            raise Refused(503, f"the answer of {size} bytes is more than the server can hold")
        while self._unsent and (
            len(self._unsent) >= MOST_UNSENT or self._unsent_bytes + size > self.limits.max_bodies
        ):
            next(iter(self._unsent)).stall()
        self._unsent[rpc] = size
        self._unsent_bytes += size

    def moved(self, rpc: Rpc) -> None:
        """The client took a part of an answer."""
        size = self._unsent.pop(rpc, None)
        if size is not None:
            self._unsent[rpc] = size

    def let_go(self, rpc: Rpc) -> None:
        """An answer is sent, or nobody wants it."""
        self._unsent_bytes -= self._unsent.pop(rpc, 0)


def _full(what: str, count: int) -> Refused:
    return Refused(429, f"{count} {what} are under way already: try again later")
