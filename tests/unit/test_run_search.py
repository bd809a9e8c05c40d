"""Search of runs: the same answer as looking at each, in pages that neither lose nor repeat a run."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.queries import run_search
from nacre.db.queries.run_search import count_runs, search_runs
from nacre.db.tables.runs import (
    ExperimentRow,
    MetricSeriesRow,
    RunInputRow,
    RunParamRow,
    RunRow,
    RunTagRow,
)
from nacre.domain.run_filter import parse_filter, parse_order
from nacre.errors import InvalidSpec

NAN = math.nan
_SIZE = 90


@dataclass
class Kept:
    """A run as the test knows it."""

    uuid: str
    experiment: int
    start: int
    name: str
    state: str
    deleted: bool
    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class World:
    database: Database
    project: str
    experiments: list[int]
    runs: list[Kept]

    def find(self, experiments: list[int] | None = None, limit: int = 1000, **asked: Any) -> list[str]:
        """Every page of a search, one after another."""
        found: list[str] = []
        cursor = None
        with self.database.read() as session:
            while True:
                rows, cursor = search_runs(
                    session,
                    self.project,
                    experiment_ids=experiments,
                    filter=parse_filter(asked.get("filter", "")),
                    order=parse_order(asked.get("order", [])),
                    view=asked.get("view", "active"),
                    limit=limit,
                    cursor=cursor,
                )
                found += [row.uuid for row in rows]
                if cursor is None:
                    return found
                assert len(rows) == limit


@pytest.fixture
def world(database: Database, people: People, clock: FixedClock) -> World:
    """Runs of three experiments, with equal starts, missing values, NaN and infinities; some deleted."""
    chance = random.Random(7)
    project = people.project.id
    kept: list[Kept] = []
    with database.write() as session:
        experiments = [
            ExperimentRow(project_id=project, name=name, created_at=clock.now()) for name in ("a", "b", "c")
        ]
        session.add_all(experiments)
        session.flush()
        numbers = [experiment.id for experiment in experiments]
        for n in range(_SIZE):
            start = clock.now() + timedelta(seconds=n // 4)
            run = Kept(
                f"{chance.getrandbits(128):032x}",
                numbers[n % 3],
                int(start.timestamp() * 1000),
                f"Run-{n % 7}",
                ("running", "finished", "failed")[n % 3],
                n % 10 == 0,
            )
            row = RunRow(
                uuid=run.uuid,
                project_id=project,
                experiment_id=run.experiment,
                user_id=people.editor.user_id,
                name=run.name,
                state=run.state,
                created_at=start,
                started_at=start,
                deleted_at=start if run.deleted else None,
            )
            session.add(row)
            session.flush()
            if n % 5:
                run.metrics["acc"] = chance.choice([0.0, 0.25, 0.5, 1.0, NAN, math.inf, -math.inf, -3.5])
            if n % 4:
                run.params["lr"] = chance.choice(["0.1", "0.01", "x" * 70, "X" * 70, "é_%*[?"])
            if n % 2:
                run.tags["team a/b"] = chance.choice(["red", "Red", "blue"])
            for key, value in run.metrics.items():
                known = None if math.isnan(value) else value
                series = {
                    "last_step": 0,
                    "last_ts": 0,
                    "n": 1,
                    "min": known,
                    "max": known,
                    "tail": 1,
                    "blocks": 0,
                }
                session.execute(
                    insert(MetricSeriesRow).values(run_id=row.id, key=key, last_value=known, **series)
                )
            session.add_all(RunParamRow(run_id=row.id, key=k, value=v) for k, v in run.params.items())
            session.add_all(RunTagRow(run_id=row.id, key=k, value=v) for k, v in run.tags.items())
            if n == 5:
                session.add(
                    RunInputRow(
                        run_id=row.id, name="mnist", digest="d1", source_type="local", source="{}",
                        tags={"mlflow.data.context": "train"},
                    )
                )  # fmt: skip
            kept.append(run)
    return World(database, project, numbers, kept)


@pytest.fixture(params=["usual", "walking"])
def strategy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once as so few runs are searched, once as very many are."""
    if request.param == "walking":
        monkeypatch.setattr(run_search, "_FEW", 2)
        monkeypatch.setattr(run_search, "_SORTED", 1)


