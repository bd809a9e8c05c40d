"""The table of runs, charts, comparison and export, on both databases."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import event, text
from tests.conftest import People
from tests.tracking_kit import Tracking, wire

from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound, TooLarge
from nacre.ids import new_id
from nacre.schema.charts import ChartSpec, CompareSpec, RunExport, RunSearch
from nacre.schema.runs import RunCreate, RunLog, TrackRecord
from nacre.services.run_export import export_runs


@pytest.fixture
def tracking(database: Database, people: People, tmp_path: Path) -> Tracking:
    return wire(database, people, tmp_path)


@pytest.fixture
def caller(people: People) -> Caller:
    return people.editor


def metric(key: str, value: float, step: int = 0) -> TrackRecord:
    return TrackRecord(type="m", key=key, value=value, step=step, time_ms=1000 + step)


def param(key: str, value: str) -> TrackRecord:
    return TrackRecord(type="p", key=key, text=value, time_ms=1)


def make(tracking: Tracking, name: str, *records: TrackRecord, experiment: str = "default") -> str:
    run = tracking.runs.create(tracking.people.editor, RunCreate(name=name, experiment=experiment))
    tracking.runs.log(tracking.people.editor, run.id, RunLog(records=list(records)))
    return run.id


def names(found: dict[str, object]) -> list[str]:
    return [row["name"] for row in found["items"]]  # type: ignore[attr-defined]


@contextmanager
def counted(database: Database) -> Iterator[list[tuple[str, Any]]]:
    """The queries that reach the database, with their parameters."""
    seen: list[tuple[str, Any]] = []

    def note(_c: object, _k: object, statement: str, parameters: Any, *_rest: object) -> None:
        if statement.lstrip().upper().startswith("SELECT"):
            seen.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


class TestSearch:
    def test_filters_sorts_and_says_what_columns_are_worth(
        self, tracking: Tracking, caller: Caller
    ) -> None:
        for number in range(5):
            make(
                tracking,
                f"r{number}",
                metric("loss", number / 10),
                param("opt", "adam" if number else "sgd"),
            )
        spec = RunSearch(filter="params.opt = 'adam'", order_by=["metrics.loss DESC"], count=True)
        found = tracking.run_table.search(caller, spec)
        assert names(found) == ["r4", "r3", "r2", "r1"]
        assert found["total"] == 4
        first = found["items"][0]
        assert first["params"] == {"opt": "adam"}
        assert first["metrics"]["loss"] == {"last": 0.4, "min": 0.4, "max": 0.4, "step": 0, "count": 1}

    def test_pages_neither_lose_nor_repeat_a_run(self, tracking: Tracking, caller: Caller) -> None:
        for number in range(7):
            make(tracking, f"r{number}", metric("loss", number % 3))
        spec = RunSearch(order_by=["metrics.loss"], limit=3)
        seen: list[str] = []
        while True:
            page = tracking.run_table.search(caller, spec)
            seen += names(page)
            if page["next"] is None:
                break
            spec = spec.model_copy(update={"cursor": page["next"]})
        assert sorted(seen) == [f"r{number}" for number in range(7)]

    def test_gives_the_columns_that_were_chosen(self, tracking: Tracking, caller: Caller) -> None:
        make(
            tracking, "a", metric("val/loss", 1), metric("val/acc", 1), metric("loss", 1), param("lr", "1")
        )
        spec = RunSearch(columns=["metrics.val/*", 'params."lr"', "tags.none"])
        [row] = tracking.run_table.search(caller, spec)["items"]
        assert sorted(row["metrics"]) == ["val/acc", "val/loss"]
        assert (row["params"], row["tags"]) == ({"lr": "1"}, {})

    def test_a_value_that_is_no_number_is_a_word(self, tracking: Tracking, caller: Caller) -> None:
        make(tracking, "a", metric("x", math.nan), metric("y", math.inf))
        [row] = tracking.run_table.search(caller, RunSearch())["items"]
        assert (row["metrics"]["x"]["last"], row["metrics"]["y"]["last"]) == ("NaN", "Infinity")

    def test_what_does_not_parse_says_where(self, tracking: Tracking, caller: Caller) -> None:
        with pytest.raises(InvalidSpec, match="character 16"):
            tracking.run_table.search(caller, RunSearch(filter="metrics.loss < ! 3"))
        with pytest.raises(InvalidSpec, match="no column"):
            tracking.run_table.search(caller, RunSearch(columns=["speed"]))
        with pytest.raises(NotFound, match="experiment"):
            tracking.run_table.search(caller, RunSearch(experiments=["nothing"]))

    def test_a_foreign_project_s_runs_are_not_there(
        self, tracking: Tracking, caller: Caller, people: People
    ) -> None:
        run = make(tracking, "secret", metric("loss", 1))
        other = replace(people.stranger, project=replace(people.project, id=new_id("prj")))
        assert tracking.run_table.search(other, RunSearch())["items"] == []
        assert tracking.run_table.columns(other, None)["items"] == []
        for read in (
            lambda: tracking.run_table.chart(other, ChartSpec(runs=[run])),
            lambda: tracking.run_table.compare(other, CompareSpec(runs=[run, run])),
            lambda: list(export_runs(tracking.run_table, other, RunExport(runs=[run]))),
        ):
            with pytest.raises(NotFound):
                read()

    def test_the_number_of_statements_does_not_depend_on_the_number_of_runs(
        self, tracking: Tracking, caller: Caller, database: Database
    ) -> None:
        counts = []
        for size in (3, 40):
            for number in range(size):
                make(tracking, f"s{size}-{number}", metric("loss", number), param("lr", "1"))
            with counted(database) as seen:
                tracking.run_table.search(caller, RunSearch(order_by=["metrics.loss"], limit=100))
            counts.append(len(seen))
        assert counts[0] == counts[1] <= 10


@pytest.mark.parametrize(
    "order", [[], ["metrics.m1 DESC"], ["metrics.m1 ASC", "attributes.start_time DESC"]], ids=str
)
def test_no_statement_of_a_page_of_ten_thousand_runs_scans_a_table(
    tracking: Tracking, caller: Caller, database: Database, order: list[str]
) -> None:
    fill(database, caller, 10_000)
    if not database.sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    spec = RunSearch(order_by=order, limit=50)
    with counted(database) as seen:
        assert len(tracking.run_table.search(caller, spec)["items"]) == 50
    scans = [line for statement, parameters in seen for line in scanning(database, statement, parameters)]
    assert scans == []


def test_runs_are_found_by_id_without_going_through_those_of_the_project(
    tracking: Tracking, caller: Caller, database: Database
) -> None:
    fill(database, caller, 2000)
    ids = [f"{number:032x}" for number in range(100)]
    with counted(database) as seen:
        assert len(tracking.run_table.compare(caller, CompareSpec(runs=ids))["runs"]) == 100
    assert len(seen) <= 8
    plan = explained(database, *seen[0])
    assert "uuid" in plan or "sqlite_autoindex_runs" in plan or not database.sqlite
    assert "ix_runs_project_id" not in plan


def explained(database: Database, statement: str, parameters: Any) -> str:
    """A query's plan."""
    explain = "EXPLAIN QUERY PLAN" if database.sqlite else "EXPLAIN"
    with database.engine.connect() as connection:
        return "\n".join(
            str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {statement}", parameters)
        )


