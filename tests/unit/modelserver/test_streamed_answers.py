"""Answers in parts: framing, pipelining, slow clients, clients that go, streams that are ended."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import modelserver_kit as kit
import uvloop

from nacre.modelserver.limits import Limits
from nacre.modelserver.listener import Listener
from nacre.modelserver.messages import Request, Response, Stream

GET = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"


class Parts:
    """Streams what the scene puts into ``queue``: None ends the stream, an exception breaks it."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | Exception | None] = asyncio.Queue()
        self.cancelled = asyncio.Event()
        self.refusal: str | None = None
        self.sent = 0

    def refuse(self, request: Request) -> Response | None:
        return None

    def handle(self, request: Request) -> Response | asyncio.Future[Response]:
        if request.target == b"/plain":
            return Response(200, b"plain", "text/plain")
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        parts = self._endless() if request.target == b"/endless" else self._parts()
        stream = Stream(parts, self.cancelled.set, "text/event-stream", lambda text: f"!{text}".encode())
        stream.check = lambda: self.refusal
        future.set_result(stream)
        return future

    async def _parts(self) -> AsyncIterator[bytes]:
        while (part := await self.queue.get()) is not None:
            if isinstance(part, Exception):
                raise part
            yield part

    async def _endless(self) -> AsyncIterator[bytes]:
        while True:
            yield bytes(65536)
            self.sent += 65536


Play = Callable[[Parts, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def play(scene: Play, limits: Limits = Limits()) -> None:
    async def main() -> None:
        app = Parts()
        listener = Listener(app, limits)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await listener.start(sock)
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        try:
            await asyncio.wait_for(scene(app, reader, writer), kit.DEADLINE)
        finally:
            writer.transport.abort()
            await listener.drain()
        assert listener.held == 0
        assert listener.connections == 0

    uvloop.run(main())


async def head(reader: asyncio.StreamReader) -> bytes:
    return (await reader.readuntil(b"\r\n\r\n")).lower()


async def part(reader: asyncio.StreamReader) -> bytes:
    size = int((await reader.readuntil(b"\r\n")).strip(), 16)
    return (await reader.readexactly(size + 2))[:-2]


def test_parts_are_chunks_and_the_connection_goes_on() -> None:
    async def scene(app: Parts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET % b"parts" + GET % b"plain")
        first = await head(reader)
        assert b"transfer-encoding: chunked" in first
        assert b"content-type: text/event-stream" in first
        assert b"content-length" not in first
        for sent in (b"one", b"two"):
            app.queue.put_nowait(sent)
            assert await part(reader) == sent  # at once, not when all is there
        app.queue.put_nowait(b"")  # would be the end of the body, written as it is
        app.queue.put_nowait(None)
        assert await part(reader) == b""
        assert app.cancelled.is_set()
        assert b"content-length: 5" in await head(reader)
        assert await reader.readexactly(5) == b"plain"

    play(scene)


def test_an_old_client_reads_to_the_end_of_the_connection() -> None:
    async def scene(app: Parts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"GET /parts HTTP/1.0\r\n\r\n")
        first = await head(reader)
        assert b"connection: close" in first
        assert b"transfer-encoding" not in first
        for each in (b"one", b"two", None):
            app.queue.put_nowait(each)
        assert await reader.read() == b"onetwo"

    play(scene)


def test_a_stream_that_breaks_off_does_not_look_whole() -> None:
    async def scene(app: Parts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET % b"parts")
        await head(reader)
        app.queue.put_nowait(b"one")
        app.queue.put_nowait(RuntimeError("the replica died"))
        assert await reader.read() == b"3\r\none\r\n"

    play(scene)


def test_a_client_that_goes_away_ends_the_stream() -> None:
    async def scene(app: Parts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET % b"parts")
        await head(reader)
        writer.close()
        await app.cancelled.wait()  # although there was nothing to send

    play(scene)


def test_a_stream_that_may_not_go_on_is_told_why_and_ended() -> None:
    async def scene(app: Parts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GET % b"parts")
        await head(reader)
        app.queue.put_nowait(b"one")
        assert await part(reader) == b"one"
        app.refusal = "the token was revoked"
        assert await part(reader) == b"!the token was revoked"
        assert await reader.read() == b""
        assert app.cancelled.is_set()

    play(scene)


def test_no_more_is_made_than_a_slow_client_takes() -> None:
    async def scene(app: Parts, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(GET % b"endless")
        await asyncio.wait_for(app.cancelled.wait(), kit.DEADLINE)  # as it reads nothing
        assert 65536 <= app.sent < 32 * 2**20

    play(scene, Limits(write_time=0.3))
