"""Ten thousand connections on which nobody says anything."""

from __future__ import annotations

import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

import modelserver_kit as kit
import psutil
import pytest

COUNT = 10_000


def test_ten_thousand_idle_connections_disturb_nobody(
    start: Callable[..., kit.Server], tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < COUNT + 1000:
        pytest.skip(f"this user may open {hard} files, too few for {COUNT} connections")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    kit.write_routes(tmp_path, {"p/c": kit.revision(kit.constant(tmp_path / "c.onnx", 1.0))})
    server = start().wait()
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    idle: list[socket.socket] = []
    try:
        for _ in range(COUNT):
            idle.append(socket.create_connection(("127.0.0.1", server.port), 30))
        kit.until(lambda: "connections 10000" in server.control("GET", "/metrics").text, "all are there")
        assert process.memory_info().rss - before < 150 * 2**20
        raw = server.connect()
        ask = {"inputs": [kit.tensor("x", "FP32", [1, 1], [0.0])]}
        asking = kit.request(kit.json.dumps(ask).encode(), "/endpoints/p/c/v2/models/m/infer")
        for _ in range(200):
            assert raw.send(asking).answer()[0] == 200
        raw.close()
        busy = process.cpu_times().user
        time.sleep(1.0)  # what is measured is that nothing happens
        assert process.cpu_times().user - busy < 0.5
    finally:
        for one in idle:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
