"""The writer: what is acknowledged is stored once; what is bad is refused alone; nobody waits for ever."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text
from tests.conftest import People
from tests.unit.services.track_kit import batch_of, make_run, rows_of, series_of, steps

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.runs import RunRow
from nacre.errors import Conflict, InvalidSpec, NotFound, Unavailable
from nacre.services.sealing import Sealing
from nacre.services.signals import Signals
from nacre.services.track_writer import SEAL_TOPIC, TrackBatch, TrackWriter

INF, NAN = float("inf"), float("nan")


@pytest.fixture
def signals() -> Signals:
    return Signals()


@pytest.fixture
def writer(database: Database, signals: Signals) -> Iterator[TrackWriter]:
    made = TrackWriter(database, signals, patience_s=20)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def run(database: Database, people: People, clock: FixedClock) -> str:
    return make_run(database, people, clock)


@pytest.fixture
def sealing(database: Database, clock: FixedClock) -> Sealing:
    return Sealing(database, clock)


class TestOnce:
    def test_the_same_point_again_changes_nothing(
        self, database: Database, writer: TrackWriter, people: People, run: str
    ) -> None:
        for _ in range(3):
            writer.write(batch_of(people, run, [*steps(5), *steps(5)]))
        assert len(rows_of(database, run)) == 5
        series = series_of(database, run)
        assert series is not None
        assert (series.n, series.tail, series.last_step) == (5, 5, 4)

    @pytest.mark.parametrize("count", [3, 100, 700, 5000])
    def test_a_repeated_send_counts_once_before_and_after_sealing(
        self,
        database: Database,
        writer: TrackWriter,
        sealing: Sealing,
        people: People,
        run: str,
        count: int,
    ) -> None:
        sent = [*steps(count), ("loss", count // 2, 7, NAN), ("loss", 0, 0, INF)]
        writer.write(batch_of(people, run, sent))
        before = rows_of(database, run)
        writer.write(batch_of(people, run, sent))
        series = series_of(database, run)
        assert series is not None
        sealing.seal(series.id)
        writer.write(batch_of(people, run, sent[count // 3 :]))
        for metric in (sent[0], sent[count // 2], sent[-2], sent[-1]):
            writer.write(batch_of(people, run, [metric]))
        assert rows_of(database, run) == before
        after = series_of(database, run)
        assert after is not None
        assert (after.n, after.tail) == (count + 2, 0)

    def test_a_batch_id_that_was_applied_changes_nothing(
        self, database: Database, writer: TrackWriter, people: People, run: str
    ) -> None:
        first = batch_of(people, run, steps(2), tags=[("t", "1")], batch="b1")
        writer.write(first)
        writer.write(batch_of(people, run, steps(3, start=10), tags=[("t", "2")], batch="b1"))
        assert len(rows_of(database, run)) == 2
        writer.write(batch_of(people, run, steps(3, start=10), batch="b2"))
        assert len(rows_of(database, run)) == 5

    def test_other_values_at_one_step_and_time_are_kept_each(
        self, database: Database, writer: TrackWriter, sealing: Sealing, people: People, run: str
    ) -> None:
        for value in (2.0, 1.0, NAN, 2.0, NAN):
            writer.write(batch_of(people, run, [("loss", 3, 5, value)]))
        assert rows_of(database, run) == [(3, 5, 1.0), (3, 5, 2.0), (3, 5, None)]
        series = series_of(database, run)
        assert series is not None
        assert (series.n, series.min, series.max, series.last_value) == (3, 1.0, 2.0, None)
        sealing.seal(series.id)
        writer.write(batch_of(people, run, [("loss", 3, 5, 4.0), ("loss", 3, 5, 1.0)]))
        assert rows_of(database, run) == [(3, 5, 1.0), (3, 5, 2.0), (3, 5, 4.0), (3, 5, None)]

    def test_concurrent_sends_of_the_same_batch_count_once(
        self, database: Database, writer: TrackWriter, people: People, run: str
    ) -> None:
        async def send() -> None:
            await asyncio.gather(*(writer.write_async(batch_of(people, run, steps(50))) for _ in range(20)))

        asyncio.run(send())
        assert len(rows_of(database, run)) == 50


class TestValues:
    def test_steps_out_of_order_and_negative_and_at_the_bounds(
        self, database: Database, writer: TrackWriter, sealing: Sealing, people: People, run: str
    ) -> None:
        given = [5, -3, 2**63 - 1, 0, -(2**63), 4]
        for step in given:
            writer.write(batch_of(people, run, [("loss", step, 10, float(step % 7))]))
        wanted = [(step, 10, float(step % 7)) for step in sorted(given)]
        assert rows_of(database, run) == wanted
        series = series_of(database, run)
        assert series is not None
        assert (series.last_step, series.last_value) == (2**63 - 1, float((2**63 - 1) % 7))
        sealing.seal(series.id)
        assert rows_of(database, run) == wanted

    def test_infinities_are_values_and_nan_is_none(
        self, database: Database, writer: TrackWriter, sealing: Sealing, people: People, run: str
    ) -> None:
        values = [NAN, INF, -INF, 0.5, 1e308, -1e308]
        writer.write(batch_of(people, run, [("loss", n, n, value) for n, value in enumerate(values)]))
        series = series_of(database, run)
        assert series is not None
        assert (series.min, series.max, series.n) == (-INF, INF, 6)
        expected = [(0, 0, None), *((n, n, value) for n, value in enumerate(values) if n)]
        assert rows_of(database, run) == expected
        assert sealing.seal(series.id) == 6
        assert rows_of(database, run) == expected

    def test_keys_and_texts_of_any_letters(
        self, database: Database, writer: TrackWriter, people: People, run: str
    ) -> None:
        key = "é/" * 125
        writer.write(
            batch_of(
                people,
                run,
                [(key, 0, 0, 1.0), ("a\0b", 0, 0, 1.0), ("lone \ud800", 0, 0, 1.0)],
                params=[("p\0", "v\udfff")],
            )
        )
        for stored in (key, "a\ufffdb", "lone \ufffd"):
            assert rows_of(database, run, stored) == [(0, 0, 1.0)]
        with database.read() as session:
            assert session.execute(text("SELECT key, value FROM run_params")).fetchall() == [
                ("p\ufffd", "v\ufffd")
            ]

    def test_the_later_param_stays_unless_params_are_strict(
        self, database: Database, writer: TrackWriter, people: People, run: str
    ) -> None:
        writer.write(batch_of(people, run, [], params=[("lr", "1"), ("lr", "2")]))
        writer.write(batch_of(people, run, [], params=[("lr", "2")], strict_params=True))
        with pytest.raises(Conflict) as caught:
            writer.write(
                batch_of(people, run, steps(1), params=[("new", "1"), ("lr", "3")], strict_params=True)
            )
        assert caught.value.extra == {"key": "lr", "old": "2", "new": "3"}
        with pytest.raises(Conflict):
            writer.write(batch_of(people, run, [], params=[("x", "1"), ("x", "2")], strict_params=True))
        with database.read() as session:
            assert session.execute(text("SELECT key, value FROM run_params")).fetchall() == [("lr", "2")]
        assert rows_of(database, run) == []


class TestRefusals:
    def test_a_run_that_is_foreign_unknown_or_in_the_trash_is_not_found(
        self, database: Database, writer: TrackWriter, people: People, run: str, clock: FixedClock
    ) -> None:
        with pytest.raises(NotFound):
            writer.write(TrackBatch(run, "prj_other", steps(1)))
        with pytest.raises(NotFound):
            writer.write(batch_of(people, "0" * 32, steps(1)))
        with database.write() as session:
            session.query(RunRow).where(RunRow.uuid == run).update({"deleted_at": clock.now()})
        with pytest.raises(NotFound):
            writer.write(batch_of(people, run, steps(1)))

    def test_a_bad_batch_fails_alone_in_its_group(
        self, database: Database, signals: Signals, people: People, run: str
    ) -> None:
        writer = TrackWriter(database, signals)
        good = [batch_of(people, run, [(f"k{n}", n, n, 1.0)]) for n in range(10)]
        bad = [
            batch_of(people, "f" * 32, steps(1)),
            batch_of(people, run, [("x" * 251, 0, 0, 1.0)]),
            batch_of(people, run, [("k", 2**63, 0, 1.0)]),
            batch_of(people, run, [("k", 0, 0, "nonsense")]),  # type: ignore[list-item]
            batch_of(people, run, [], params=[("a", "1"), ("a", "2")], strict_params=True),
        ]

        async def send() -> list[object]:
            sent = [asyncio.create_task(writer.write_async(one)) for one in [*good[:5], *bad, *good[5:]]]
            await asyncio.sleep(0)  # all of them wait before the thread starts
            writer.start()
            return list(await asyncio.gather(*sent, return_exceptions=True))

        writer._open = True
        answers = asyncio.run(send())
        writer.stop()
        kinds = [type(answer) for answer in answers]
        refused = [NotFound, InvalidSpec, InvalidSpec, InvalidSpec, Conflict]
        assert kinds == [type(None)] * 5 + refused + [type(None)] * 5
        assert all(rows_of(database, run, f"k{n}") == [(n, n, 1.0)] for n in range(10))

    def test_a_stopped_writer_has_written_what_it_took_and_takes_no_more(
        self, database: Database, signals: Signals, people: People, run: str
    ) -> None:
        writer = TrackWriter(database, signals)
        writer.start()

        async def send() -> list[object]:
            sent = [
                asyncio.create_task(writer.write_async(batch_of(people, run, steps(1, start=n))))
                for n in range(200)
            ]
            await asyncio.sleep(0)
            await asyncio.to_thread(writer.stop)
            return list(await asyncio.gather(*sent))

        assert asyncio.run(send()) == [None] * 200
        assert len(rows_of(database, run)) == 200
        with pytest.raises(Unavailable) as caught:
            writer.write(batch_of(people, run, steps(1)))
        assert caught.value.extra["retry_after_s"] > 0


class TestHardTimes:
    def test_a_locked_database_is_waited_for(
        self, database: Database, writer: TrackWriter, people: People, run: str
    ) -> None:
        writer.write(batch_of(people, run, steps(1)))
        locked = _lock(database, run)
        done: list[object] = []
        thread = threading.Thread(target=lambda: done.append(writer.write(batch_of(people, run, steps(3)))))
        thread.start()
        thread.join(1.5)
        assert thread.is_alive(), "it waits while somebody else holds the database"
        locked()
        thread.join(20)
        assert done == [None]
        assert len(rows_of(database, run)) == 3

    def test_a_database_locked_for_too_long_is_unavailable_and_then_works_again(
        self, database: Database, signals: Signals, people: People, run: str
    ) -> None:
        writer = TrackWriter(database, signals, patience_s=0.5)
        writer.start()
        unlock = _lock(database, run)
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            writer.write(batch_of(people, run, steps(2)))
        assert time.monotonic() - began < 10
        assert caught.value.extra["retry_after_s"] > 0
        unlock()
        writer.write(batch_of(people, run, steps(2)))
        writer.stop()
        assert len(rows_of(database, run)) == 2

    @pytest.mark.postgres
    def test_connections_that_break_are_made_anew(
        self, database: Database, writer: TrackWriter, people: People, run: str
    ) -> None:
        if database.sqlite:
            pytest.skip("only a server can end a connection")
        acknowledged = 0
        end = threading.Event()

        def log() -> None:
            nonlocal acknowledged
            while not end.is_set() and acknowledged < 2000:
                writer.write(batch_of(people, run, steps(1, start=acknowledged)))
                acknowledged += 1

        thread = threading.Thread(target=log)
        thread.start()
        kill = text(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for _ in range(5):
            seen = acknowledged
            deadline = time.monotonic() + 20
            while acknowledged < seen + 20:
                assert time.monotonic() < deadline, "nothing is acknowledged any more"
                end.wait(0.01)
            with database.read() as session:
                assert session.execute(kill).scalar()
        end.set()
        thread.join(20)
        assert len(rows_of(database, run)) == acknowledged

    def test_what_waits_is_bounded(
        self, database: Database, signals: Signals, people: People, run: str
    ) -> None:
        writer = TrackWriter(database, signals, max_points=1000)
        writer._open = True
        most = 0

        async def send() -> None:
            nonlocal most
            sent = [
                asyncio.create_task(writer.write_async(batch_of(people, run, steps(100, start=100 * n))))
                for n in range(60)
            ]
            await asyncio.sleep(0)
            assert writer._queue.qsize() == 10
            most = writer._points
            writer.start()
            await asyncio.gather(*sent)

        asyncio.run(send())
        assert most == 1000
        writer.stop()
        assert writer._points == writer._bytes == 0
        assert len(rows_of(database, run)) == 6000

    def test_a_batch_larger_than_the_bound_is_taken_alone(
        self, database: Database, signals: Signals, people: People, run: str
    ) -> None:
        writer = TrackWriter(database, signals, max_points=10)
        writer.start()
        writer.write(batch_of(people, run, steps(100)))
        writer.stop()
        assert len(rows_of(database, run)) == 100


def test_who_watches_the_run_and_who_seals_are_woken_after_the_commit(
    database: Database, writer: TrackWriter, signals: Signals, people: People, run: str
) -> None:
    with signals.listen(f"run:{run}") as seen, signals.listen(SEAL_TOPIC) as seal:
        writer.write(batch_of(people, run, steps(500)))
        assert seen.wait(5)
        assert not seal.is_set()
        writer.write(batch_of(people, run, steps(12, start=500)))
        assert seal.wait(5)
    series = series_of(database, run)
    assert series is not None
    assert writer.take_due() == [series.id]
    assert writer.take_due() == []


def _lock(database: Database, run: str):  # type: ignore[no-untyped-def]
    """Hold what the writer needs, from another connection; returns what lets it go."""
    if database.sqlite:
        other = sqlite3.connect(
            str(database.engine.url.database), isolation_level=None, check_same_thread=False
        )
        other.execute("BEGIN IMMEDIATE")

        def unlock() -> None:
            other.execute("ROLLBACK")
            other.close()

        return unlock
    connection = database.engine.connect()
    transaction = connection.begin()
    connection.execute(text("SELECT id FROM runs WHERE uuid = :run FOR UPDATE"), {"run": run})

    def release() -> None:
        transaction.rollback()
        connection.close()

    return release
