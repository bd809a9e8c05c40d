"""Connections that begin in HTTP/2: handed over in any pieces, bounded, and no harm to the others."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import grpc.aio
import modelserver_kit as kit
import numpy as np
import pytest
from tritonclient.grpc import service_pb2 as pb

from nacre.modelserver.grpc.server import MOST_STREAMS
from nacre.modelserver.http import PREFACE
from nacre.modelserver.limits import Limits

METADATA = (("authorization", f"Bearer {kit.TOKEN}"),)
INFER = "/inference.GRPCInferenceService/ModelInfer"
STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def frame(kind: int, stream: int = 0, body: bytes = b"", flags: int = 0) -> bytes:
    return len(body).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + body


def settings(**values: int) -> bytes:
    numbers = {"window": 4}
    return frame(
        SETTINGS,
        body=b"".join(
            numbers[name].to_bytes(2, "big") + v.to_bytes(4, "big") for name, v in values.items()
        ),
    )


def headers(path: str) -> bytes:
    """A header block of literals that are not remembered (RFC 7541, section 6.2.2)."""

    def text(value: str) -> bytes:
        size = len(value)
        # Numbers beyond seven bits continue in the next byte.
        return (bytes([size]) if size < 127 else bytes([127, size - 127])) + value.encode()

    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "x",
        "te": "trailers",
        "content-type": "application/grpc",
        "authorization": f"Bearer {kit.TOKEN}",
    }
    return b"".join(b"\0" + text(name) + text(value) for name, value in fields.items())


def infer(model: str = "p/fp32", rows: int = 1) -> bytes:
    request = pb.ModelInferRequest(model_name=model)
    request.inputs.add(name="x", datatype="FP32", shape=[rows, 2])
    request.raw_input_contents.append(np.ones((rows, 2), "f4").tobytes())
    return bytes(request.SerializeToString())


def ask(server: kit.Server, message: bytes | None = None) -> bytes:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.unary_unary(INFER)
        return bytes(call(infer() if message is None else message, metadata=METADATA, timeout=kit.DEADLINE))


def still_serves(server: kit.Server) -> None:
    assert ask(server)
    assert server.get("/healthz", token=None).status_code == 200


def resident(server: kit.Server) -> int:
    """MiB."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096 // 2**20


@pytest.fixture
def raw(server: kit.Server) -> Iterator[kit.Raw]:
    connection = server.connect()
    yield connection
    connection.close()


def read_frame(connection: kit.Raw) -> tuple[int, bytes]:
    while len(connection.buffer) < 9:
        connection._more()
    size = int.from_bytes(connection.buffer[:3], "big")
    while len(connection.buffer) < 9 + size:
        connection._more()
    kind, body = connection.buffer[3], connection.buffer[9 : 9 + size]
    connection.buffer = connection.buffer[9 + size :]
    return kind, body


# ---- the preface


@pytest.mark.parametrize("pieces", [[1] * 30, [3, 21], [18, 6], [23, 1], [24], [40]])
def test_the_preface_comes_in_any_pieces(raw: kit.Raw, pieces: list[int]) -> None:
    whole = PREFACE + settings()
    at = 0
    for size in pieces:
        raw.send(whole[at : at + size])
        at += size
    raw.send(whole[at:])
    assert read_frame(raw)[0] == SETTINGS


@pytest.mark.parametrize(
    "wrong",
    [b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", b"PRI / HTTP/1.1\r\n\r\n", b"PRJ "],
    ids=["cut", "a method", "another word"],
)
def test_what_only_looks_like_a_preface_is_http_1(server: kit.Server, raw: kit.Raw, wrong: bytes) -> None:
    status, _, body = raw.send(wrong + b"\r\n\r\n").answer()
    assert status in (400, 404, 405), body
    still_serves(server)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\xff" * 500,
        frame(SETTINGS, body=b"12345"),
        settings() + frame(HEADERS, 1, b"\xff" * 50, END_HEADERS),
        settings() + (2**24 - 1).to_bytes(3, "big") + b"\0\0\0\0\0\1",
    ],
    ids=["no frames", "short settings", "bad headers", "huge frame"],
)
def test_garbage_after_the_preface_ends_the_connection(
    server: kit.Server, raw: kit.Raw, garbage: bytes
) -> None:
    raw.send(PREFACE + garbage)
    with contextlib.suppress(AssertionError, ConnectionResetError):
        while True:
            read_frame(raw)
    still_serves(server)


def test_a_client_that_goes_away_at_once(server: kit.Server) -> None:
    for _ in range(50):
        server.connect().send(PREFACE).close()
        server.connect().send(PREFACE + settings() + frame(HEADERS, 1, headers(INFER), END_HEADERS)).close()
    still_serves(server)
    kit.until(lambda: open_connections(server) <= 1, "the connections are forgotten")