def _active(run: Kept) -> bool:
    return not run.deleted


_TESTS: list[tuple[str, Callable[[Kept], bool]]] = [
    ("", lambda r: True),
    ("metrics.acc > 0.25", lambda r: r.metrics.get("acc", NAN) > 0.25),
    ("metrics.acc <= 0", lambda r: r.metrics.get("acc", NAN) <= 0),
    ("metrics.acc != 0.5", lambda r: "acc" in r.metrics and r.metrics["acc"] != 0.5),
    ("metrics.acc = 1", lambda r: r.metrics.get("acc") == 1),
    ("metrics.other > 0", lambda r: False),
    ("params.lr = '0.1'", lambda r: r.params.get("lr") == "0.1"),
    (f"params.lr = '{'x' * 70}'", lambda r: r.params.get("lr") == "x" * 70),
    (f"params.lr = '{'x' * 64}'", lambda r: False),
    ("params.lr != '0.1'", lambda r: r.params.get("lr", "0.1") != "0.1"),
    ("params.lr LIKE 'x%'", lambda r: r.params.get("lr", "").startswith("x")),
    ("params.lr ILIKE 'x%'", lambda r: r.params.get("lr", "").lower().startswith("x")),
    ("params.lr LIKE '0._'", lambda r: r.params.get("lr") == "0.1"),
    ("params.lr LIKE '%*[?'", lambda r: r.params.get("lr", "").endswith("*[?")),
    ("params.lr IS NULL", lambda r: "lr" not in r.params),
    ("params.lr IS NOT NULL", lambda r: "lr" in r.params),
    ("tags.`team a/b` = 'red'", lambda r: r.tags.get("team a/b") == "red"),
    ("tags.mlflow.runName = 'Run-3'", lambda r: r.name == "Run-3"),
    ("attributes.run_name LIKE 'run%'", lambda r: False),
    ("attributes.run_name ILIKE 'run-1'", lambda r: r.name == "Run-1"),
    ("status = 'FINISHED'", lambda r: r.state == "finished"),
    ("status IN ('FAILED', 'RUNNING')", lambda r: r.state != "finished"),
    ("user_id = 'editor'", lambda r: True),
    ("user_id = 'owner'", lambda r: False),
    ("datasets.name = 'mnist' AND datasets.context = 'train'", lambda r: False),
    (
        "metrics.acc >= 0 and params.lr = '0.01' and tags.`team a/b` != 'red'",
        lambda r: (
            r.metrics.get("acc", NAN) >= 0
            and r.params.get("lr") == "0.01"
            and r.tags.get("team a/b", "red") != "red"
        ),
    ),
]


@pytest.mark.usefixtures("strategy")
def test_filters_find_what_looking_at_each_run_finds(world: World) -> None:
    for source, fits in _TESTS:
        expected = {run.uuid for run in world.runs if _active(run) and fits(run)}
        if "datasets" in source:
            expected = {world.runs[5].uuid}
        assert set(world.find(filter=source)) == expected, source
        with world.database.read() as session:
            assert count_runs(session, world.project, filter=parse_filter(source)) == len(expected), source


def _rank(run: Kept, by: str) -> tuple[int, Any]:
    if by == "metric":
        value = run.metrics.get("acc")
        return (2, 0.0) if value is None else ((1, 0.0) if math.isnan(value) else (0, value))
    text_of = {"param": run.params.get("lr"), "tag": run.tags.get("team a/b"), "name": run.name}
    value_of = text_of[by]
    return (1, "") if value_of is None else (0, value_of)


