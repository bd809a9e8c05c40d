"""Clients for ``tracking.py``, in a process of their own: each on its connection, each logging to its run.

    python benchmarks/tracking_load.py '{"port": …, "runs": […], "kind": "metric", "seconds": 5, …}'

Prints JSON: requests, rows, seconds, the latencies' median and 99th percentile in milliseconds.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import sys
import time
from typing import Any

import httptools
import uvloop

API = "/api/2.0/mlflow"
KEYS = 10


class Client(asyncio.Protocol):
    """Asks again as soon as it is answered, until the time is over."""

    def __init__(self, plan: dict[str, Any], run: str, end: float) -> None:
        self.plan, self.run, self.end = plan, run, end
        self.latencies: list[float] = []
        self.step = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.parser = httptools.HttpResponseParser(self)
        self.body = b""
        lines = "".join(f"{name}: {value}\r\n" for name, value in plan["headers"].items())
        self.head = f"Host: localhost\r\nContent-Type: application/json\r\n{lines}"

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.socket = transport.get_extra_info("socket")
        self.ask()

    def ask(self) -> None:
        now = int(time.time() * 1000)
        if self.plan["kind"] == "metric":
            path = "log-metric"
            point = {"key": "loss", "value": random.random(), "timestamp": now, "step": self.step}
            data = json.dumps({"run_id": self.run, **point}).encode()
            self.step += 1
        else:
            path = "log-batch"
            keys = self.plan.get("keys", KEYS)
            count = self.plan["rows"] // keys
            metrics = ",".join(
                f'{{"key":"k{k}","value":{random.random()},"timestamp":{now},"step":{self.step + n}}}'
                for n in range(count)
                for k in range(keys)
            )
            self.step += count
            data = f'{{"run_id":"{self.run}","metrics":[{metrics}],"params":[],"tags":[]}}'.encode()
        self.body = b""
        self.asked = time.perf_counter()
        self.transport.write(
            f"POST {API}/runs/{path} HTTP/1.1\r\n{self.head}Content-Length: {len(data)}\r\n\r\n".encode()
            + data
        )

    def data_received(self, data: bytes) -> None:
        # a late ACK would hold up servers that send head and body apart: neither is to wait for that
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        self.parser.feed_data(data)

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self.latencies.append(now - self.asked)
        if self.parser.get_status_code() != 200:
            self.done.set_exception(RuntimeError(self.body.decode()))
        elif now < self.end and self.step < self.plan.get("steps", 1 << 60):
            self.parser = httptools.HttpResponseParser(self)
            self.ask()
        else:
            self.done.set_result(None)
            self.transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(ConnectionError("the server closed the connection"))


async def load(plan: dict[str, Any]) -> dict[str, Any]:
    """Drive the server with one client per run."""
    loop = asyncio.get_running_loop()
    began = time.perf_counter()
    clients = []
    for run in plan["runs"]:
        _, client = await loop.create_connection(
            lambda run=run: Client(plan, run, began + plan["seconds"]),
            "127.0.0.1",
            plan["port"],  # type: ignore[misc]
        )
        clients.append(client)
    await asyncio.gather(*(client.done for client in clients))
    took = time.perf_counter() - began
    ordered = sorted(latency * 1e3 for client in clients for latency in client.latencies)
    rows = plan.get("rows", 1)
    return {
        "requests": len(ordered),
        "rows": len(ordered) * rows,
        "seconds": took,
        "p50": ordered[len(ordered) // 2],
        "p99": ordered[int(len(ordered) * 0.99)],
    }


if __name__ == "__main__":
    print(json.dumps(uvloop.run(load(json.loads(sys.argv[1])))))
