"""What workers wrote is counted once, whatever is killed in between, and for the right endpoint."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock, epoch_ms
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointRequestsRow, UsageFileRow
from nacre.schema.serving import ServedUsage
from nacre.schema.usage import RequestUsage
from nacre.services.endpoint_usage import EndpointUsage

GONE = "4194305-1.jsonl"
"""Of a worker that cannot be: no process has such a number."""


class Books:
    """A project's endpoint, the folder of usage files, and the booking."""

    def __init__(self, world: ModelsWorld, people: People) -> None:
        self.world, self.people = world, people
        self.usage = world.endpoint_usage
        self.folder = world.serving / "usage"
        self.folder.mkdir(parents=True)
        self.clock = world.jobs.clock
        world.ready(people.editor)
        self.deploy()

    def deploy(self) -> str:
        return self.world.deploy(self.people.editor).id

    def line(self, requests: int = 1, *, later_s: float = 0, **fields: Any) -> bytes:
        told = {
            "time_ms": epoch_ms(self.clock.now()) + round(later_s * 1000),
            "endpoint": "vision/ask",
            "revision": 1,
            "requests": requests,
            "errors": 0,
            "samples": requests * 2,
            "seconds": requests * 0.001,
        }
        return ServedUsage.model_validate(told | fields).model_dump_json().encode() + b"\n"

    def write(self, *lines: bytes, name: str = GONE) -> Path:
        path = self.folder / name
        with path.open("ab") as file:
            file.write(b"".join(lines))
        return path

    def told(self) -> RequestUsage:
        return self.usage.requests(self.people.viewer)

    def rows(self) -> list[EndpointRequestsRow]:
        with self.world.jobs.db.read() as session:
            return list(session.scalars(select(EndpointRequestsRow).order_by(EndpointRequestsRow.hour)))

    def offsets(self) -> dict[str, int]:
        with self.world.jobs.db.read() as session:
            return {row.name: row.read for row in session.scalars(select(UsageFileRow))}


