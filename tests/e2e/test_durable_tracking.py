"""Tracking outlives its server: what was acknowledged is there, once."""

from __future__ import annotations

import threading
import time
from typing import Any

import httpx
import pytest
from real_server import MakeServer, Server

pytestmark = pytest.mark.slow

API = "/api/2.0/mlflow"
CLIENTS = 8
KILLS = 4


class Writer(threading.Thread):
    """Logs steps 0, 1, 2, … in MLflow's protocol, and sends again what was not acknowledged."""

    def __init__(self, server: Server, run: str, stop: threading.Event) -> None:
        super().__init__()
        self.server, self.run_id, self.stop = server, run, stop
        self.acknowledged = 0
        self.repeated = 0
        self.refused: list[str] = []

    def run(self) -> None:
        headers = {"Authorization": f"Bearer {self.server.token}"}
        with httpx.Client(base_url=self.server.url, headers=headers, timeout=60) as http:
            while not self.stop.is_set():
                step = self.acknowledged
                point = {
                    "key": "loss",
                    "value": step / 7,
                    "step": step,
                    "timestamp": int(time.time() * 1000),
                }
                self._until_acknowledged(http, {"run_id": self.run_id, **point})
                self.acknowledged += 1

    def _until_acknowledged(self, http: httpx.Client, body: dict[str, Any]) -> None:
        while True:
            try:
                answer = http.post(f"{API}/runs/log-metric", json=body)
            except httpx.TransportError:
                self.repeated += 1
                time.sleep(0.05)
                continue
            if answer.status_code == 200:
                return
            if answer.status_code != 503:
                self.refused.append(answer.text)
            time.sleep(0.05)


def new_runs(http: httpx.Client, count: int) -> list[str]:
    made = http.post(f"{API}/experiments/create", json={"name": "durable"}).raise_for_status().json()
    bodies = {"experiment_id": made["experiment_id"], "start_time": 1}
    answers = [http.post(f"{API}/runs/create", json=bodies).raise_for_status() for _ in range(count)]
    return [answer.json()["run"]["info"]["run_id"] for answer in answers]


def history(http: httpx.Client, run: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    token = ""
    while True:
        asked = {"run_id": run, "metric_key": "loss", "max_results": "1000"}
        if token:
            asked["page_token"] = token
        page = http.get(f"{API}/metrics/get-history", params=asked).raise_for_status().json()
        found += page.get("metrics", [])
        token = page.get("next_page_token", "")
        if not token:
            return found


def test_every_acknowledged_point_is_there_once_after_kill_9(make_server: MakeServer) -> None:
    server = make_server()
    http = server.http()
    stop = threading.Event()
    writers = [Writer(server, run, stop) for run in new_runs(http, CLIENTS)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(KILLS):
            before = sum(writer.acknowledged for writer in writers)
            deadline = time.monotonic() + 60
            while sum(writer.acknowledged for writer in writers) < before + 400:
                assert time.monotonic() < deadline, "the clients come no further"
                time.sleep(0.01)
            server.kill9()
            server.start()
    finally:
        stop.set()
        for writer in writers:
            writer.join(90)
    assert sum(writer.repeated for writer in writers) > 0, "no request was cut off: the test proves nothing"
    with server.http() as fresh:
        for writer in writers:
            assert writer.refused == []
            points = history(fresh, writer.run_id)
            assert [int(p["step"]) for p in points] == list(range(writer.acknowledged))
            assert [p["value"] for p in points] == [step / 7 for step in range(writer.acknowledged)]
