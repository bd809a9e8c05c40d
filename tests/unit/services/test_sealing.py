"""Sealing never changes what is read, whenever it happens and wherever it is stopped."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from tests.conftest import People
from tests.unit.services.track_kit import Metric, batch_of, make_run, rows_of, series_of, steps

from nacre.clock import FixedClock
from nacre.control.tracking import SealLoop
from nacre.db.connect import Database
from nacre.db.queries.series import Axis, chart, points_after
from nacre.db.raw import Raw
from nacre.domain.blocks import Points, Summary
from nacre.domain.curves import Curve
from nacre.services import sealing as module
from nacre.services.sealing import Sealing
from nacre.services.signals import Signals
from nacre.services.track_core import apply
from nacre.services.track_writer import TrackBatch, TrackWriter


@pytest.fixture
def run(database: Database, people: People, clock: FixedClock) -> str:
    return make_run(database, people, clock)


@pytest.fixture
def sealing(database: Database, clock: FixedClock) -> Sealing:
    return Sealing(database, clock)


def log(database: Database, *batches: TrackBatch) -> None:
    with database.write() as session:
        outcome = apply(Raw.of(session), batches)
    assert outcome.errors == [None] * len(batches)


def seal(database: Database, sealing: Sealing, run: str) -> int:
    series = series_of(database, run)
    return 0 if series is None else sealing.seal(series.id)


def levels(database: Database) -> dict[int, int]:
    with database.read() as session:
        rows = session.execute(text("SELECT level, count(*) FROM metric_blocks GROUP BY level"))
        return {int(level): int(count) for level, count in rows}


class TestSealing:
    def test_a_tail_becomes_blocks_and_reads_the_same(
        self, database: Database, sealing: Sealing, people: People, run: str
    ) -> None:
        for part in (steps(10), steps(100, start=10), steps(490, start=110)):
            log(database, batch_of(people, run, part))
        before = rows_of(database, run)
        assert len(before) == 600
        assert levels(database) == {-1: 2}
        assert sealing.due() != []
        assert seal(database, sealing, run) == 600
        assert sealing.due() == []
        assert levels(database) == {0: 1}
        assert rows_of(database, run) == before
        assert seal(database, sealing, run) == 0

    def test_sixteen_blocks_are_summed_up_and_sixteen_sums_again(
        self, database: Database, people: People, run: str
    ) -> None:
        for start in range(0, 260 * 600, 600):
            log(database, batch_of(people, run, steps(600, start=start)))
        assert levels(database) == {0: 260, 1: 16, 2: 1}
        with database.read() as session:
            n, total = session.execute(
                text("SELECT n, sum FROM metric_blocks WHERE level = 2 AND number = 0")
            ).one()
        assert n == 256 * 600
        assert total == pytest.approx(sum(value for *_, value in steps(256 * 600)), abs=1e-9)

    def test_points_that_come_in_between_are_kept(
        self,
        database: Database,
        sealing: Sealing,
        people: People,
        run: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        sent = steps(600)[::2]
        for start in range(0, 300, 20):
            log(database, batch_of(people, run, sent[start : start + 20]))
        packed = module.pack
        meanwhile = [("loss", 3, 3000, 1.0)]

        def pack(points: Points) -> list[tuple[Summary, bytes]]:
            if meanwhile:
                log(database, batch_of(people, run, [meanwhile.pop()]))
            return packed(points)

        monkeypatch.setattr(module, "pack", pack)
        assert seal(database, sealing, run) == 301
        assert len(rows_of(database, run)) == 301
        assert (3, 3000, 1.0) in rows_of(database, run)
        series = series_of(database, run)
        assert series is not None
        assert (series.n, series.tail) == (301, 0)

    def test_a_killed_sealing_changes_nothing(
        self,
        database: Database,
        sealing: Sealing,
        people: People,
        run: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        log(database, batch_of(people, run, steps(500)))
        log(database, batch_of(people, run, steps(20, start=500)))
        before = rows_of(database, run)
        for name in ("pack", "block_rows", "put_blocks"):
            with monkeypatch.context() as killed:
                killed.setattr(module, name, _killed)
                with pytest.raises(KeyboardInterrupt):
                    seal(database, sealing, run)
            assert rows_of(database, run) == before
        assert seal(database, sealing, run) == 520
        assert rows_of(database, run) == before

    def test_writing_and_sealing_at_once_lose_and_double_nothing(
        self, database: Database, sealing: Sealing, people: People, run: str
    ) -> None:
        writer = TrackWriter(database, Signals())
        writer.start()
        done = threading.Event()
        short: list[int] = []

        def keep_sealing() -> None:
            while not done.is_set():
                seal(database, sealing, run)

        def keep_reading() -> None:
            while not done.is_set():
                found = len(rows_of(database, run))
                series = series_of(database, run)
                if series is not None and found > series.n:
                    short.append(found)

        threads = [threading.Thread(target=keep_sealing), threading.Thread(target=keep_reading)]
        for thread in threads:
            thread.start()
        for start in range(0, 3000, 30):
            part = steps(40, start=start)  # ten of them come again with the next
            writer.write(batch_of(people, run, part))
            writer.write(batch_of(people, run, part[:3]))
        done.set()
        for thread in threads:
            thread.join(20)
        writer.stop()
        assert short == []
        assert [step for step, _, _ in rows_of(database, run)] == list(range(3010))


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


class TestLoop:
    def test_it_seals_what_the_writer_names_and_tails_of_runs_that_ended(
        self, database: Database, sealing: Sealing, people: People, clock: FixedClock, run: str
    ) -> None:
        writer = TrackWriter(database, Signals())
        ended = make_run(database, people, clock)
        loop = SealLoop(sealing, writer)
        writer.start()
        writer.write(batch_of(people, run, steps(500)))
        writer.write(batch_of(people, run, steps(12, start=500)))
        writer.write(batch_of(people, ended, steps(40)))
        writer.stop()
        loop.run_once()
        assert levels(database) == {-1: 1, 0: 1}
        with database.write() as session:
            session.execute(
                text("UPDATE runs SET ended_at = :now WHERE uuid = :run"),
                {"now": int(clock.now().timestamp() * 1000), "run": ended},
            )
        loop.run_once()
        assert levels(database) == {0: 2}
        assert len(rows_of(database, ended)) == 40

    def test_a_new_server_finds_what_ended_before_it_started(
        self, database: Database, people: People, clock: FixedClock, run: str
    ) -> None:
        log(database, batch_of(people, run, steps(40)))
        with database.write() as session:
            session.execute(text("UPDATE runs SET ended_at = 1"))
        SealLoop(Sealing(database, clock), TrackWriter(database, Signals())).run_once()
        assert levels(database) == {0: 1}


class TestChart:
    @pytest.fixture
    def long(self, database: Database, people: People, run: str) -> list[Metric]:
        """40,000 points: most in blocks, some in pieces and rows, a few late ones."""
        sent = steps(40_000)
        for start in range(0, 39_000, 1500):
            log(database, batch_of(people, run, sent[start : start + 1500]))
        log(
            database, batch_of(people, run, sent[39_000:39_400]), batch_of(people, run, sent[39_400:39_900])
        )
        log(database, *(batch_of(people, run, [one]) for one in sent[39_900:]))
        log(database, batch_of(people, run, sent[:600]))
        return sent

    def draw(self, database: Database, run: str, axis: Axis = "step", **more: float) -> Curve:
        series = series_of(database, run)
        assert series is not None
        with database.read() as session:
            return chart(session, series, axis=axis, start_ms=5000, **more)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("axis", "scale", "origin"), [("step", 1, 0), ("time", 1000, 0), ("relative", 1000, 5000)]
    )
    @pytest.mark.parametrize("width", [7, 320])
    def test_every_point_is_in_the_band(
        self,
        database: Database,
        run: str,
        long: list[Metric],
        axis: Axis,
        scale: int,
        origin: int,
        width: int,
    ) -> None:
        curve = self.draw(database, run, axis, width=width)
        assert len(curve.x) == width
        assert not curve.exact
        assert curve.n.sum() == pytest.approx(len(long), rel=0.02)
        x = np.array([step for _, step, _, _ in long]) * scale - origin
        y = np.array([value for *_, value in long])
        assert _in_band(curve, x, y)
        assert curve.last[-1] == long[-1][3]
        ratio = np.nanmax(curve.max - curve.min) / (y.max() - y.min())
        assert ratio <= 1

    def test_zooming_in_leads_to_the_points_themselves(
        self, database: Database, run: str, long: list[Metric]
    ) -> None:
        curve = self.draw(database, run, low=20_000, high=20_099)
        assert curve.exact
        assert curve.x.tolist() == list(range(20_000, 20_100))
        assert curve.last.tolist() == [value for *_, value in long[20_000:20_100]]
        some = self.draw(database, run, low=1000, high=4999, width=100)
        assert some.n.sum() == 4000
        y = np.array([value for *_, value in long[1000:5000]])
        assert some.min.min() == y.min()
        assert some.mean.mean() == pytest.approx(y.mean(), abs=1e-6)

    def test_nothing_in_view_is_an_empty_curve(
        self, database: Database, run: str, long: list[Metric]
    ) -> None:
        assert len(self.draw(database, run, low=-10, high=-5).x) == 0

    def test_what_is_behind_a_cursor(self, database: Database, run: str, long: list[Metric]) -> None:
        series = series_of(database, run)
        assert series is not None
        with database.read() as session:
            for step in (-1, 100, 38_990, 39_999):
                assert points_after(session, series, step, step * 1000).step.tolist() == list(
                    range(step + 1, 40_000)
                )


def _in_band(curve: Curve, x: np.ndarray, y: np.ndarray) -> bool:  # type: ignore[type-arg]
    at = np.clip(np.searchsorted((curve.x[1:] + curve.x[:-1]) / 2, x, side="right"), 0, len(curve.x) - 1)
    near = [np.clip(at + side, 0, len(curve.x) - 1) for side in (-1, 0, 1)]  # it may lie on an edge
    return bool(np.any([(curve.min[one] <= y) & (y <= curve.max[one]) for one in near], axis=0).all())


_points = st.tuples(
    st.integers(-4, 40), st.integers(0, 3), st.sampled_from([0.5, -1.0, 2.0, math.inf, -math.inf, math.nan])
)
_moves = st.lists(
    st.one_of(
        st.lists(_points, min_size=1, max_size=60),  # log these
        st.integers(0, 5),  # send that batch again
        st.none(),  # seal
    ),
    max_size=14,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(moves=_moves)
def test_any_order_of_batches_retries_and_sealings_reads_back_as_the_set_of_points(
    moves: list[list[tuple[int, int, float]] | int | None],
    database: Database,
    people: People,
    clock: FixedClock,
    tmp_path: Path,
) -> None:
    run, sealing = make_run(database, people, clock), Sealing(database, clock)
    sent: list[list[tuple[int, int, float]]] = []
    order: list[tuple[int, int, float | None]] = []
    for move in moves:
        if move is None:
            seal(database, sealing, run)
            continue
        batch = (sent[move] if move < len(sent) else []) if isinstance(move, int) else move
        sent.append(batch)
        log(database, batch_of(people, run, [("loss", *point) for point in batch]))
        for step, ts, value in batch:
            point = (step, ts, None if math.isnan(value) else value)
            if point not in order:
                order.append(point)
    found = rows_of(database, run)
    assert sorted(found, key=str) == sorted(order, key=str)
    series = series_of(database, run)
    if series is None:
        assert order == []
        return
    known = [value for _, _, value in order if value is not None]
    latest = max(enumerate(order), key=lambda entry: (entry[1][:2], entry[0]))[1]
    assert (series.n, series.last_step, series.last_ts) == (len(order), *latest[:2])
    assert series.last_value == latest[2]
    assert (series.min, series.max) == (min(known, default=None), max(known, default=None))
    with database.read() as session:
        curve = chart(session, series, axis="step", width=9)
    x, y = np.array([p[0] for p in order]), np.array([p[2] for p in order], np.float64)
    assert curve.n.sum() == len(order)
    if curve.exact:
        assert sorted(zip(curve.x, map(str, curve.last), strict=True)) == sorted(
            zip(x, map(str, y), strict=True)
        )
    else:
        assert _in_band(curve, x[~np.isnan(y)], y[~np.isnan(y)])