def _sorted(runs: list[Kept], by: str, ascending: bool) -> list[str]:
    """By the value, runs without it last; then the latest start, then the id."""
    runs = sorted(runs, key=lambda r: (-r.start, r.uuid))
    ranks = sorted({_rank(r, by)[0] for r in runs})
    parts = [
        sorted((r for r in runs if _rank(r, by)[0] == rank), key=lambda r: _rank(r, by)[1], reverse=False)
        if ascending
        else sorted(
            (r for r in runs if _rank(r, by)[0] == rank), key=lambda r: _rank(r, by)[1], reverse=True
        )
        for rank in ranks
    ]
    return [r.uuid for r in itertools.chain(*parts)]


@pytest.mark.usefixtures("strategy")
@pytest.mark.parametrize(
    ("by", "term"),
    [
        ("metric", "metrics.acc"),
        ("param", "params.lr"),
        ("tag", "tags.`team a/b`"),
        ("name", "attributes.run_name"),
    ],
)
def test_orders_and_pages(world: World, by: str, term: str) -> None:
    for experiments, ascending in (
        ([world.experiments[0]], True),
        (world.experiments, False),
        (None, True),
    ):
        mine = [
            r for r in world.runs if _active(r) and (experiments is None or r.experiment in experiments)
        ]
        expected = _sorted(mine, by, ascending)
        clause = [f"{term} {'ASC' if ascending else 'DESC'}"]
        for limit in (1000, 7):
            assert world.find(experiments, limit, order=clause) == expected, (term, limit)
    narrowed = world.find(order=[term], filter="params.lr = '0.1'", limit=3)
    fitting = [r for r in world.runs if _active(r) and r.params.get("lr") == "0.1"]
    assert narrowed == _sorted(fitting, by, ascending=True)


@pytest.mark.usefixtures("strategy")
def test_the_latest_start_comes_first_also_over_experiments(world: World) -> None:
    for experiments in ([world.experiments[1]], world.experiments[:2], None, [*world.experiments, 10**9]):
        mine = [
            r for r in world.runs if _active(r) and (experiments is None or r.experiment in experiments)
        ]
        expected = [r.uuid for r in sorted(mine, key=lambda r: (-r.start, r.uuid))]
        for limit in (1000, 5):
            assert world.find(experiments, limit) == expected
        backwards = [r.uuid for r in sorted(mine, key=lambda r: (r.start, r.uuid))]
        assert world.find(experiments, 5, order=["start_time ASC"]) == backwards


def test_two_terms(world: World) -> None:
    found = world.find(order=["status DESC", "metrics.acc ASC"], limit=4)
    by_uuid = {r.uuid: r for r in world.runs}
    keys = [(by_uuid[u].state, _rank(by_uuid[u], "metric")) for u in found]
    assert keys == sorted(keys, key=lambda k: ([-ord(c) for c in k[0]], k[1]))
    assert len(set(found)) == sum(map(_active, world.runs))


def test_views(world: World) -> None:
    gone = {r.uuid for r in world.runs if r.deleted}
    assert set(world.find(view="deleted")) == gone
    assert len(world.find(view="all")) == _SIZE
    assert not gone & set(world.find())
    assert world.find([]) == []


def test_runs_of_another_project_are_not_found(world: World) -> None:
    with world.database.read() as session:
        rows, _ = search_runs(session, "prj_else", experiment_ids=world.experiments, view="all")
    assert rows == []


@pytest.mark.parametrize("cursor", ["nonsense", "e30=", "WyIiLFtdXQ==", "WyJtK2FjYyIsWzEsMl1d"])
def test_a_cursor_of_something_else_is_refused(world: World, cursor: str) -> None:
    with world.database.read() as session, pytest.raises(InvalidSpec, match="page token"):
        search_runs(session, world.project, cursor=cursor)


def test_long_texts_can_be_indexed(world: World) -> None:
    with world.database.write() as session:
        number = session.execute(text("SELECT min(id) FROM runs WHERE deleted_at IS NULL")).scalar_one()
        noise = "".join(random.Random(1).choices("abcdefghijklmnop", k=6000))
        session.add(RunParamRow(run_id=number, key="long", value=noise))
    assert len(world.find(filter=f"params.long = '{noise}'")) == 1
