"""A world without sockets for the tests of gRPC: a loop whose clock the test moves, transports that keep
what is written, and methods that a test answers itself."""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast
from unittest import mock

from grpc_client import TOKEN, Client, pattern

from nacre.modelserver.backend import Refused
from nacre.modelserver.grpc import http2
from nacre.modelserver.grpc import server as server_module
from nacre.modelserver.grpc.methods import Answer, Method
from nacre.modelserver.grpc.server import Server
from nacre.modelserver.http import PREFACE
from nacre.modelserver.limits import Limits
from nacre.modelserver.listener import Listener


class Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop's clock and turns, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.turns = 0
        self._ready: deque[tuple[Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, Timer, Callable[..., object], tuple[Any, ...]]] = []
        self._serial = itertools.count()

    def time(self) -> float:
        return self.now

    def call_soon(self, call: Callable[..., object], *given: Any) -> None:
        self._ready.append((call, given))

    def call_later(self, delay: float, call: Callable[..., object], *given: Any) -> Timer:
        timer = Timer()
        heapq.heappush(self._timers, (self.now + delay, next(self._serial), timer, call, given))
        return timer

    def turn(self) -> bool:
        """Run what is ready now; false when nothing was."""
        ready, self._ready = self._ready, deque()
        for call, given in ready:
            call(*given)
        self.turns += bool(ready)
        return bool(ready)

    def settle(self) -> None:
        """Run until nothing is ready."""
        while self.turn():
            pass

    def advance(self, seconds: float) -> None:
        """Let time pass, and run what falls due."""
        end = self.now + seconds
        self.settle()
        while self._timers and self._timers[0][0] <= end:
            due, _, timer, call, given = heapq.heappop(self._timers)
            self.now = max(self.now, due)
            if not timer.cancelled:
                call(*given)
            self.settle()
        self.now = end


class Transport(asyncio.Transport):
    """Keeps what is written until the client takes it; pauses its protocol beyond ``high`` bytes."""

    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self.high: int | None = None
        self.reading = True
        self.closing = self.aborted = self.lost = False
        self.paused = False
        self.buffer = bytearray()
        self.writes = 0
        self.protocol: asyncio.Protocol | None = None
        self._loop = loop

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = cast(asyncio.Protocol, protocol)

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.closing, "a write after the end is lost"
        self.writes += 1
        self.buffer += data
        if self.high is not None and len(self.buffer) > self.high and not self.paused:
            self.pause()

    def writelines(self, parts: Any) -> None:
        self.write(b"".join(parts))

    def pause(self) -> None:
        """The socket takes no more."""
        assert self.protocol is not None
        self.paused = True
        self.protocol.pause_writing()

    def take(self, size: int | None = None) -> bytes:
        """The client's side reads."""
        found = bytes(self.buffer[:size])
        del self.buffer[: len(found)]
        if self.paused and not self.buffer and not self.lost:
            self.resume()
        if self.closing and not self.buffer:
            self._end()
        return found

    def resume(self) -> None:
        assert self.protocol is not None
        self.paused = False
        self.protocol.resume_writing()

    def pause_reading(self) -> None:
        assert not self.closing
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading = True

    def close(self) -> None:
        self.closing = True
        if not self.paused:
            self._end()

    def abort(self) -> None:
        self.closing = self.aborted = True
        self._end()

    def _end(self) -> None:
        if not self.lost and self.protocol is not None:
            self.lost = True
            self._loop.call_soon(self.protocol.connection_lost, None)


class Asking:
    """Knows one token."""

    def known(self, authorization: bytes | None) -> None:
        if authorization != TOKEN:
            raise Refused(401, "the token is not known")


@dataclass
class Asked:
    """A call that waits for the test's answer."""

    message: bytes
    answer: Answer
    cancels: int = 0

    def cancel(self) -> None:
        self.cancels += 1


class World(AbstractContextManager["World"]):
    """One worker's listener and server; at its end everything has to be accounted for."""

    def __init__(self, **limits: Any) -> None:
        self.loop = Loop()
        self.asked: list[Asked] = []
        self.told: list[bytes] = []
        self.clients: list[Client] = []
        methods = {
            b"/t/Tell": Method(tell=self._tell),
            b"/t/Ask": Method(ask=self._ask),
            b"/t/Later": Method(ask=self._later),
            b"/t/TellMany": Method(tell=self._tell, many=True),
            b"/t/AskMany": Method(ask=self._ask, many=True),
            b"/t/LaterMany": Method(ask=self._later, many=True),
            b"/t/Open": Method(tell=self._tell, open=True),
        }
        self._methods = mock.patch.object(server_module, "METHODS", methods)
        with mock.patch.object(asyncio, "get_running_loop", return_value=self.loop):
            self.listener = Listener(cast(Any, None), Limits(**limits))
            self.server = Server(cast(Any, Asking()), self.listener)
        self.listener._tick()

    def __enter__(self) -> Self:
        self._methods.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._methods.stop()
        if error is None:
            self.end()

    def end(self) -> None:
        """Every client goes away, after which nothing is left."""
        for client in self.clients:
            client.transport.abort()
        self.loop.advance(30.0)
        assert self.counts() == (0, 0, 0, 0, 0, 0)
        assert self.listener.connections == 0
        assert all(one.cancels <= 1 for one in self.asked)

    def counts(self) -> tuple[int, int, int, int, int, int]:
        """Calls, streams, calls that wait for a message, answers not taken and their bytes, bytes held."""
        server = self.server
        own = (server._calls, server._streams, len(server._uploads), len(server._unsent))
        return *own, server._unsent_bytes, self.listener.held

    def client(self, **given: int) -> Client:
        """One that has begun, with these settings."""
        made = self.begin(PREFACE + http2.settings(**given))
        made.read()
        return made

    def begin(self, first: bytes) -> Client:
        """One that has sent no more than this."""
        transport = Transport(self.loop)
        self.clients.append(Client(self, transport, first))
        return self.clients[-1]

    def tick(self) -> None:
        """A sweep."""
        self.loop.advance(0.25)

    def _tell(self, _: object, message: bytes) -> bytes:
        self.told.append(message)
        if message.startswith(b"refuse "):
            raise Refused(404, message.decode())
        if message == b"break":
            raise ArithmeticError("a bug")
        if message.startswith(b"size "):
            return pattern(int(message[5:]))
        return message

    def _ask(self, _: object, message: bytes, answer: Answer) -> Asked:
        self.asked.append(Asked(message, answer))
        return self.asked[-1]

    def _later(self, _: object, message: bytes, answer: Answer) -> Timer:
        """The message, after as many milliseconds as its first byte says."""
        return self.loop.call_later(message[0] / 1000, answer, message)
