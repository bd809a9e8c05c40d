"""HTTP as clients speak it, well and badly: pipelining, chunks, limits, slow senders."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import Awaitable, Callable

import modelserver_kit as kit
import pytest
import uvloop

from nacre.modelserver.limits import Limits
from nacre.modelserver.listener import Listener
from nacre.modelserver.messages import Request, Response

BODY = json.dumps({"inputs": [kit.tensor("x", "FP32", [1, 8], [0.5] * 8)]}).encode()


def numbered(number: int) -> bytes:
    head = {"id": str(number), "inputs": [kit.tensor("x", "FP32", [1, 8], [number / 100] * 8)]}
    return kit.request(json.dumps(head).encode())


def test_pipelined_requests_are_answered_in_order(server: kit.Server) -> None:
    raw = server.connect().send(b"".join(numbered(number) for number in range(200)))
    for number in range(200):
        status, _, body = raw.answer()
        assert (status, json.loads(body)["id"]) == (200, str(number))
    raw.close()


def test_a_request_may_come_byte_by_byte(server: kit.Server) -> None:
    raw = server.connect()
    for octet in numbered(1):
        raw.send(bytes([octet]))
    assert raw.answer()[0] == 200
    raw.close()


def chunked(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


CHUNKED = (
    f"POST /endpoints/p/mlp/v2/models/m/infer HTTP/1.1\r\nHost: x\r\n"
    f"Authorization: Bearer {kit.TOKEN}\r\nTransfer-Encoding: chunked\r\n\r\n"
).encode()


def test_a_chunked_body_is_read_and_the_connection_goes_on(server: kit.Server) -> None:
    raw = server.connect()
    raw.send(CHUNKED + chunked(BODY, 7) + CHUNKED + chunked(BODY, 1000))
    first, second = raw.answer(), raw.answer()
    assert first[0] == second[0] == 200
    assert first[2] == second[2]
    raw.close()


def test_expect_is_answered_before_the_body(server: kit.Server) -> None:
    raw = server.connect()
    whole = kit.request(BODY, extra="Expect: 100-continue\r\n")
    raw.send(whole[: -len(BODY)])
    assert raw.answer(body=False)[0] == 100
    raw.send(BODY)
    assert raw.answer()[0] == 200
    refused = kit.request(BODY, path="/endpoints/p/no/v2/models/m/infer", extra="Expect: 100-continue\r\n")
    raw.send(refused[: -len(BODY)])
    assert raw.answer()[0] == 404
    assert raw.closed()
    raw.close()


def test_a_body_over_the_limit_is_413(server: kit.Server) -> None:
    raw = server.connect()
    raw.send(kit.request(b"", extra="").replace(b"Content-Length: 0", b"Content-Length: 1048577"))
    status, headers, body = raw.answer()
    assert (status, headers["connection"]) == (413, "close")
    assert b"1048576 bytes" in body
    raw.close()


def test_a_chunked_body_over_the_limit_is_413(server: kit.Server) -> None:
    raw = server.connect().send(CHUNKED)
    part = b"10000\r\n" + b" " * 65536 + b"\r\n"
    for _ in range(17):
        raw.send(part)
    assert raw.answer()[0] == 413
    raw.close()


def test_a_compressed_body_over_the_limit_is_413(server: kit.Server) -> None:
    bomb = gzip.compress(b" " * 2_000_000)
    answer = server.infer("p/mlp", bomb, Content_Encoding="gzip")
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
        (
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            400,
        ),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 404),
        (b"GET /healthz HTTP/1.1\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 40_000, 431),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET /healthz HTTP/1.1\r\nExpect: tea\r\n\r\n", 417),
    ],
)
def test_malformed_requests_are_refused_and_the_connection_closed(
    server: kit.Server, sent: bytes, status: int
) -> None:
    raw = server.connect().send(sent)
    found, headers, body = raw.answer()
    assert (found, headers["connection"]) == (status, "close")
    assert json.loads(body)["error"]
    assert raw.closed()
    raw.close()


def test_what_came_before_a_malformed_request_is_answered(server: kit.Server) -> None:
    raw = server.connect().send(numbered(1) + b"nonsense\r\n\r\n")
    assert [raw.answer()[0], raw.answer()[0]] == [200, 400]
    raw.close()


def test_http_1_0_and_connection_close(server: kit.Server) -> None:
    once = server.connect().send(b"GET /healthz HTTP/1.0\r\n\r\n")
    assert once.answer()[1]["connection"] == "close"
    assert once.closed()
    kept = server.connect().send(b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" * 2)
    assert [kept.answer()[1]["connection"] for _ in range(2)] == ["keep-alive"] * 2
    ended = server.connect().send(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n" * 2)
    assert ended.answer()[1]["connection"] == "close"
    assert ended.closed()
    for raw in (once, kept, ended):
        raw.close()


def test_an_upgrade_is_ignored_and_the_request_answered(server: kit.Server) -> None:
    extra = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n"
    raw = server.connect().send(kit.request(BODY, extra=extra) * 3 + numbered(4))
    answers = [raw.answer() for _ in range(4)]
    assert [status for status, _, _ in answers] == [200] * 4
    assert json.loads(answers[3][2])["id"] == "4"
    raw.close()


def test_a_body_split_from_its_upgrade_is_read(server: kit.Server) -> None:
    sent = kit.request(BODY, extra="Connection: Upgrade\r\nUpgrade: h2c\r\n")
    raw = server.connect().send(sent[: -len(BODY) + 5])
    assert raw.send(sent[-len(BODY) + 5 :]).answer()[0] == 200
    raw.close()


def test_a_client_that_stops_sending_still_gets_its_answer(server: kit.Server) -> None:
    body = json.dumps({"inputs": [kit.tensor("x", "FP32", [1, 1], [1.0])]}).encode()
    raw = server.connect().send(kit.request(body, "/endpoints/p/slow/v2/models/m/infer"))
    raw.socket.shutdown(socket.SHUT_WR)
    assert raw.answer()[0] == 200
    assert raw.closed()
    raw.close()


# ---- limits, on a listener in this process with small ones


class Echo:
    """Answers the size of a body; ``/later`` when ``gate`` opens; ``/large`` with ten megabytes."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    def refuse(self, request: Request) -> Response | None:
        return None

    def handle(self, request: Request) -> Response | asyncio.Future[Response]:
        if request.target == b"/later":
            return asyncio.get_running_loop().create_task(self._later())
        if request.target == b"/broken":
            raise RuntimeError("broken")
        if request.target == b"/large":
            return Response(200, bytes(10_000_000))
        return Response(200, b"%d" % len(request.body))

    async def _later(self) -> Response:
        await self.gate.wait()
        return Response(200, b"later")


