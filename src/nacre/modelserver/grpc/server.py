"""The gRPC server of a worker, on the worker's own event loop.

A call is refused by its token before its message is read. Messages are bytes here; the services take
them apart.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from functools import partial
from typing import Any

# gRPC's core writes lines of its own to stderr, about every client that goes away.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc
import grpc.aio

from nacre.modelserver.asking import Asking
from nacre.modelserver.backend import Refused
from nacre.modelserver.calls import BadRequest
from nacre.modelserver.grpc import inference, prediction
from nacre.modelserver.grpc.caller import Caller
from nacre.modelserver.grpc.methods import Method, Stream, Unary
from nacre.modelserver.grpc.reads import Reads
from nacre.modelserver.limits import MIB, Limits

log = logging.getLogger(__name__)
# What our methods raise never gets there; what does is a traceback for each client that goes away.
logging.getLogger("grpc._cython.cygrpc").setLevel(logging.CRITICAL)

_MOST_CALLS = 1024
"""Calls in a worker until they are answered, also those whose message has not come yet."""
_MOST_UNSENT = 4096
"""Answers that clients have not taken yet."""
_MOST_STREAMS = 512
"""Calls of many messages; they mostly wait."""
_OF_CONNECTION = 256
_PING = 10.0
"""A client may ask after its connection as often, in seconds."""
_SLOWEST = MIB
"""Bytes a second at which the largest message has to come."""

_CODES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    403: grpc.StatusCode.PERMISSION_DENIED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.RESOURCE_EXHAUSTED,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}


def _options(limits: Limits) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", limits.max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", limits.max_headers),
        ("grpc.absolute_max_metadata_size", limits.max_headers),
        ("grpc.max_concurrent_streams", _OF_CONNECTION),
        ("grpc.max_connection_idle_ms", _ms(limits.idle_time)),
        ("grpc.server_handshake_timeout_ms", _ms(limits.head_time)),
        ("grpc.keepalive_time_ms", _ms(limits.idle_time)),
        ("grpc.keepalive_timeout_ms", _ms(limits.write_time)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _ms(_PING)),
        # Identity only: what a few bytes unpack to would be in memory before anybody asks how much that is.
        ("grpc.compression_enabled_algorithms_bitset", 1),
    ]


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


class Server:
    """Serves the methods of both services for one worker. Made on the loop that it runs on."""

    def __init__(self, asking: Asking, limits: Limits) -> None:
        self._asking = asking
        self._limits = limits
        self._calls = self._streams = 0
        self._unsent = self._unsent_bytes = 0
        """Answers that clients have not taken yet."""
        self._uploads, self._rests = Reads(), Reads()
        """Calls that wait for their only message, and streams that wait for the next."""
        self._upload_time = limits.body_time + limits.max_body / _SLOWEST
        self._server = grpc.aio.server(options=_options(limits))
        # Not as registered methods, of which grpc.aio asks each one for the next call, with every call.
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(
                    name, {method: self._handler(how) for method, how in methods.items()}
                )
                for name, methods in {**inference.SERVICES, **prediction.SERVICES}.items()
            ]
        )

    def _handler(self, method: Method) -> grpc.RpcMethodHandler:
        # A message is read by us, not before we are called: also where only one is expected.
        if method.stream is not None:
            return grpc.stream_stream_rpc_method_handler(self._stream(method.stream))
        assert method.unary is not None
        return grpc.stream_unary_rpc_method_handler(self._unary(method.unary, method.open))

    async def start(self, address: str) -> None:
        """Listen there. Raises ``RuntimeError`` where that cannot be."""
        self._server.add_insecure_port(address)
        await self._server.start()

    async def stop(self, grace: float) -> None:
        """Take no more calls; return when those under way have ended, or were cut off after ``grace`` s."""
        self._rests.close(Refused(503, "the server stops: try again in a moment"))
        await self._server.stop(grace)

    @property
    def pressed(self) -> bool:
        """Whether so many clients do not take their answers that there will be no room for other calls."""
        return self._unsent > _MOST_UNSENT // 2

    # ---- calls

    def _unary(self, do: Unary, open_to_all: bool) -> Callable[[Any, Any], Coroutine[Any, Any, bytes]]:
        async def handle(_: Any, context: Any) -> bytes:
            if not self._has_room():
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, _many("calls", self._calls))
            self._calls += 1
            try:
                caller = self._caller(context)
                if not open_to_all:
                    caller.authenticate()
                answer = await do(caller, await self._read(context))
                self._count(len(answer), context)
                return answer
            except Exception as wrong:
                return await _abort(context, wrong)
            finally:
                self._calls -= 1

        return handle

    def _has_room(self) -> bool:
        """For one more call, perhaps in place of the one that has waited longest for its message."""
        if self._unsent >= _MOST_UNSENT:
            return False
        return self._calls < _MOST_CALLS or self._uploads.end_oldest(
            Refused(429, "too many calls wait for their message: send it with the call")
        )

    def _stream(self, do: Stream) -> Callable[[Any, Any], Coroutine[Any, Any, None]]:
        async def handle(_: Any, context: Any) -> None:
            if self._streams >= _MOST_STREAMS:
                await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, _many("streams", self._streams))
            self._streams += 1
            try:
                caller = self._caller(context)
                caller.authenticate()
                async with aclosing(do(caller, self._messages(context))) as answers:
                    async for answer in answers:
                        async with asyncio.timeout(self._limits.write_time):
                            await context.write(answer)
            except TimeoutError:
                await _abort(context, Refused(408, "the answers are not read"))
            except Exception as wrong:
                await _abort(context, wrong)
            finally:
                self._streams -= 1

        return handle

    def _caller(self, context: Any) -> Caller:
        for key, value in context.invocation_metadata():
            if key == "authorization":
                return Caller(self._asking, _encoded(value), context.time_remaining())
        return Caller(self._asking, None, context.time_remaining())

    async def _read(self, context: Any) -> bytes:
        """The call's only message."""
        message = await self._uploads.read(context, self._upload_time, "the request came too slowly")
        if message is grpc.aio.EOF:
            raise BadRequest("the call ended without a message")
        return bytes(message)

    async def _messages(self, context: Any) -> AsyncIterator[bytes]:
        """Those of a stream, until it ends or rests for too long."""
        idle = self._limits.idle_time
        late = f"the stream was idle for {idle:.0f} s"
        while (message := await self._rests.read(context, idle, late)) is not grpc.aio.EOF:
            yield message

    def _count(self, size: int, context: Any) -> None:
        """Count an answer until it is sent. Raises :class:`Refused` when too many bytes are not."""
        if self._unsent_bytes + size > self._limits.max_bodies:
            raise Refused(503, "the server holds too many large answers that are not read")
        self._unsent += 1
        self._unsent_bytes += size
        context.add_done_callback(partial(self._sent, size))

    def _sent(self, size: int, _: Any) -> None:
        self._unsent -= 1
        self._unsent_bytes -= size


def _many(what: str, count: int) -> str:
    return f"{count} {what} are under way already: try again later"


def _encoded(value: str | bytes) -> bytes:
    return value.encode("latin-1", "replace") if isinstance(value, str) else value


async def _abort(context: Any, wrong: Exception) -> bytes:
    """End a call with the status and sentence of what went wrong; never returns."""
    if isinstance(wrong, grpc.aio.AbortError | grpc.aio.UsageError | grpc.aio.InternalError):
        raise wrong
    if isinstance(wrong, BadRequest):
        wrong = Refused(400, str(wrong))
    if not isinstance(wrong, Refused):
        log.error("a gRPC call failed", exc_info=wrong)
        wrong = Refused(500, "the server failed at this request; its log tells why")
    await context.abort(_CODES.get(wrong.status, grpc.StatusCode.INTERNAL), wrong.text)
    raise AssertionError("abort has not raised")
