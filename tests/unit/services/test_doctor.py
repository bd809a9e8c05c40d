"""The doctor: what works is said to work, and what is broken is found, with what to do about it."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.conftest import People

from nacre.clock import FixedClock, SystemClock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointRow
from nacre.errors import Unavailable
from nacre.plugins.blobs.files import FileBlobs
from nacre.schema.server import Check, CheckState, Diagnosis, worst
from nacre.services.doctor import Doctor
from nacre.services.prices import Prices

OK, WARNING, PROBLEM = CheckState.OK, CheckState.WARNING, CheckState.PROBLEM


@pytest.fixture
def prices(tmp_path: Path) -> Prices:
    return Prices(tmp_path / "prices.toml")


@pytest.fixture
def blobs(tmp_path: Path) -> FileBlobs:
    return FileBlobs(tmp_path / "blobs")


@pytest.fixture
def look(database: Database, blobs: FileBlobs, prices: Prices, people: People) -> Callable[..., Diagnosis]:
    """Check with something changed, whatever else is needed being in order."""
    doctor = Doctor(database, SystemClock(), blobs, prices, machine=list, model_server=lambda: "stopped")

    def check(**changed: Any) -> Diagnosis:
        for name, value in changed.items():
            setattr(doctor, f"_{name}", value)
        return doctor.check(people.owner)

    return check


def one(found: Diagnosis, name: str) -> Check:
    [check] = [check for check in found.checks if check.name == name]
    return check


def test_a_sound_server(look: Callable[..., Diagnosis], database: Database, blobs: FileBlobs) -> None:
    found = look()
    names = {"database", "blobs", "clock", "model_server", "prices"}
    assert {check.name for check in found.checks} == names
    assert [check for check in found.checks if check.state is not OK] == []
    assert found.state is OK
    kind = "SQLite 3." if database.sqlite else "PostgreSQL 1"
    assert one(found, "database").message.startswith(kind)
    assert list(blobs.digests()) == []


def test_the_machines_checks_are_among_them_and_the_worst_counts(look: Callable[..., Diagnosis]) -> None:
    bad = [
        Check(name="disk", state=PROBLEM, message="full"),
        Check(name="gpus", state=WARNING, message="?"),
    ]
    found = look(machine=lambda: bad)
    assert found.state is PROBLEM
    assert one(found, "disk") == bad[0]
    assert worst([]) is OK
    assert worst(bad[1:]) is WARNING


class Broken(FileBlobs):
    """Refuses to write, or gives back something else."""

    how = "refuses"

    def put(self, digest: str, source: BinaryIO) -> int:
        if self.how == "refuses":
            raise Unavailable("the disk is full")
        return super().put(digest, source)

    def open(self, digest: str) -> BinaryIO:
        with super().open(digest) as stream:
            return io.BytesIO(stream.read()[:-1] + b"?!")


@pytest.mark.parametrize(("how", "words"), [("refuses", "the disk is full"), ("lies", "the same")])
def test_a_blob_store_that_cannot_be_used(
    look: Callable[..., Diagnosis], tmp_path: Path, how: str, words: str
) -> None:
    broken = Broken(tmp_path / "broken")
    broken.how = how
    check = one(look(blobs=broken), "blobs")
    assert check.state is PROBLEM
    assert words in check.message
    assert check.remedy
    assert list(broken.digests()) == []


def test_a_database_that_is_gone(
    look: Callable[..., Diagnosis], database: Database, tmp_path: Path
) -> None:
    gone = Database(
        f"sqlite:///{tmp_path}/nowhere/nacre.db"
        if database.sqlite
        else "postgresql://nobody@127.0.0.1:1/nothing"
    )
    found = look(db=gone)
    check = one(found, "database")
    assert check.state is PROBLEM
    assert check.remedy
    assert not [check for check in found.checks if check.name == "model_server"]
    gone.close()


def test_a_clock_that_was_set(look: Callable[..., Diagnosis], clock: FixedClock) -> None:
    hour_ago = clock.now() - timedelta(hours=1)
    check = one(look(clock=clock, started=(hour_ago, 100.0), steady=lambda: 100.0 + 3600 - 90), "clock")
    assert check.state is WARNING
    assert "was set by +90 s" in check.message


def test_a_database_with_another_time(
    look: Callable[..., Diagnosis], clock: FixedClock, database: Database
) -> None:
    check = one(look(clock=clock, started=(clock.now(), 0.0), steady=lambda: 0.0), "clock")
    if database.sqlite:  # has no clock of its own
        assert check.state is OK
    else:
        assert check.state is WARNING
        assert "database's clock" in check.message


def test_a_model_server_that_is_down_while_there_are_endpoints(
    look: Callable[..., Diagnosis], database: Database, clock: FixedClock, people: People
) -> None:
    with database.write() as session:
        session.add(
            EndpointRow(
                id="end_a",
                project_id=people.project.id,
                user_id=people.owner.user_id,
                name="digits",
                state="ready",
                revision=1,
                type="cpu.small",
                price_per_hour=1,
                allocation_id="alc_a",
                created_at=clock.now(),
            )
        )
    down = one(look(), "model_server")
    assert (down.state, "an endpoint:" in down.message) == (PROBLEM, True)
    up = one(look(model_server=lambda: "running"), "model_server")
    assert (up.state, up.message) == (OK, "runs, for 1 endpoint")


def test_a_mistake_in_the_prices(look: Callable[..., Diagnosis], prices: Prices) -> None:
    prices.file.write_text("currency = ")
    check = one(look(), "prices")
    assert check.state is WARNING
    assert str(prices.file) in (check.remedy or "")
