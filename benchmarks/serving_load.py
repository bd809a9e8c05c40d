"""The load generator of serving.py, a process of its own: connections that ask again once answered.

    python benchmarks/serving_load.py PORT --connections 16 --seconds 4 < REQUEST

Reads the bytes of one request (or several, each after a line with its length and ``\\n``: connections take
them in turn) and prints JSON: answers, rate, latencies in milliseconds, the share of the time that the
generator itself was busy (near 1, it is the limit), and the body of one answer in hex.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from typing import Any

import httptools
import uvloop

OK = b"HTTP/1.1 200"
CPU = time.process_time()
"""Taken before the load."""


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, asking: bytes, latencies: list[float], end: float) -> None:
        self.asking, self.latencies, self.end = asking, latencies, end
        self.done: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.parser = httptools.HttpResponseParser(self)
        self.body: list[bytes] = []
        self.whole = b""
        """Head of the last answer that came in one piece: the next one like it is not parsed."""
        self.length = 0
        self.pieces = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.ask()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(error or ConnectionError("the server closed the connection"))

    def ask(self) -> None:
        self.pieces = 0
        self.start = time.perf_counter()
        self.transport.write(self.asking)

    def data_received(self, data: bytes) -> None:
        if not self.pieces and len(data) == self.length and data.startswith(OK):
            self.answered(data)
            return
        self.pieces += 1
        self.last = data
        self.parser.feed_data(data)

    def on_message_begin(self) -> None:
        self.body = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.chunked = name.lower() == b"transfer-encoding"

    def on_body(self, part: bytes) -> None:
        self.body.append(part)

    def on_message_complete(self) -> None:
        if self.parser.get_status_code() != 200:
            text = b"".join(self.body).decode(errors="replace")
            self.done.set_exception(RuntimeError(f"{self.parser.get_status_code()} {text}"))
            return
        if self.pieces == 1 and not self.chunked and self.last.startswith(OK):
            self.length = len(self.last)
        self.answered(None)

    def answered(self, data: bytes | None) -> None:
        now = time.perf_counter()
        self.latencies.append(now - self.start)
        if now < self.end:
            self.ask()
        elif not self.done.done():
            body = b"".join(self.body) if data is None else data.partition(b"\r\n\r\n")[2]
            self.done.set_result(body)
            self.transport.close()


async def drive(port: int, askings: list[bytes], connections: int, seconds: float) -> dict[str, Any]:
    """Load a server; the body of an answer comes back to be compared."""
    loop = asyncio.get_running_loop()
    latencies: list[float] = []
    begin = time.perf_counter()
    clients: list[Client] = []
    for number in range(connections):
        asking = askings[number % len(askings)]
        _, client = await loop.create_connection(
            lambda asking=asking: Client(asking, latencies, begin + seconds),  # type: ignore[misc]
            "127.0.0.1",
            port,
        )
        clients.append(client)
    answers = await asyncio.gather(*(client.done for client in clients))
    return told(latencies, begin, answers[0])


def told(latencies: list[float], begin: float, answer: bytes) -> dict[str, Any]:
    """What is printed about a load that began then."""
    took = time.perf_counter() - begin
    ordered = sorted(latencies)
    return {
        "count": len(ordered),
        "rate": len(ordered) / took,
        "p50": ordered[len(ordered) // 2] * 1e3,
        "p99": ordered[int(len(ordered) * 0.99)] * 1e3,
        "worst": ordered[-1] * 1e3,
        "busy": (time.process_time() - CPU) / took,
        "answer": answer.hex(),
    }


def parse(data: bytes) -> list[bytes]:
    """The requests of the input."""
    if data[:1].isalpha():
        return [data]
    found = []
    while data:
        length, _, data = data.partition(b"\n")
        found.append(data[: int(length)])
        data = data[int(length) :]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--core", type=int, help="keep to this core")
    options = parser.parse_args()
    if options.core is not None:
        os.sched_setaffinity(0, {options.core})
    askings = parse(sys.stdin.buffer.read())
    print(json.dumps(uvloop.run(drive(options.port, askings, options.connections, options.seconds))))


if __name__ == "__main__":
    main()
