"""``nacre runs ls``, ``columns``, ``compare``, ``plot``, ``export`` and ``watch`` on a real server."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.conftest import people
from tests.database_kit import sqlite_in
from tests.tracking_kit import Tracking, serving, wire
from typer.testing import CliRunner, Result

from nacre.cli.app import out
from nacre.cli.commands.run_table import order, split
from nacre.cli.main import app
from nacre.cli.render.plot import plot_curves, sparkline
from nacre.clock import FixedClock
from nacre.errors import InvalidSpec
from nacre.schema.runs import TrackRecord
from nacre.sdk.client import Client


@pytest.fixture
def tracking(tmp_path: Path) -> Iterator[Tracking]:
    database = sqlite_in(tmp_path)
    yield wire(database, people.__wrapped__(database, FixedClock()), tmp_path)
    database.close()


@pytest.fixture
def sdk(tracking: Tracking, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Client]:
    with serving(tracking.app) as url, Client(url, "editor", project="vision") as client:
        for name, value in {"URL": url, "TOKEN": "editor", "PROJECT": "vision"}.items():
            monkeypatch.setenv(f"NACRE_{name}", value)
        monkeypatch.setattr(out, "width", 200)
        monkeypatch.chdir(tmp_path)
        yield client


@pytest.fixture
def runs(sdk: Client) -> dict[str, str]:
    """Two runs of different learning rates, the second better; ids by name."""
    made = {}
    for name, rate in (("slow [1]", 0.1), ("quick", 0.5)):
        run = sdk.runs.create(name, experiment="digits")
        records = [
            TrackRecord(type="m", key="loss", value=1 / (1 + rate * n), step=n, time_ms=n)
            for n in range(30)
        ]
        records += [
            TrackRecord(type="p", key="lr", text=str(rate), time_ms=1),
            TrackRecord(type="p", key="opt", text="adam", time_ms=1),
            TrackRecord(type="t", key="note", text="=1+1", time_ms=1),
        ]
        sdk.runs.log(run.id, records)
        made[name] = run.id
    return made


def nacre(*arguments: str) -> Result:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


class TestList:
    def test_shows_what_differs_the_metrics_and_their_curves(self, runs: dict[str, str]) -> None:
        shown = nacre("runs", "ls").output
        header, first, second = shown.splitlines()
        assert header.split() == ["run", "name", "state", "started", "lr", "loss"]
        assert first.startswith(runs["quick"][:8])
        assert "slow [1]" in second
        assert "█" in first
        assert "0.06452" in first

    def test_filters_sorts_and_picks_columns(self, runs: dict[str, str]) -> None:
        found = nacre(
            "runs", "ls", "--sort", "metrics.loss", "-c", "params.o*,metrics.loss", "--no-spark"
        ).output
        assert [line.split()[0] for line in found.splitlines()[1:]] == [
            runs["quick"][:8],
            runs["slow [1]"][:8],
        ]
        assert "adam" in found
        assert "quick" not in nacre("runs", "ls", "--filter", "params.lr = '0.1'").output
        assert "no run fits" in nacre("runs", "ls", "--filter", "params.lr = '7'").output

    def test_json_is_what_the_api_says(self, runs: dict[str, str]) -> None:
        found = json.loads(nacre("-o", "json", "runs", "ls", "--experiment", "digits").output)
        assert {run["id"] for run in found} == set(runs.values())
        assert found[0]["metrics"]["loss"]["count"] == 30

    def test_a_filter_that_does_not_parse_says_where(self, runs: dict[str, str]) -> None:
        with pytest.raises(InvalidSpec, match="character"):
            nacre("runs", "ls", "--filter", "loss < < 1")


def test_what_runs_are_sorted_by_is_best_first_unless_said() -> None:
    asked = ["metrics.accuracy", "metrics.val/loss", "params.lr asc", "start_time DESC"]
    assert order(asked) == [
        "metrics.accuracy DESC",
        "metrics.val/loss ASC",
        "params.lr asc",
        "start_time DESC",
    ]
    assert split(["a, b", "c"]) == ["a", "b", "c"]


def test_columns_lists_keys_with_types(runs: dict[str, str]) -> None:
    shown = nacre("runs", "columns").output
    assert "params.lr" in shown
    assert [i["key"] for i in json.loads(nacre("-o", "json", "runs", "columns").output)["items"]] == [
        "lr",
        "opt",
        "loss",
        "note",
    ]


def test_compare_shows_what_differs_and_marks_the_best(runs: dict[str, str]) -> None:
    shown = nacre("runs", "compare", "quick", "slow [1]").output
    assert "lr" in shown
    assert "adam" not in shown
    assert "0.0645161 ★" in shown
    assert "--all" in shown
    assert "adam" in nacre("runs", "compare", *runs.values(), "--all").output
    found = json.loads(nacre("-o", "json", "runs", "compare", *runs.values()).output)
    assert found["metrics"][0]["best"] == 1
    with pytest.raises(InvalidSpec, match="two runs"):
        nacre("runs", "compare", "quick")


def test_plot_draws_a_frame_for_each_metric_and_a_line_for_each_run(runs: dict[str, str]) -> None:
    shown = nacre("runs", "plot", *runs.values(), "--metric", "lo*", "--height", "6").output
    assert shown.count("┤") == 6
    assert "━━ quick  0.0645161, 30 points" in shown
    assert "━━ slow [1]" in shown
    found = json.loads(nacre("-o", "json", "runs", "plot", "quick").output)
    assert (found["series"][0]["key"], len(found["series"][0]["x"])) == ("loss", 30)
    with pytest.raises(InvalidSpec, match="axis"):
        nacre("runs", "plot", "quick", "--axis", "speed")


class TestExport:
    def test_writes_runs_as_csv_and_parquet(self, runs: dict[str, str], tmp_path: Path) -> None:
        nacre("runs", "export", "-o", "runs.csv")
        rows = list(csv.DictReader((tmp_path / "runs.csv").read_text().splitlines()))
        assert {row["run"]: row["params.lr"] for row in rows} == {
            runs["slow [1]"]: "0.1",
            runs["quick"]: "0.5",
        }
        assert rows[0]["tags.note"] == "'=1+1"
        nacre("runs", "export", "-o", "runs.parquet", "--sort", "metrics.loss")
        assert pq.read_table(tmp_path / "runs.parquet")["name"].to_pylist() == ["quick", "slow [1]"]

    def test_writes_points_of_some_runs(self, runs: dict[str, str], tmp_path: Path) -> None:
        done = nacre("-o", "json", "runs", "export", "quick", "--points", "-o", "points.parquet")
        found = pq.read_table(tmp_path / "points.parquet")
        assert found["step"].to_pylist() == list(range(30))
        assert set(found["run"].to_pylist()) == {runs["quick"]}
        assert json.loads(done.output)["bytes"] == (tmp_path / "points.parquet").stat().st_size

    def test_another_ending_is_refused_and_nothing_is_left(
        self, runs: dict[str, str], tmp_path: Path
    ) -> None:
        with pytest.raises(InvalidSpec, match=r"\.csv or \.parquet"):
            nacre("runs", "export", "-o", "runs.xlsx")
        with pytest.raises(InvalidSpec):
            nacre("runs", "export", "-o", "runs.csv", "--filter", "nonsense")
        assert not list(tmp_path.glob("*runs*"))


def test_watch_ends_with_the_run_and_shows_its_last_points(runs: dict[str, str], sdk: Client) -> None:
    def finish() -> None:
        sdk.runs.log(runs["quick"], [TrackRecord(type="m", key="loss", value=0.01, step=30, time_ms=30)])
        sdk.runs.update(runs["quick"], state="finished")

    threading.Timer(0.5, finish).start()
    lines = [json.loads(line) for line in nacre("-o", "json", "runs", "watch", "quick").output.splitlines()]
    steps = [s for one in lines for s in one["data"].get("metrics", {}).get("loss", {}).get("step", [])]
    assert steps == list(range(31))
    assert lines[-1]["data"]["run"]["state"] == "finished"
    assert "31" in nacre("runs", "watch", "quick").output


def test_curves_share_a_frame_and_keep_their_numbers() -> None:
    lines = plot_curves([[(0, 0), (10, 1)], [(0, 1), (10, 0)], []], 30, 4)
    assert len(lines) == 5
    assert {owner for line in lines for _, owner in line} == {None, 0, 1}
    assert plot_curves([[], [(0, float("nan"))]], 30, 4) == []


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([], ""),
        ([1.0], "▄"),
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([0.0, None, float("nan"), 1.0], "▁█"),
        ([0] * 50 + [1] * 50, "▁▁▁▁████"),
    ],
)
def test_sparklines(values: list[float | None], shown: str) -> None:
    assert sparkline(values, 8) == shown
