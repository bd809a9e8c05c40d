"""What is kept of requests: a share of them, whole, within the budget, never in the way of the others."""

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import modelserver_kit as kit
import numpy as np
import pyarrow.parquet as pq
import pytest

from nacre.modelserver import capture
from nacre.modelserver.calls import Call, Interface
from nacre.modelserver.capture import Capture
from nacre.schema.serving import ServedCapture, ServedEndpoint, Signature
from nacre.services.captured_rows import to_parquet

INTERFACE = Interface(
    "net",
    "1",
    Signature.model_validate(
        {
            "inputs": [
                {"name": "x", "datatype": "FP32", "shape": [-1, 3]},
                {"name": "word", "datatype": "BYTES", "shape": [-1]},
            ],
            "outputs": [{"name": "y", "datatype": "INT64", "shape": [-1]}],
        }
    ),
)


class Writer(Capture):
    """One whose thread is the test."""

    def __init__(self, folder: Path, *, share: float = 1.0, budget: int = 2**30, **more: Any) -> None:
        super().__init__(**more)
        self._thread = None
        self.config = ServedCapture(share=share, folder=str(folder), budget_bytes=budget)

    @property
    def kept(self) -> int:
        return self.counted("kept")

    @property
    def dropped(self) -> int:
        return self.counted("dropped")

    @property
    def over(self) -> int:
        return self.counted("over")

    def counted(self, what: Literal["kept", "dropped", "over"]) -> int:
        found = self.report().get("vision/ask")
        return found[what] if found else 0

    def ask(self, rows: int = 2, first: float = 0.0) -> None:
        """A request of so many rows."""
        x = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3) + first
        words = np.array([f"ä{i}" for i in range(rows)], dtype=object)
        call = Call({"x": x, "word": words}, ["y"])
        self.offer("vision/ask", self.config, 7, call, [np.arange(rows)], INTERFACE)
        x[:] = -1  # as a buffer that is used again


@pytest.fixture(autouse=True)
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    class Idle:
        def __init__(self, **_: object) -> None: ...
        def start(self) -> None: ...
        def join(self, _: float) -> None: ...

    monkeypatch.setattr(capture.threading, "Thread", Idle)


