"""``nacre runs``, ``cost``, ``offer``, ``node`` and what ``show`` prints of a run, on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from blake3 import blake3
from tests.conftest import people
from tests.database_kit import sqlite_in
from tests.tracking_kit import Tracking, serving, wire
from typer.testing import CliRunner, Result

from nacre.cli.app import out
from nacre.cli.commands.usage import hours, moment
from nacre.cli.main import app
from nacre.cli.render.runs import render_run
from nacre.clock import FixedClock
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.launch import FileEntry
from nacre.schema.runs import Run, TrackRecord
from nacre.schema.usage import money
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
        monkeypatch.setattr(out, "width", 120)
        monkeypatch.chdir(tmp_path)
        yield client


@pytest.fixture
def run(sdk: Client) -> Run:
    """A run with a param, two curves, and two artifacts."""
    made = sdk.runs.create("digits [run]")
    records = [
        TrackRecord(type="m", key="loss[0]", value=1 / (n + 1), step=n, time_ms=n) for n in range(300)
    ]
    records += [
        TrackRecord(type="m", key="once", value=7, time_ms=1),
        TrackRecord(type="p", key="lr", text="0.1", time_ms=1),
    ]
    sdk.runs.log(made.id, records)
    files = []
    for path, data in {"model.pt": b"weights", "plots/a.txt": b"a"}.items():
        digest = blake3(data).hexdigest()
        sdk.transport.call("blobs.put", None, content=data, project="vision", digest=digest)
        files.append(FileEntry(path=path, size=len(data), digest=digest, executable=path == "model.pt"))
    sdk.runs.add_artifacts(made.id, files)
    return sdk.runs.get(made.id)


def nacre(*arguments: str, answer: str | None = None) -> Result:
    result = CliRunner().invoke(app, list(arguments), input=answer, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_artifacts_and_pull(run: Run, tmp_path: Path) -> None:
    assert "plots/a.txt" in nacre("runs", "artifacts", run.id[:8]).output
    nacre("runs", "pull", run.id, "--to", "all")
    assert (tmp_path / "all/model.pt").read_bytes() == b"weights"
    assert (tmp_path / "all/model.pt").stat().st_mode & 0o100
    nacre("runs", "pull", run.id, "plots", "--to", "some")
    assert [p.name for p in (tmp_path / "some").rglob("*") if p.is_file()] == ["a.txt"]
    assert nacre("runs", "pull", run.id, "model.pt", "--to", "-").output == "weights"
    with pytest.raises(Conflict, match="--force"):
        nacre("runs", "pull", run.id, "--to", "all")
    nacre("runs", "pull", run.id, "--to", "all", "--force")
    with pytest.raises(NotFound, match="nacre runs artifacts"):
        nacre("runs", "pull", run.id, "nothing")


def test_delete_asks_and_puts_the_run_into_the_trash(run: Run, sdk: Client) -> None:
    result = CliRunner().invoke(app, ["runs", "delete", run.id], input="n\n")
    assert result.exit_code != 0
    assert sdk.runs.get(run.id).deleted_at is None
    nacre("runs", "delete", run.id[:6], answer="y\n")
    assert sdk.runs.get(run.id).deleted_at is not None


def test_show_prints_params_metrics_curves_and_the_count_of_artifacts(run: Run, sdk: Client) -> None:
    with out.capture() as captured:
        render_run(sdk, run)
    shown = captured.get()
    assert "digits [run]" in shown
    assert "lr" in shown
    [row] = [line for line in shown.splitlines() if line.startswith("loss[0] ")]
    assert row.split()[1:] == ["0.00333333", "0.00333333", "1", "299", "300"]
    assert shown.count("┤") == 6  # one plot: a single point makes none
    assert all(len(line) <= 100 for line in shown.splitlines())
    assert "2 files" in shown


def test_show_says_what_was_used_in_words_and_leaves_it_out_of_the_metrics(sdk: Client) -> None:
    run = sdk.runs.create("gang")
    named = {
        "system/0/cpu_utilization_percentage": (98.4, 50.0),
        "system/0/system_memory_usage_megabytes": (1200.0, 900.0),
        "system/0/gpu_1_utilization_percentage": (10.0, 87.0),
        "system/0/gpu_1_power_usage_watts": (10.0, 300.0),
        "system/10/cpu_utilization_percentage": (1.0, 3.0),
        "system/2/cpu_utilization_percentage": (2.0, 2.0),
    }
    sdk.runs.log(
        run.id,
        [
            TrackRecord(type="m", key=key, value=value, step=step, time_ms=step)
            for key, values in named.items()
            for step, value in enumerate(values)
        ],
    )
    with out.capture() as captured:
        render_run(sdk, sdk.runs.get(run.id))
    shown = captured.get()
    assert (
        "replica 0: CPU 50 % (at most 98), GPU 1 87 % (at most 87), memory 900 MB (at most 1200)" in shown
    )
    assert shown.index("replica 2: CPU") < shown.index("replica 10: CPU")
    assert not {"metrics", "watts", "┤"} & set(shown.replace("\n", " ").split(" "))
    plotted = nacre("runs", "plot", run.id)
    assert "no such metric" in plotted.stderr
    assert "system/2/cpu" in nacre("runs", "plot", run.id, "--metric", "system/2/*").output


def test_cost_offer_and_nodes(tracking: Tracking, sdk: Client) -> None:
    assert "nothing was used yet" in nacre("cost").output
    now = datetime.now(UTC)
    with tracking.usage._db.write() as session:
        tracking.usage.open(
            session,
            allocation_id="att_1",
            project_id=tracking.people.project.id,
            user_id=tracking.people.editor.user_id,
            kind="job",
            subject_id="job_1",
            subject_name="train",
            cpu=1,
            memory=2**30,
            gpu=0,
            price_per_hour=36_000,
            started_at=now - timedelta(hours=2),
        )
        tracking.usage.close(session, "att_1", now - timedelta(hours=1))
    shown = nacre("cost", "--by", "user,kind").output
    assert "0.0360 USD" in shown
    assert "1h 00m" in shown
    assert "editor" in shown
    assert "train" in nacre("cost", "--records").output
    assert "total 0.0000 USD" in nacre("cost", "--since", "30m").output
    assert json.loads(nacre("-o", "json", "cost").output)["total"] == 36_000
    [line] = json.loads(nacre("-o", "json", "cost", "--by", "subject", "--top", "1").output)["lines"]
    assert (line["subject"], line["subject_name"], line["cost"]) == ("job_1", "train", 36_000)
    assert "train" in nacre("cost", "--by", "subject").output
    ahead = nacre("cost", "--forecast").output
    assert "what runs now (0) goes on at its price" in ahead
    assert "on average in the last 1 day" in ahead
    offered = nacre("offer").output
    assert "cpu.small" in offered
    assert "no machine is large enough" in offered
    assert "0 of 2" in nacre("node", "ls").output


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (59.94, "59.9s"),
        (60, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (90061, "25h 01m"),
    ],
)
def test_hours(seconds: float, text: str) -> None:
    assert hours(seconds) == text


@pytest.mark.parametrize(
    ("micros", "text"),
    [(0, "0.0000 USD"), (12_345, "0.0123 USD"), (7, "0.000007 USD"), (1_500_000, "1.5000 USD")],
)
def test_money(micros: int, text: str) -> None:
    assert money(micros, "USD") == text


def test_moments() -> None:
    assert moment(None) is None
    assert moment("2026-03-01") == datetime(2026, 3, 1, tzinfo=UTC)
    assert moment("2026-03-01T12:00:00+02:00") == datetime(2026, 3, 1, 10, tzinfo=UTC)
    week = moment("7d")
    assert week is not None
    assert abs(datetime.now(UTC) - timedelta(days=7) - week) < timedelta(minutes=1)
    with pytest.raises(InvalidSpec, match="is no time"):
        moment("yesterday")
