"""Runs as TensorBoard's program reads them: which points are new, which names mean the same curve."""

from __future__ import annotations

import io
import math
import socketserver
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar

import pytest

from nacre.sdk.tracking.wire import Away, Refused, Wire
from nacre.workloads.tracked import Curve, Source, table, tracked_names, typed


class TestCurve:
    def test_points_are_written_once(self) -> None:
        curve = Curve()
        assert curve.fresh([(0, 10, 1.0), (1, 20, 0.5)], 2) == [(0, 10, 1.0), (1, 20, 0.5)]
        assert curve.fresh([(0, 10, 1.0), (1, 20, 0.5)], 2) == []
        assert curve.fresh([(0, 10, 1.0), (1, 20, 0.5), (2, 30, 0.2)], 3) == [(2, 30, 0.2)]

    def test_a_late_point_of_an_earlier_step_is_written(self) -> None:
        curve = Curve()
        curve.fresh([(0, 10, 1.0), (5, 20, 0.5)], 2)
        assert curve.fresh([(0, 10, 1.0), (3, 30, 0.7), (5, 20, 0.5)], 3) == [(3, 30, 0.7)]

    def test_equal_points_and_nan_are_told_apart_by_their_number(self) -> None:
        curve = Curve()
        assert len(curve.fresh([(0, 10, math.nan)], 1)) == 1
        assert curve.fresh([(0, 10, math.nan)], 1) == []
        assert len(curve.fresh([(0, 10, math.nan), (0, 10, math.nan)], 2)) == 1

    def test_of_a_thinned_curve_only_what_comes_behind_is_written(self) -> None:
        curve = Curve()
        curve.fresh([(0, 0, 1.0), (1, 1, 0.9), (2, 2, 0.8)], 3)
        assert curve.fresh([(0, 0, 1.0), (2, 2, 0.8), (7, 7, 0.1), (9, 9, 0.3)], 10) == [
            (7, 7, 0.1),
            (9, 9, 0.3),
        ]
        assert curve.fresh([(1, 1, 0.9), (8, 8, 0.2), (9, 9, 0.3), (12, 12, 0.0)], 13) == [(12, 12, 0.0)]

    def test_a_curve_without_points_has_none(self) -> None:
        assert Curve().fresh([], 0) == []


def test_a_metric_is_the_same_scalar_with_none_some_or_all_of_the_folders_before_it() -> None:
    assert tracked_names("loss", ".") == {"loss"}
    assert tracked_names("loss", "") == {"loss"}
    assert tracked_names("epoch/loss", "a/train") == {
        "epoch/loss",
        "train/epoch/loss",
        "a/train/epoch/loss",
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.1", 0.1),
        ("1e-3", 0.001),
        ("7", 7.0),
        ("True", True),
        ("False", False),
        ("adam", "adam"),
        ("", ""),
    ],
)
def test_a_parameter_is_a_number_or_truth_value_where_it_is_one(text: str, value: object) -> None:
    assert typed(text) == value
    assert type(typed(text)) is type(value)


def test_the_table_of_parameters_keeps_to_its_cells() -> None:
    shown = table({"a|b": "one\ntwo", "long": "x" * 5000})
    lines = shown.splitlines()
    assert len(lines) == 4
    assert lines[2] == "| a\\|b | one two |"
    assert len(lines[3]) < 1100


class Api(BaseHTTPRequestHandler):
    """An API on a unix socket."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        whole = b"x" * 3_000_000
        if self.path.endswith("/missing.tfevents"):
            body, status = b'{"detail": "there is no such file"}', 404
        elif self.path.endswith("/busy.tfevents"):
            body, status = b'{"detail": "later"}', 503
        else:
            body, status = whole, 200
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:1000] if self.path.endswith("/cut.tfevents") else body)

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    path = tmp_path / "api"
    Api.asked.clear()
    with socketserver.ThreadingUnixStreamServer(str(path), Api) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield Source(Wire(f"unix:{path}", "token"), "vision one")
        server.shutdown()
        thread.join(10)


class TestDownload:
    def test_a_file_comes_whole_by_its_escaped_path(self, source: Source, tmp_path: Path) -> None:
        source.download("r1", "tb/a b/ü.tfevents", tmp_path / "file")
        assert (tmp_path / "file").stat().st_size == 3_000_000
        assert Api.asked == ["/api/v1/projects/vision%20one/runs/r1/artifacts/tb/a%20b/%C3%BC.tfevents"]

    @pytest.mark.parametrize(
        ("name", "error"),
        [("missing", Refused), ("busy", Away), ("cut", Away)],
        ids=str,
    )
    def test_what_does_not_come_whole_is_not_there(
        self, source: Source, tmp_path: Path, name: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error):
            source.download("r1", f"{name}.tfevents", tmp_path / "file")
        assert not (tmp_path / "file").exists()

    def test_a_server_that_is_gone_is_away(self, tmp_path: Path) -> None:
        with pytest.raises(Away):
            Wire(f"unix:{tmp_path}/nobody", "token").fetch("/x", io.BytesIO())