def open_connections(server: kit.Server) -> int:
    text = server.control("GET", "/metrics").text
    found = re.search(r"^nacre_modelserver_connections (\d+)$", text, re.MULTILINE)
    assert found
    return int(found[1])


def test_grpc_connections_are_counted(server: kit.Server) -> None:
    before = open_connections(server)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        channel.unary_unary(INFER)(infer(), metadata=METADATA)
        assert open_connections(server) == before + 1


# ---- many, large, slow


def test_a_client_that_never_takes_its_answers(server: kit.Server) -> None:
    """One hundred answers of almost 1 MiB, of which no window lets a byte pass."""
    still_serves(server)
    before = resident(server)
    message = infer(rows=120_000)
    body = b"\0" + len(message).to_bytes(4, "big") + message
    connection = server.connect()
    connection.send(PREFACE + settings(window=0) + frame(SETTINGS, flags=ACK))
    # The server's window: what is not taken now blocks us, not the server.
    connection.socket.settimeout(0.5)
    with contextlib.suppress(TimeoutError):
        for stream in range(1, 200, 2):
            parts = [body[at : at + 16384] for at in range(0, len(body), 16384)]
            connection.send(frame(HEADERS, stream, headers(INFER), END_HEADERS))
            for part in parts[:-1]:
                connection.send(frame(DATA, stream, part))
            connection.send(frame(DATA, stream, parts[-1], END_STREAM))
    for _ in range(20):
        still_serves(server)
    assert resident(server) - before < 300
    connection.close()


def test_streams_that_do_nothing(server: kit.Server) -> None:
    """More of them than are let in: those beyond are refused, and others are answered meanwhile."""

    async def main() -> tuple[int, int, bytes]:
        target = f"127.0.0.1:{server.port}"
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with contextlib.AsyncExitStack() as stack:
            channels = [
                await stack.enter_async_context(grpc.aio.insecure_channel(target, options=options))
                for _ in range(3)
            ]
            calls = [
                channel.stream_stream(STREAM)(metadata=METADATA) for channel in channels for _ in range(200)
            ]
            done = [asyncio.ensure_future(call.code()) for call in calls]
            while sum(one.done() for one in done) < len(calls) - MOST_STREAMS:
                await asyncio.wait([one for one in done if not one.done()], return_when="FIRST_COMPLETED")
            refused = [one.result() for one in done if one.done()]
            answer = await channels[0].unary_unary(INFER)(infer(), metadata=METADATA)
            first = calls[0]
            await first.write(infer())
            held = await first.read()
            for call in calls:
                call.cancel()
            await asyncio.wait(done)
            return refused.count(grpc.StatusCode.RESOURCE_EXHAUSTED), len(refused), answer + held

    refused, ended, answers = asyncio.run(main())
    assert refused == ended == 600 - MOST_STREAMS
    assert answers
    still_serves(server)


# ---- the end


def test_a_call_under_way_is_answered_at_a_stop(tmp_path: Path, start: Callable[..., kit.Server]) -> None:
    kit.write_routes(tmp_path, {"p/slow": kit.revision(kit.slow(tmp_path / "m.onnx", 1_000_000))})
    server = start().wait()
    request = pb.ModelInferRequest(model_name="slow")
    request.inputs.add(name="x", datatype="FP32", shape=[1, 1])
    request.raw_input_contents.append(b"\0" * 4)
    answers: list[bytes] = []
    asking = threading.Thread(target=lambda: answers.append(ask(server, request.SerializeToString())))
    asking.start()
    kit.until(
        lambda: server.status().endpoints["p/slow"].revisions[0].in_flight == 1, "the call is under way"
    )
    assert server.stop() == 0
    asking.join(kit.DEADLINE)
    assert pb.ModelInferResponse.FromString(answers[0]).raw_output_contents[0] == b"\0" * 4


def test_streams_that_rest_do_not_delay_a_stop(tmp_path: Path, start: Callable[..., kit.Server]) -> None:
    kit.write_routes(tmp_path, {"p/fp32": kit.revision(kit.identity(tmp_path / "m.onnx", "FP32"))})
    server = start().wait()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        messages: queue.Queue[bytes] = queue.Queue()
        messages.put(infer())
        call = channel.stream_stream(STREAM)(iter(messages.get, None), metadata=METADATA)
        assert next(call)
        begin = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - begin < Limits().drain_time / 2
        assert call.code() is grpc.StatusCode.UNAVAILABLE
        assert "the server stops" in call.details()
        messages.put(None)