def scanning(database: Database, statement: str, parameters: Any) -> list[str]:
    """Those lines of a query's plan that read a whole table that grows with the runs."""
    lines = explained(database, statement, parameters).splitlines()
    if database.sqlite:
        return [
            line for line in lines if re.match(r"SCAN (runs|run_|metric)", line) and "USING" not in line
        ]
    return [
        line
        for before, line in zip(["", *lines], lines, strict=False)
        if re.search(r"Seq Scan on (runs|run_|metric)", line)
        and "Limit" not in before  # then it stops soon
    ]


def fill(database: Database, caller: Caller, count: int) -> None:
    """So many runs with a param and two metrics, written in bulk."""
    with database.write() as session:
        session.execute(
            text("INSERT INTO experiments(project_id, name, created_at) VALUES (:p, 'default', 1)"),
            {"p": caller.project_id},
        )
        experiment = session.execute(text("SELECT max(id) FROM experiments")).scalar_one()
        session.execute(
            text(
                "INSERT INTO runs(uuid, project_id, experiment_id, user_id, name, state, created_at, "
                "started_at) VALUES (:uuid, :p, :e, :u, :uuid, 'finished', :at, :at)"
            ),
            [
                {
                    "uuid": f"{n:032x}",
                    "p": caller.project_id,
                    "e": experiment,
                    "u": caller.user_id,
                    "at": 1_700_000_000_000 + n,
                }
                for n in range(count)
            ],
        )
        for table in ("run_params", "run_tags"):
            session.execute(text(f"INSERT INTO {table}(run_id, key, value) SELECT id, 'lr', '1' FROM runs"))
        for key in ("m1", "m2"):
            session.execute(
                text(
                    "INSERT INTO metric_series(run_id, key, last_step, last_ts, last_value, n, tail, "
                    "blocks) SELECT id, :key, 1, 1, id * 7919 % 1009, 1, 0, 0 FROM runs"
                ),
                {"key": key},
            )


