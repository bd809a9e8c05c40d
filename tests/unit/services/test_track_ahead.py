"""Writers that remember series: whatever others did to them meanwhile, nothing is lost or doubled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update
from tests.conftest import People
from tests.unit.services.track_kit import batch_of, make_run, rows_of, series_of

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.runs import RunRow
from nacre.errors import NotFound
from nacre.services.sealing import Sealing
from nacre.services.signals import Signals
from nacre.services.track_ahead import Ahead
from nacre.services.track_core import Outcome
from nacre.services.track_writer import TrackBatch, TrackWriter

NAN = float("nan")


@pytest.fixture
def run(database: Database, people: People, clock: FixedClock) -> str:
    return make_run(database, people, clock)


@pytest.fixture
def writers(database: Database) -> Iterator[tuple[TrackWriter, TrackWriter]]:
    """Those of two servers on one database."""
    made = (TrackWriter(database, Signals()), TrackWriter(database, Signals()))
    for writer in made:
        writer.start()
    yield made
    for writer in made:
        writer.stop()


def point(step: int, value: float = 0.5, key: str = "loss") -> tuple[str, int, int, float]:
    return (key, step, 1000 + step, value)


def kept(database: Database, run: str) -> list[int]:
    return [step for step, _, _ in rows_of(database, run)]


def test_points_ahead_take_the_short_way_on_postgresql(
    database: Database,
    writers: tuple[TrackWriter, TrackWriter],
    people: People,
    run: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[bool] = []
    bring = Ahead.bring

    def watched(self: Ahead, *given: object) -> Outcome | None:
        outcome = bring(self, *given)  # type: ignore[arg-type]
        taken.append(outcome is not None)
        return outcome

    monkeypatch.setattr(Ahead, "bring", watched)
    for step in range(4):
        writers[0].write(batch_of(people, run, [point(step)]))
    assert taken == ([] if database.sqlite else [False, True, True, True])
    writers[0].write(batch_of(people, run, [point(1, 0.7)]))
    assert taken[4:] in ([], [False]), "a point that is not ahead"
    assert len(rows_of(database, run)) == 5


def test_another_server_s_points_are_seen(
    database: Database, writers: tuple[TrackWriter, TrackWriter], people: People, run: str
) -> None:
    for step in range(12):
        writers[step % 2 if step > 2 else 0].write(batch_of(people, run, [point(step, float(step))]))
    writers[0].write(batch_of(people, run, [point(11, 11.0)]))  # the other's: it is there already
    series = series_of(database, run)
    assert series is not None
    assert kept(database, run) == list(range(12))
    assert (series.n, series.tail, series.last_value, series.min, series.max) == (12, 12, 11.0, 0.0, 11.0)


def test_a_batch_of_a_stale_series_and_others_is_applied_whole(
    database: Database, writers: tuple[TrackWriter, TrackWriter], people: People, run: str
) -> None:
    for writer, step in ((writers[0], 0), (writers[1], 1)):
        writer.write(batch_of(people, run, [point(step, key="a"), point(step, key="b")]))
    writers[0].write(
        batch_of(people, run, [point(2, key="a"), point(2, NAN, key="b"), point(2, key="new")])
    )
    for key, count in (("a", 3), ("b", 3), ("new", 1)):
        series = series_of(database, run, key)
        assert series is not None
        assert series.n == count


def test_a_run_that_was_deleted_or_is_another_project_s_is_refused(
    database: Database,
    writers: tuple[TrackWriter, TrackWriter],
    people: People,
    run: str,
    clock: FixedClock,
) -> None:
    for step in range(2):
        writers[0].write(batch_of(people, run, [point(step)]))
    with pytest.raises(NotFound):
        writers[0].write(TrackBatch(run, "prj_other", metrics=[point(2)]))
    with database.write() as session:
        session.execute(update(RunRow).where(RunRow.uuid == run).values(deleted_at=clock.now()))
    with pytest.raises(NotFound):
        writers[0].write(batch_of(people, run, [point(2)]))
    assert kept(database, run) == [0, 1]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    moves=st.lists(
        st.one_of(
            st.tuples(
                st.integers(0, 1),
                st.lists(st.tuples(st.integers(0, 60), st.sampled_from([0.5, -1.0, NAN])), max_size=4),
            ),
            st.none(),
        ),
        max_size=20,
    )
)
def test_two_writers_and_sealing_in_any_order_keep_the_set_of_points(
    moves: list[tuple[int, list[tuple[int, float]]] | None],
    database: Database,
    writers: tuple[TrackWriter, TrackWriter],
    people: People,
    clock: FixedClock,
) -> None:
    run, sealing = make_run(database, people, clock), Sealing(database, clock)
    sent: set[tuple[int, str]] = set()
    for move in moves:
        series = series_of(database, run)
        if move is None:
            if series is not None:
                sealing.seal(series.id)
            continue
        which, points = move
        writers[which].write(batch_of(people, run, [point(step, value) for step, value in points]))
        sent |= {(step, str(value)) for step, value in points}
    found = [(step, str(NAN if value is None else value)) for step, _, value in rows_of(database, run)]
    assert sorted(found) == sorted(sent)
    series = series_of(database, run)
    assert (0 if series is None else series.n) == len(sent)
