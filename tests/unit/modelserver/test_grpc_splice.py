"""A client joined with the gRPC server: what passes, what is held back, and when it is dropped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from nacre.modelserver.backend import Refused
from nacre.modelserver.grpc.reads import Reads
from nacre.modelserver.grpc.splice import Splice
from nacre.modelserver.http import PREFACE
from nacre.modelserver.limits import Limits

DATA, HEADERS = 0, 1
LIMITS = Limits(max_bodies=10_000, write_time=30.0, idle_time=120.0)


class Transport:
    """What a splice does to one of its sides."""

    def __init__(self) -> None:
        self.sent = b""
        self.reading = True
        self.state = "open"
        self.protocol: Any = None

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def write(self, data: bytes) -> None:
        self.sent += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.state != "open"

    def close(self) -> None:
        self.state = "closed"

    def abort(self) -> None:
        self.state = "aborted"
        self.protocol.connection_lost(None)


class Listener:
    """Only what a splice uses of it."""

    def __init__(self) -> None:
        self.limits = LIMITS
        self.now = 1000.0
        self.held = 0
        self.clients: set[Any] = set()

    def register(self, client: Any) -> bool:
        self.clients.add(client)
        return True

    def forget(self, client: Any) -> None:
        self.clients.discard(client)


class Pair:
    """A splice with both of its sides."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.client, self.server = Transport(), Transport()
        self.patience = LIMITS.idle_time
        self.splice: Splice

    async def join(self, data: bytes = PREFACE) -> Pair:
        async def connect(make: Callable[[], asyncio.Protocol]) -> None:
            assert not self.client.reading  # nothing more before there is a place for it
            self.server.protocol = make()
            self.server.protocol.connection_made(self.server)

        listener: Any = self.listener
        client: Any = self.client
        self.splice = Splice(listener, client, data, connect, lambda: self.patience)
        assert self.client.protocol is self.splice
        await self.splice._task
        return self

    def sweep(self, seconds: float) -> None:
        self.listener.now += seconds
        self.splice.sweep(self.listener.now)


def frame(kind: int, size: int, stream: int = 1) -> bytes:
    return size.to_bytes(3, "big") + bytes((kind, 0)) + stream.to_bytes(4, "big") + b"\xaa" * size


def test_bytes_pass_as_they_are() -> None:
    async def main() -> None:
        pair = await Pair().join(PREFACE + b"first")
        assert pair.server.sent == PREFACE + b"first"
        assert pair.client.reading
        pair.splice.data_received(b"second")
        pair.server.protocol.data_received(b"answer")
        assert pair.server.sent.endswith(b"second")
        assert pair.client.sent == b"answer"

    asyncio.run(main())


def test_each_side_waits_for_the_other() -> None:
    async def main() -> None:
        pair = await Pair().join()
        pair.splice.pause_writing()
        assert (pair.client.reading, pair.server.reading) == (True, False)
        pair.splice.resume_writing()
        pair.server.protocol.pause_writing()
        assert (pair.client.reading, pair.server.reading) == (False, True)
        pair.server.protocol.resume_writing()
        assert pair.client.reading

    asyncio.run(main())


def test_both_sides_end_together() -> None:
    async def main() -> None:
        pair = await Pair().join()
        pair.splice.connection_lost(None)
        assert pair.server.state == "aborted"
        assert not pair.listener.clients
        pair = await Pair().join()
        pair.server.protocol.connection_lost(None)
        assert pair.client.state == "closed"  # when all is sent

    asyncio.run(main())