def test_columns_tell_kind_type_and_how_many_runs(tracking: Tracking, caller: Caller) -> None:
    make(tracking, "a", metric("loss", 1), param("lr", "1e-3"), param("opt", "adam"), param("flip", "True"))
    make(tracking, "b", param("lr", "0.1"), param("flip", "false"), experiment="other")
    found = tracking.run_table.columns(caller, None)
    assert found["looked_at"] == 2
    told = {(item["kind"], item["key"]): (item["type"], item["runs"]) for item in found["items"]}
    assert told == {
        ("params", "flip"): ("boolean", 2),
        ("params", "lr"): ("number", 2),
        ("params", "opt"): ("text", 1),
        ("metrics", "loss"): ("number", 1),
    }
    other = tracking.run_table.columns(caller, ["other"])
    assert {item["key"] for item in other["items"]} == {"flip", "lr"}


class TestChart:
    def test_few_points_are_sent_as_they_are(self, tracking: Tracking, caller: Caller) -> None:
        run = make(
            tracking, "a", *[metric("loss", n / 2, n) for n in range(5)], metric("loss", math.nan, 5)
        )
        [series] = tracking.run_table.chart(caller, ChartSpec(runs=["a"]))["series"]
        assert (series["run"], series["key"], series["count"], series["exact"]) == (run, "loss", 6, True)
        assert list(series["x"]) == [0, 1, 2, 3, 4, 5]
        assert list(series["mean"][:5]) == [0, 0.5, 1, 1.5, 2]
        assert math.isnan(series["mean"][5])
        assert series["cursor"] == "6:5:1005"

    def test_many_points_are_summed_up_and_lose_no_spike(self, tracking: Tracking, caller: Caller) -> None:
        values = np.sin(np.arange(5000) / 100)
        values[1234] = 99
        make(tracking, "a", *[metric("loss", float(v), n) for n, v in enumerate(values)])
        [series] = tracking.run_table.chart(caller, ChartSpec(runs=["a"], width=100))["series"]
        assert len(series["x"]) <= 100
        assert sum(series["n"]) == 5000
        assert max(series["max"]) == 99
        assert series["exact"] is False

    def test_runs_come_in_the_order_asked_for_and_keys_by_pattern(
        self, tracking: Tracking, caller: Caller
    ) -> None:
        for name in ("a", "b"):
            make(tracking, name, *[metric(key, 1) for key in ("val/loss", "val/acc", "loss")])
        spec = ChartSpec(runs=["b", "a", "b"], keys=["val/*"])
        found = tracking.run_table.chart(caller, spec)["series"]
        runs = {run["id"]: run["name"] for run in tracking.run_table.search(caller, RunSearch())["items"]}
        assert [(runs[one["run"]], one["key"]) for one in found] == [
            ("b", "val/acc"),
            ("b", "val/loss"),
            ("a", "val/acc"),
            ("a", "val/loss"),
        ]

    def test_a_range_zooms_in(self, tracking: Tracking, caller: Caller) -> None:
        make(tracking, "a", *[metric("loss", n, n) for n in range(100)])
        [series] = tracking.run_table.chart(caller, ChartSpec(runs=["a"], low=10, high=19))["series"]
        assert list(series["x"]) == list(range(10, 20))

    def test_too_many_curves_are_refused(self, tracking: Tracking, caller: Caller) -> None:
        make(tracking, "a", *[metric(f"m{n}", 1) for n in range(300)])
        with pytest.raises(TooLarge, match="fewer"):
            tracking.run_table.chart(caller, ChartSpec(runs=["a"], width=4000))

    def test_a_run_that_is_not_there_is_named(self, tracking: Tracking, caller: Caller) -> None:
        with pytest.raises(NotFound, match="'nothing'"):
            tracking.run_table.chart(caller, ChartSpec(runs=["nothing"]))


