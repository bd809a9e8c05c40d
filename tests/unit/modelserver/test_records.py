"""What a worker writes down: usage for the bill, and the access log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import modelserver_kit as kit
import pytest

from nacre.modelserver import records
from nacre.modelserver.records import Records
from nacre.schema.serving import ServedEndpoint, ServedUsage

ASK = {"inputs": [kit.tensor("x", "FP32", [2, 1], [0.0, 1.0])]}


def usage(folder: Path) -> list[ServedUsage]:
    return [
        ServedUsage.model_validate_json(line)
        for path in (folder / "usage").glob("*.jsonl")
        for line in path.read_text().splitlines()
    ]


def test_every_request_is_written_down_once(start: Callable[..., kit.Server], tmp_path: Path) -> None:
    one = kit.revision(kit.constant(tmp_path / "1.onnx", 1.0), 1)
    two = kit.revision(kit.constant(tmp_path / "2.onnx", 2.0), 2)
    kit.write_routes(tmp_path, {"p/c": ServedEndpoint(revisions=[one], access_log=0.5), "p/d": one})
    server = start().wait()
    for _ in range(8):
        assert server.infer("p/c", ASK).status_code == 200
    assert server.infer("p/c", {"inputs": []}).status_code == 400
    kit.write_routes(tmp_path, {"p/c": two}, generation=2)  # the first revision goes
    server.reload()
    for _ in range(3):
        server.infer("p/c", ASK)
    assert server.stop() == 0
    told: dict[int, list[int]] = {}
    for line in usage(tmp_path):
        assert line.endpoint == "p/c"
        assert line.seconds > 0
        counts = told.setdefault(line.revision, [0, 0, 0])
        for at, count in enumerate((line.requests, line.errors, line.samples)):
            counts[at] += count
    assert told == {1: [9, 1, 16], 2: [3, 0, 6]}
    logged = [json.loads(line) for line in (tmp_path / "access.log").read_text().splitlines()]
    assert len(logged) == 4
    assert {(one["endpoint"], one["revision"], one["status"]) for one in logged} == {("p/c", 1, 200)}
    assert all(one["samples"] == 2 and one["ms"] > 0 for one in logged)


def test_a_full_log_is_moved_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "ROTATE_BYTES", 10)
    written = Records(tmp_path)
    for number in range(3):
        written.add({"number": number})
        written.write(*written.collect([]))
    assert json.loads((tmp_path / "access.log.1").read_text()) == {"number": 1}
    assert json.loads((tmp_path / "access.log").read_text()) == {"number": 2}


def test_a_disk_that_is_full_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "access.log").mkdir()
    written = Records(tmp_path)
    written.add({"number": 1})
    written.write(*written.collect([]))
    assert "not written" in caplog.text