def test_a_client_that_left_before_it_was_joined() -> None:
    async def main() -> None:
        pair = Pair()
        joining = asyncio.create_task(pair.join())
        await asyncio.sleep(0)
        pair.splice.connection_lost(None)
        await joining
        assert pair.server.state == "aborted"

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [OSError("gone"), ConnectionAbortedError("the server stops")])
def test_without_a_server_the_client_is_dropped(wrong: Exception) -> None:
    async def main() -> None:
        pair = Pair()

        async def connect(_: object) -> None:
            raise wrong

        listener: Any = pair.listener
        client: Any = pair.client
        splice = Splice(listener, client, PREFACE, connect, lambda: 1.0)
        await splice._task
        assert pair.client.state == "aborted"

    asyncio.run(main())


def test_requests_in_memory_are_bounded_with_those_of_http_1() -> None:
    async def main() -> None:
        pair = await Pair().join(PREFACE + frame(HEADERS, 10) + frame(DATA, 4000))
        assert pair.listener.held == 4000
        pair.server.protocol.data_received(frame(HEADERS, 10))
        assert pair.listener.held == 0
        pair.splice.data_received(frame(DATA, 3000))
        pair.listener.held += 5000  # of others
        pair.splice.data_received(frame(HEADERS, 10, stream=3) + frame(DATA, 2500, stream=3))
        assert pair.client.state == "aborted"
        assert pair.listener.held == 5000

    asyncio.run(main())


def test_a_client_that_takes_no_byte_is_dropped() -> None:
    async def main() -> None:
        pair = await Pair().join()
        pair.splice.pause_writing()
        pair.sweep(29.0)
        assert pair.client.state == "open"
        pair.sweep(2.0)
        assert pair.client.state == "aborted"

    asyncio.run(main())


def test_a_client_that_does_not_take_the_end_is_dropped() -> None:
    async def main() -> None:
        pair = await Pair().join()
        pair.server.protocol.connection_lost(None)
        pair.splice.pause_writing()
        pair.splice.resume_writing()
        pair.sweep(31.0)
        assert pair.client.state == "aborted"

    asyncio.run(main())


def test_an_answer_that_stands_still_ends_the_connection() -> None:
    async def main() -> None:
        pair = await Pair().join(PREFACE + frame(HEADERS, 10) + frame(DATA, 10))
        pair.sweep(500.0)
        assert pair.client.state == "open"  # the model may take its time
        pair.server.protocol.data_received(frame(HEADERS, 10))
        pair.sweep(119.0)
        assert pair.client.state == "open"
        pair.patience = 5.0  # when there are too many of these
        pair.sweep(2.0)
        assert pair.client.state == "aborted"

    asyncio.run(main())


# ---- waits for messages


class Context:
    """A call whose message comes when it is told."""

    def __init__(self) -> None:
        self.message: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(self) -> bytes:
        return await self.message


def test_the_oldest_wait_makes_room() -> None:
    async def main() -> None:
        reads = Reads()
        contexts = [Context() for _ in range(3)]
        waits = [asyncio.ensure_future(reads.read(one, 60.0, "late")) for one in contexts]
        await asyncio.sleep(0)
        contexts[0].message.set_result(b"there")
        assert await waits[0] == b"there"
        assert reads.end_oldest(Refused(429, "full"))
        assert reads.end_oldest(Refused(429, "full"))
        assert not reads.end_oldest(Refused(429, "full"))
        for wait in waits[1:]:
            with pytest.raises(Refused, match="full") as raised:
                await wait
            assert raised.value.status == 429

    asyncio.run(main())


def test_a_wait_has_an_end() -> None:
    async def main() -> None:
        with pytest.raises(Refused, match="too slow") as raised:
            await Reads().read(Context(), 0.0, "too slow")
        assert raised.value.status == 408

    asyncio.run(main())


def test_after_the_close_nothing_waits() -> None:
    async def main() -> None:
        reads = Reads()
        wait = asyncio.ensure_future(reads.read(Context(), 60.0, "late"))
        await asyncio.sleep(0)
        reads.close(Refused(503, "stops"))
        for one in (wait, reads.read(Context(), 60.0, "late")):
            with pytest.raises(Refused, match="stops"):
                await one

    asyncio.run(main())