def test_a_comparison_shows_what_differs_first_and_marks_the_best(
    tracking: Tracking, caller: Caller
) -> None:
    make(tracking, "a", param("lr", "1"), param("opt", "adam"), metric("val/loss", 0.3), metric("acc", 0.8))
    make(tracking, "b", param("lr", "2"), param("opt", "adam"), metric("val/loss", 0.1, 1), metric("n", 1))
    for step, loss in enumerate((0.05, 0.4)):
        tracking.runs.log(caller, "a", RunLog(records=[metric("val/loss", loss, step + 1)]))
    found = tracking.run_table.compare(caller, CompareSpec(runs=["a", "b"]))
    assert [run["name"] for run in found["runs"]] == ["a", "b"]
    assert found["params"] == [
        {"key": "lr", "values": ["1", "2"], "differs": True},
        {"key": "opt", "values": ["adam", "adam"], "differs": False},
    ]
    metrics = {row["key"]: row for row in found["metrics"]}
    loss = metrics["val/loss"]
    assert (loss["last"], loss["goal"], loss["best"], loss["best_ever"]) == ([0.4, 0.1], "min", 1, 0)
    assert (metrics["acc"]["last"], metrics["acc"]["best"]) == ([0.8, None], 0)
    assert (metrics["n"]["goal"], metrics["n"]["best"]) == (None, None)


def test_a_comparison_leaves_out_what_machines_did_unless_it_is_asked_for(
    tracking: Tracking, caller: Caller
) -> None:
    for name in ("a", "b"):
        make(tracking, name, metric("loss", 0.3), metric("system/cpu_utilization_percentage", 50.0))

    def keys(metrics: list[str] | None) -> list[str]:
        found = tracking.run_table.compare(caller, CompareSpec(runs=["a", "b"], metrics=metrics))
        return [row["key"] for row in found["metrics"]]

    assert keys(None) == ["loss"]
    assert keys(["system/*"]) == ["system/cpu_utilization_percentage"]


def test_a_comparison_tells_what_the_jobs_were_made_with(
    tracking: Tracking, caller: Caller, database: Database
) -> None:
    for name, data in (("a", "digits@1"), ("b", "digits@2")):
        run = make(tracking, name)
        with database.write() as session:
            session.execute(
                text(
                    "INSERT INTO jobs(id, project_id, name, kind, description, user_id, state, run_id, "
                    "environment_id, spec, record, cpu, memory, gpu, price_per_hour, created_at, "
                    "queued_at) VALUES (:id, :p, :n, 'task', '', :u, 'succeeded', :run, 'env', :spec, "
                    ":record, 1, 1, 0, 0, 1, 1)"
                ),
                {
                    "id": f"job_{name}",
                    "p": caller.project_id,
                    "n": name,
                    "u": caller.user_id,
                    "run": run,
                    "spec": '{"resources": {"cpu": 2}}',
                    "record": '{"code": "c", "environment": "base", "commands": ["python t.py"], '
                    f'"inputs": {{"digits": "{data}"}}, "env": {{"SEED": "1"}}}}',
                },
            )
            session.execute(
                text("UPDATE runs SET job_id = :id WHERE uuid = :run"), {"id": f"job_{name}", "run": run}
            )
    made = tracking.run_table.compare(caller, CompareSpec(runs=["a", "b"]))["made_with"]
    assert made[0] == {"key": "data.digits", "values": ["digits@1", "digits@2"], "differs": True}
    same = {row["key"]: row["values"][0] for row in made if not row["differs"]}
    assert same == {
        "code": "c",
        "commands": "python t.py",
        "env.SEED": "1",
        "environment": "base",
        "resources.cpu": 2,
    }