@pytest.fixture
def books(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Books:
    return Books(models_kit.world(database, clock, tmp_path), people)


@pytest.fixture
def worker() -> Iterator[str]:
    """The name of the file of a worker that lives."""
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "nacre.modelserver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # its command line can be read by now
        yield f"{process.pid}-1.jsonl"
        process.stdin.close()


def test_hours_and_revisions_are_summed(books: Books) -> None:
    books.write(
        books.line(3),
        books.line(4, errors=2),
        books.line(5, later_s=3600),
        books.line(6, revision=2),
    )
    assert books.usage.book() == 4
    found = {(row.revision, row.hour): (row.requests, row.errors, row.samples) for row in books.rows()}
    hour = epoch_ms(books.clock.now()) // 3_600_000 * 3600
    assert found == {(1, hour): (7, 2, 14), (1, hour + 3600): (5, 0, 10), (2, hour): (6, 0, 12)}
    told = books.told()
    assert (told.requests, round(told.seconds, 6)) == (18, 0.018)
    (line,) = told.lines
    assert (line.endpoint, line.day, line.requests, line.errors, line.samples) == (
        "ask",
        "2026-01-01",
        18,
        2,
        36,
    )


def test_a_living_workers_file_is_followed(books: Books, worker: str) -> None:
    path = books.write(books.line(1), name=worker)
    assert (books.usage.book(), books.usage.book()) == (1, 0)
    assert path.exists()
    whole = books.line(2)
    books.write(whole[:20], name=worker)
    assert books.usage.book() == 0
    books.write(whole[20:], books.line(4), name=worker)
    assert books.usage.book() == 2
    assert (books.told().requests, books.offsets()) == (7, {worker: path.stat().st_size})


def test_a_dead_workers_file_goes_once_it_is_booked(books: Books) -> None:
    path = books.write(books.line(1), books.line(2)[:-30])
    assert books.usage.book() == 1
    assert not path.exists()
    assert books.offsets() == {GONE: len(books.line(1))}
    assert books.usage.book() == 0
    assert books.offsets() == {}
    assert books.told().requests == 1


def test_killed_between_booking_and_deleting(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    path = books.write(books.line(1), books.line(2))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)
        with pytest.raises(KeyboardInterrupt):
            books.usage.book()
    assert path.exists()
    assert books.usage.book() == 0
    assert (path.exists(), books.told().requests) == (False, 3)


def test_killed_within_the_transaction(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    books.write(books.line(1), books.line(2))
    with monkeypatch.context() as patch:
        patch.setattr(EndpointUsage, "_add", added_and_killed)
        with pytest.raises(KeyboardInterrupt):
            books.usage.book()
    assert (books.told().requests, books.offsets()) == (0, {})
    assert books.usage.book() == 2
    assert books.told().requests == 3


def test_a_part_that_somebody_else_booked_is_not_booked_again(books: Books, worker: str) -> None:
    books.write(books.line(1), name=worker)
    books.usage.book()
    assert not books.usage._book(worker, 0, books.line(1))
    assert books.told().requests == 1


def test_lines_that_are_none_are_skipped(books: Books) -> None:
    books.write(b"{}\n", b"\x00\xff\n", b"\n", books.line(2), b'{"time_ms": 1}\n')
    assert books.usage.book() == 5
    assert books.told().requests == 2


def test_a_long_file_is_booked_in_parts(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nacre.services.endpoint_usage._AT_ONCE", 500)
    books.write(*(books.line(1) for _ in range(20)))
    assert books.usage.book() == 20
    assert books.told().requests == 20
    assert list(books.folder.iterdir()) == []


class TestNames:
    def test_what_comes_after_the_end_is_the_deleted_ones(
        self, books: Books, people: People, clock: FixedClock
    ) -> None:
        before = books.line(5)
        books.world.endpoints.delete(people.editor, "ask")
        books.write(before)
        assert books.usage.book() == 1
        (line,) = books.told().lines
        assert (line.endpoint, line.requests) == ("ask", 5)

    def test_a_name_that_is_used_again(self, books: Books, people: People, clock: FixedClock) -> None:
        first = books.world.endpoints.get(people.viewer, "ask").id
        late = books.line(5)
        clock.advance(10)
        books.world.endpoints.delete(people.editor, "ask")
        second = books.deploy()
        books.write(late, books.line(7, later_s=1))
        books.usage.book()
        found = {line.endpoint_id: line.requests for line in books.told().lines}
        assert found == {first: 5, second: 7}

    def test_of_nobody_is_told_and_left_out(self, books: Books, caplog: pytest.LogCaptureFixture) -> None:
        books.write(books.line(5, endpoint="nowhere/ask"), books.line(6, endpoint="vision/never"))
        assert books.usage.book() == 2
        assert (books.told().lines, len(caplog.records)) == ([], 2)

    def test_other_projects_see_nothing_of_it(self, books: Books, people: People) -> None:
        books.write(books.line(5))
        books.usage.book()
        assert books.told().requests == 5
        other = books.world.jobs.db
        with other.read() as session:
            assert {row.project_id for row in session.scalars(select(EndpointRequestsRow))} == {
                people.project.id
            }


def test_days_can_be_chosen(books: Books, clock: FixedClock) -> None:
    for day in range(3):
        books.write(books.line(10**day, later_s=day * 86_400))
    books.usage.book()
    assert [line.requests for line in books.told().lines] == [100, 10, 1]
    start = clock.now()
    clock.advance(86_400)
    caller = books.people.viewer
    assert books.usage.requests(caller, since=clock.now()).requests == 110
    assert books.usage.requests(caller, since=start, until=clock.now()).requests == 11


def test_without_a_folder_there_is_nothing(books: Books) -> None:
    books.folder.rmdir()
    assert books.usage.book() == 0
    assert os.listdir(books.world.serving) == []


_add = EndpointUsage._add


def added_and_killed(usage: EndpointUsage, session: Session, lines: Iterable[ServedUsage]) -> None:
    _add(usage, session, lines)
    session.flush()
    raise KeyboardInterrupt


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