Play = Callable[[Listener, Echo, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def play(limits: Limits, scene: Play) -> None:
    """Run a scene with one client connected to a listener."""

    async def main() -> None:
        app = Echo()
        listener = Listener(app, limits)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await listener.start(sock)
        reader, writer = await asyncio.open_connection(*sock.getsockname())
        try:
            await asyncio.wait_for(scene(listener, app, reader, writer), kit.DEADLINE)
        finally:
            writer.transport.abort()
            await listener.drain()
        assert listener.held == 0
        assert listener.connections == 0

    uvloop.run(main())


async def status(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head.split()[1])


def test_headers_that_take_too_long_are_408() -> None:
    async def scene(
        _l: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET / HTTP/1.1\r\nHost:")
        assert await status(reader) == 408
        assert await reader.read() == b""

    play(Limits(head_time=0.3), scene)


def test_a_body_that_comes_too_slowly_is_408() -> None:
    async def scene(
        listener: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\nabc")
        assert await status(reader) == 408
        assert listener.held == 0

    play(Limits(body_time=0.3), scene)


def test_an_idle_connection_is_closed() -> None:
    async def scene(
        _l: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await status(reader) == 200
        assert await reader.read() == b""

    play(Limits(idle_time=0.3), scene)


def test_a_client_that_takes_no_answer_is_dropped() -> None:
    async def scene(
        listener: Listener, _a: Echo, _r: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /large HTTP/1.1\r\n\r\n")
        while not listener.connections:
            await asyncio.sleep(0.01)
        while listener.connections:
            await asyncio.sleep(0.01)

    play(Limits(write_time=0.5), scene)


def test_a_pipeline_is_not_read_further_than_it_is_answered() -> None:
    async def scene(
        listener: Listener, app: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET /later HTTP/1.1\r\n\r\n")
        one = b"POST / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
        writer.write(one * 200)
        await asyncio.sleep(0.3)
        assert listener.held < 3_000_000
        app.gate.set()
        assert [await status(reader) for _ in range(201)] == [200] * 201

    play(Limits(), scene)


def test_a_body_read_with_the_start_of_the_next_head_is_not_counted_as_headers() -> None:
    async def scene(
        _l: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 40000\r\n\r\n" + bytes(40_000) + b"GET / HT")
        assert await status(reader) == 200
        writer.write(b"TP/1.1\r\n\r\n")
        assert await status(reader) == 200

    play(Limits(max_headers=1000), scene)


def test_one_that_is_idle_makes_room_for_another() -> None:
    async def scene(
        _l: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await status(reader) == 200
        second, out = await asyncio.open_connection(*writer.get_extra_info("peername"))
        out.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await status(second) == 200
        out.close()

    play(Limits(max_connections=1), scene)


def test_a_connection_over_the_limit_is_told_so() -> None:
    async def scene(
        _l: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await status(reader) == 200
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\n1234")
        await asyncio.sleep(0.05)
        second, out = await asyncio.open_connection(*writer.get_extra_info("peername"))
        assert await status(second) == 503
        out.close()

    play(Limits(max_connections=1), scene)


def test_bodies_over_the_worker_s_budget_are_503() -> None:
    async def scene(
        _l: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 3000\r\n\r\n" + bytes(2000))
        assert await status(reader) == 503

    play(Limits(max_bodies=1000), scene)


def test_a_defect_in_the_application_is_500_and_the_connection_goes_on() -> None:
    async def scene(
        _l: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"GET /broken HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n")
        assert [await status(reader), await status(reader)] == [500, 200]

    play(Limits(), scene)


def test_a_client_that_leaves_while_it_is_served_leaves_nothing_behind() -> None:
    async def scene(
        listener: Listener, app: Echo, _r: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"POST /later HTTP/1.1\r\nContent-Length: 5\r\n\r\nabcde")
        while listener.held != 5:
            await asyncio.sleep(0.01)
        writer.transport.abort()
        app.gate.set()
        while listener.held or listener.connections:
            await asyncio.sleep(0.01)

    play(Limits(), scene)


def test_draining_answers_what_is_in_flight_and_closes_the_rest() -> None:
    async def scene(
        listener: Listener, app: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        idle, out = await asyncio.open_connection(*writer.get_extra_info("peername"))
        writer.write(b"POST /later HTTP/1.1\r\nContent-Length: 1\r\n\r\na")
        while listener.held != 1 or listener.connections != 2:
            await asyncio.sleep(0.01)
        drain = asyncio.create_task(listener.drain())
        assert await idle.read() == b""
        out.close()
        assert not drain.done()
        app.gate.set()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"Connection: close" in head
        assert await reader.read() == b"later"
        await drain

    play(Limits(), scene)


def test_draining_gives_up_after_its_time() -> None:
    async def scene(
        listener: Listener, _a: Echo, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(b"POST /later HTTP/1.1\r\nContent-Length: 1\r\n\r\na")
        while listener.held != 1:
            await asyncio.sleep(0.01)
        await listener.drain()
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await reader.readexactly(1)
        _a.gate.set()
        while listener.held:
            await asyncio.sleep(0.01)

    play(Limits(drain_time=0.3), scene)