class TestExport:
    def read(self, tracking: Tracking, caller: Caller, spec: RunExport) -> bytes:
        return b"".join(export_runs(tracking.run_table, caller, spec))

    def test_a_csv_has_a_row_per_run_and_a_column_per_key(self, tracking: Tracking, caller: Caller) -> None:
        make(tracking, "a", param("lr", "1"), metric("loss", 0.5), metric("loss", 0.25, 1))
        make(tracking, "b", metric("odd", math.nan))
        rows = list(csv.DictReader(io.StringIO(self.read(tracking, caller, RunExport()).decode())))
        byname = {row["name"]: row for row in rows}
        assert set(byname) == {"a", "b"}
        a = byname["a"]
        assert (a["params.lr"], a["metrics.loss"], a["metrics.loss.max"], a["metrics.loss.step"]) == (
            "1",
            "0.25",
            "0.5",
            "1",
        )
        assert a["created_at"].endswith("Z")
        assert (byname["b"]["params.lr"], byname["b"]["metrics.odd"]) == ("", "NaN")

    def test_parquet_holds_the_same_with_types(self, tracking: Tracking, caller: Caller) -> None:
        make(tracking, "a", param("lr", "1"), metric("loss", 0.5), metric("odd", math.nan))
        make(tracking, "b")
        found = pq.read_table(io.BytesIO(self.read(tracking, caller, RunExport(format="parquet"))))
        rows = {row["name"]: row for row in found.to_pylist()}
        assert rows["a"]["metrics.loss"] == 0.5
        assert math.isnan(rows["a"]["metrics.odd"])
        assert rows["b"]["metrics.loss"] is None
        assert rows["a"]["created_at"].tzinfo is not None

    @pytest.mark.parametrize("form", ["csv", "parquet"])
    def test_points_come_in_order_of_step(self, tracking: Tracking, caller: Caller, form: str) -> None:
        make(tracking, "a", *[metric("loss", n / 2, n) for n in (2, 0, 1)], metric("other", 7))
        spec = RunExport(format=form, what="points", columns=["metrics.loss"])  # type: ignore[arg-type]
        data = self.read(tracking, caller, spec)
        if form == "csv":
            rows = [(int(r["step"]), float(r["value"])) for r in csv.DictReader(io.StringIO(data.decode()))]
        else:
            rows = [(r["step"], r["value"]) for r in pq.read_table(io.BytesIO(data)).to_pylist()]
        assert rows == [(0, 0.0), (1, 0.5), (2, 1.0)]

    def test_a_spreadsheet_runs_no_text_of_a_csv(self, tracking: Tracking, caller: Caller) -> None:
        evil = '=HYPERLINK("http://x")'
        make(tracking, "@SUM(A1)", param("a", evil), param("b", "-0.5"), param("c", "-x"))
        rows = list(csv.reader(io.StringIO(self.read(tracking, caller, RunExport()).decode())))
        cells = dict(zip(*rows, strict=True))
        assert cells["name"] == "'@SUM(A1)"
        assert (cells["params.a"], cells["params.b"], cells["params.c"]) == (f"'{evil}", "-0.5", "'-x")
        raw = list(csv.reader(io.StringIO(self.read(tracking, caller, RunExport(raw=True)).decode())))
        assert dict(zip(*raw, strict=True))["params.a"] == evil

    def test_what_is_wrong_is_said_before_the_first_byte(self, tracking: Tracking, caller: Caller) -> None:
        with pytest.raises(InvalidSpec):
            export_runs(tracking.run_table, caller, RunExport(filter="nonsense"))
        with pytest.raises(NotFound):
            export_runs(tracking.run_table, caller, RunExport(runs=["nothing"]))

    def test_it_comes_in_pieces_of_a_page(
        self, tracking: Tracking, caller: Caller, database: Database
    ) -> None:
        fill(database, caller, 1200)
        pieces = list(export_runs(tracking.run_table, caller, RunExport()))
        assert len(pieces) >= 3
        assert b"".join(pieces).count(b"\r\n") == 1201
        assert max(map(len, pieces)) < 200_000