def lines(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.jsonl"), key=lambda f: int(f.stem.rsplit("-", 1)[1]))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def finish(writer: Capture) -> None:
    writer.flush()
    for key in list(writer._parts):
        writer._finish(key)


class TestLines:
    def test_a_request_is_kept_whole_and_as_it_was(self, tmp_path: Path) -> None:
        writer = Writer(tmp_path / "new" / "folder")
        writer.ask(2, first=10)
        finish(writer)
        (line,) = lines(tmp_path / "new" / "folder")
        assert abs(line.pop("time_ms") - time.time() * 1000) < 60_000
        x = line["inputs"]["x"]
        values = np.frombuffer(base64.b64decode(x.pop("b64")), "<f4").reshape(2, 3)
        assert values.tolist() == [[10, 11, 12], [13, 14, 15]]
        y = np.frombuffer(base64.b64decode(line["outputs"]["y"].pop("b64")), "<i8")
        assert y.tolist() == [0, 1]
        assert line == {
            "revision": 7,
            "batched": True,
            "inputs": {
                "x": {"datatype": "FP32", "shape": [2, 3]},
                "word": {"datatype": "BYTES", "shape": [2], "data": ["ä0", "ä1"]},
            },
            "outputs": {"y": {"datatype": "INT64", "shape": [2]}},
        }

    @pytest.mark.parametrize(("share", "kept"), [(1.0, 100), (0.25, 25), (0.01, 1), (0.3, 30)])
    def test_the_share_is_kept_and_the_first_request_is_in_it(
        self, tmp_path: Path, share: float, kept: int
    ) -> None:
        writer = Writer(tmp_path, share=share)
        for number in range(100):
            writer.ask(1, first=number)
        finish(writer)
        found = [
            np.frombuffer(base64.b64decode(one["inputs"]["x"]["b64"]), "<f4")[0] for one in lines(tmp_path)
        ]
        assert found[0] == 0
        assert abs(len(found) - kept) <= 1
        assert writer.kept == len(found)


class TestParts:
    def test_a_part_is_finished_when_it_is_full(self, tmp_path: Path, monkeypatch: Any) -> None:
        monkeypatch.setattr(capture, "PART_BYTES", 1000)
        writer = Writer(tmp_path)
        for _ in range(10):
            writer.ask()
        writer.flush()
        finished = list(tmp_path.glob("*.jsonl"))
        assert len(finished) >= 2
        assert all(1000 <= f.stat().st_size < 2000 for f in finished)
        assert len(list(tmp_path.glob("*.open"))) <= 1
        assert all(f.name.startswith(f"part-{os.getpid()}-") for f in finished)
        finish(writer)
        assert len(lines(tmp_path)) == 10

    def test_a_part_is_finished_when_it_is_old(self, tmp_path: Path, monkeypatch: Any) -> None:
        writer = Writer(tmp_path)
        writer.ask()
        writer.flush()
        assert list(tmp_path.glob("*.jsonl")) == []
        now = time.monotonic()
        monkeypatch.setattr(capture.time, "monotonic", lambda: now + capture.PART_SECONDS)
        writer.flush()
        assert len(lines(tmp_path)) == 1
        assert list(tmp_path.glob("*.open")) == []

    def test_what_waits_is_bounded_and_what_is_too_much_is_counted(self, tmp_path: Path) -> None:
        writer = Writer(tmp_path, waiting_bytes=10_000)
        for _ in range(1000):
            writer.ask()
        assert 0 < writer.dropped < 1000
        finish(writer)
        assert writer.kept + writer.dropped == 1000
        writer.ask()
        finish(writer)
        assert writer.kept + writer.dropped == 1001, "there is room again"
        assert writer._waiting_bytes == 0


class TestBudget:
    def test_nothing_is_written_beyond_it(self, tmp_path: Path) -> None:
        (tmp_path / "part-1-1-1.jsonl").write_bytes(bytes(4000))
        writer = Writer(tmp_path, budget=6000)
        for _ in range(20):
            writer.ask()
            writer.flush()
        finish(writer)
        assert sum(f.stat().st_size for f in tmp_path.iterdir()) <= 6000
        assert (writer.kept > 0, writer.over > 0) == (True, True)
        assert writer.kept + writer.over == 20

    def test_room_that_the_server_makes_is_used_again(self, tmp_path: Path) -> None:
        full = tmp_path / "part-1-1-1.jsonl"
        full.write_bytes(bytes(6000))
        writer = Writer(tmp_path, budget=6000)
        writer.ask()
        writer.flush()
        assert (writer.kept, writer.over) == (0, 1)
        full.unlink()
        writer.ask()
        finish(writer)
        assert len(lines(tmp_path)) == 1

    def test_a_disk_that_refuses_is_counted_and_stops_nothing(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "taken").write_text("a file where the folder should be")
        writer = Writer(tmp_path / "taken")
        writer.ask()
        writer.flush()
        assert (writer.kept, writer.dropped) == (0, 1)
        assert "was not captured" in caplog.text


def test_bodies_of_a_model_s_own_code_become_rows(tmp_path: Path) -> None:
    writer = Writer(tmp_path)
    for request, answer in ((b'{"text": "\xc3\xa4"}', b'{"ok": 1}'), (b"\xff\xd8", b"4"), (b"{}", b"{}")):
        writer.offer_bodies("vision/ask", writer.config, 7, request, answer)
    finish(writer)
    tables = [pq.read_table(io.BytesIO(data)) for data in to_parquet(_raw_lines(tmp_path))]
    text, image = (one.drop_columns(["request.time"]).to_pydict() for one in tables)
    assert text == {
        "request.revision": [7, 7],
        "body": ['{"text": "ä"}', "{}"],
        "output.body": ['{"ok": 1}', "{}"],
    }
    assert image == {"request.revision": [7], "body_b64": ["/9g="], "output.body": ["4"]}


def _raw_lines(folder: Path) -> list[bytes]:
    return [line for file in folder.glob("*.jsonl") for line in file.read_bytes().splitlines()]


def test_offering_takes_microseconds(tmp_path: Path) -> None:
    """So that a request does not notice: no lock is waited for, nothing is encoded or written."""
    writer = Writer(tmp_path, waiting_bytes=2**40)
    x = np.zeros((1, 784), np.float32)
    call = Call({"x": x, "word": np.array(["a"], dtype=object)}, ["y"])
    best = min(_timed(lambda: writer.offer("k", writer.config, 1, call, [np.zeros(1)], INTERFACE)))
    assert best < 200e-6
    assert list(tmp_path.iterdir()) == []


def _timed(action: Any) -> list[float]:
    found = []
    for _ in range(200):
        start = time.perf_counter()
        action()
        found.append(time.perf_counter() - start)
    return found


def test_the_model_server_tells_what_it_captured(start: Callable[..., kit.Server], tmp_path: Path) -> None:
    """Of all its workers, and of endpoints that it still has."""
    revision = kit.revision(kit.mlp(tmp_path / "m.onnx"))
    config = ServedCapture(share=1.0, folder=str(tmp_path / "asked"), budget_bytes=2**20)
    asked = ServedEndpoint(revisions=[revision], capture=config)
    kit.write_routes(tmp_path, {"p/asked": asked, "p/quiet": revision})
    server = start("--workers", "2").wait()
    body = {"inputs": [kit.tensor("x", "FP32", [1, 8], [0.0] * 8)]}
    for _ in range(10):
        assert server.infer("p/asked", body).status_code == server.infer("p/quiet", body).status_code == 200

    def told(line: str) -> bool:
        return f"nacre_endpoint_capture_{line}\n" in server.control("GET", "/metrics").text

    kit.until(lambda: told('kept_total{endpoint="p/asked"} 10'), "all are kept")
    assert told('dropped_total{endpoint="p/asked"} 0')
    assert told('over_total{endpoint="p/asked"} 0')
    assert 'total{endpoint="p/quiet"}' not in server.control("GET", "/metrics").text
