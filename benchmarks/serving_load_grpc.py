"""The load generator of serving.py for gRPC, a process of its own.

    python benchmarks/serving_load_grpc.py PORT METHOD TOKEN --connections 16 --seconds 4 < MESSAGE

Writes the frames of HTTP/2 (RFC 9113) itself: a client library would take longer for a call than the
servers do. Each connection has ``--calls`` calls under way. Prints what serving_load.py prints; the answer
is that of the last call.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import struct
import sys
import time
from typing import Any

import uvloop
from serving_load import told

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, WINDOW = 0, 1, 3, 4, 6, 7, 8
ACK = END_STREAM = 1
END_HEADERS = 4
MOST = 2**31 - 1
FIRST_WINDOW = 65_535
LARGEST = 16_384
"""Bytes of a frame."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def block(headers: dict[str, str]) -> bytes:
    """Headers as literals that nobody remembers (RFC 7541, 6.2.2); each name and value is short."""
    return b"".join(
        b"\0" + bytes([len(name)]) + name.encode() + bytes([len(text)]) + text.encode()
        for name, text in headers.items()
    )


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, head: bytes, message: bytes, calls: int, latencies: list[float], end: float) -> None:
        self.head, self.calls, self.latencies, self.end = head, calls, latencies, end
        self.body = b"\0" + struct.pack(">I", len(message)) + message
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.data = b""
        self.next = 1
        self.window = FIRST_WINDOW
        self.held = 0
        """Calls that wait until the server takes more bytes."""
        self.started: dict[int, float] = {}
        self.answers: dict[int, bytes] = {}
        self.answer = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        settings = struct.pack(">HI", 4, MOST)  # SETTINGS_INITIAL_WINDOW_SIZE
        window = struct.pack(">I", MOST - FIRST_WINDOW)
        hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(SETTINGS, 0, 0, settings)
        transport.write(hello + frame(WINDOW, 0, 0, window))
        for _ in range(self.calls):
            self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        self.fail(error or ConnectionError("the server closed the connection"))

    def fail(self, error: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(error)

    def ask(self) -> None:
        if self.window < len(self.body):
            self.held += 1
            return
        self.window -= len(self.body)
        stream, self.next = self.next, self.next + 2
        self.started[stream] = time.perf_counter()
        self.transport.write(
            frame(HEADERS, END_HEADERS, stream, self.head) + frame(DATA, END_STREAM, stream, self.body)
        )

    def data_received(self, data: bytes) -> None:
        data, at = self.data + data, 0
        while len(data) - at >= 9:
            size = int.from_bytes(data[at : at + 3], "big")
            if len(data) - at - 9 < size:
                break
            stream = int.from_bytes(data[at + 5 : at + 9], "big")
            self.take(data[at + 3], data[at + 4], stream, data[at + 9 : at + 9 + size])
            at += 9 + size
        self.data = data[at:]

    def take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == DATA:
            self.answers[stream] = self.answers.get(stream, b"") + payload
        elif kind == SETTINGS and not flags & ACK:
            self.transport.write(frame(SETTINGS, ACK, 0))
        elif kind == PING and not flags & ACK:
            self.transport.write(frame(PING, ACK, 0, payload))
        elif kind == WINDOW and not stream:
            self.window += int.from_bytes(payload, "big")
            held, self.held = self.held, 0
            for _ in range(held):
                self.ask()
        elif kind in (RESET, GOAWAY):
            self.fail(RuntimeError(f"the server ended a call: {payload!r}"))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self.answered(stream, payload)

    def answered(self, stream: int, payload: bytes) -> None:
        now = time.perf_counter()
        answer = self.answers.pop(stream, b"")
        if not answer:
            self.fail(RuntimeError(f"a call failed: {payload!r}"))
            return
        self.latencies.append(now - self.started.pop(stream))
        if now < self.end:
            self.ask()
        elif not self.started and not self.done.done():
            self.done.set_result(answer[5:])
            self.transport.close()


async def drive(options: argparse.Namespace, message: bytes) -> dict[str, Any]:
    """Load a server."""
    head = block(
        {
            ":method": "POST",
            ":scheme": "http",
            ":path": options.method,
            ":authority": "localhost",
            "te": "trailers",
            "content-type": "application/grpc",
            "authorization": f"Bearer {options.token}",
        }
    )
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    begin = time.perf_counter()
    clients = []
    for _ in range(options.connections):
        _, client = await loop.create_connection(
            lambda: Client(head, message, options.calls, latencies, begin + options.seconds),
            "127.0.0.1",
            options.port,
        )
        clients.append(client)
    answers = await asyncio.gather(*(client.done for client in clients))
    return told(latencies, begin, answers[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("method")
    parser.add_argument("token")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--calls", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--core", type=int, help="keep to this core")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    message = sys.stdin.buffer.read()
    if len(message) > LARGEST - 5:
        parser.error(f"a message may have {LARGEST - 5} bytes")
    print(json.dumps(uvloop.run(drive(options, message))))


if __name__ == "__main__":
    main()
