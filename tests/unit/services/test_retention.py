"""The trash: kept for the days that are set, then gone for good, with its files and its room on disk."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from tests.conftest import People
from tests.unit.services.track_kit import batch_of, make_run, rows_of, steps

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.raw import Raw
from nacre.db.tables.artifacts import ArtifactRow
from nacre.db.tables.logged_models import LoggedModelRow
from nacre.db.tables.runs import ExperimentRow, RunRow
from nacre.plugins.blobs.files import FileBlobs
from nacre.schema.users import SettingsUpdate
from nacre.services.artifacts import Artifacts
from nacre.services.blobs import BlobLedger
from nacre.services.events import Events
from nacre.services.retention import Retention
from nacre.services.settings import ServerSettings
from nacre.services.signals import Signals
from nacre.services.track_core import apply

TABLES = ("runs", "run_params", "run_tags", "metric_series", "metric_points", "metric_blocks", "artifacts")


@pytest.fixture
def settings(database: Database, clock: FixedClock) -> ServerSettings:
    return ServerSettings(database, Events(database, clock))


@pytest.fixture
def retention(database: Database, clock: FixedClock, settings: ServerSettings, tmp_path: Path) -> Retention:
    ledger = BlobLedger(database, clock, FileBlobs(tmp_path / "blobs"))
    signals = Signals()
    artifacts = Artifacts(database, clock, ledger, signals)
    return Retention(database, clock, artifacts, settings, signals)


@pytest.fixture
def run(database: Database, people: People, clock: FixedClock) -> str:
    """With 3,000 points in blocks, 600 in a tail, a param, a file and a logged model that has one too."""
    uuid = make_run(database, people, clock)
    fill(database, people, uuid)
    with database.write() as session:
        number = session.query(RunRow.experiment_id).where(RunRow.uuid == uuid).scalar()
        session.add(
            LoggedModelRow(
                id="m-1",
                project_id=people.project.id,
                experiment_id=number,
                run_uuid=uuid,
                name="m",
                state="ready",
                created_at=clock.now(),
                updated_at=clock.now(),
            )
        )
        for owner in (uuid, "m-1"):
            session.add(
                ArtifactRow(
                    owner=owner,
                    path="a.txt",
                    project_id=people.project.id,
                    digest="0" * 64,
                    size=1,
                    created_at=clock.now(),
                )
            )
    return uuid


def fill(database: Database, people: People, run: str, blocks: int = 3) -> None:
    batches = [batch_of(people, run, steps(1000, start=1000 * n)) for n in range(blocks)]
    batches += [batch_of(people, run, [one], params=[("p", "v")]) for one in steps(20, start=10**6)]
    for batch in batches:
        with database.write() as session:
            apply(Raw.of(session), [batch])


def trash(database: Database, clock: FixedClock, run: str) -> None:
    with database.write() as session:
        session.query(RunRow).where(RunRow.uuid == run).update({"deleted_at": clock.now()})


def counts(database: Database) -> dict[str, int]:
    with database.read() as session:
        found = {
            name: session.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in TABLES
        }
    return {name: count for name, count in found.items() if count}


def test_a_run_goes_when_its_days_are_over_with_all_that_is_its(
    database: Database, retention: Retention, clock: FixedClock, people: People, run: str
) -> None:
    other = make_run(database, people, clock)
    fill(database, people, other)
    trash(database, clock, run)
    clock.advance(timedelta(days=29).total_seconds())
    assert retention.empty() == 0
    assert len(rows_of(database, run)) == 3020
    clock.advance(timedelta(days=1).total_seconds())
    assert retention.empty() == 1
    assert counts(database) == {
        "runs": 1,
        "run_params": 1,
        "metric_series": 1,
        "metric_points": 20,
        "metric_blocks": 3,
    }
    assert len(rows_of(database, other)) == 3020
    assert retention.empty() == 0


def test_the_days_are_a_setting(
    database: Database,
    retention: Retention,
    settings: ServerSettings,
    clock: FixedClock,
    people: People,
    run: str,
) -> None:
    assert settings.get().trash_days == 30
    settings.update(people.owner, SettingsUpdate(trash_days=0))
    assert settings.get().trash_days == 0
    trash(database, clock, run)
    assert retention.empty() == 1
    assert counts(database) == {}


def test_purge_removes_at_once_what_is_in_this_projects_trash(
    database: Database, retention: Retention, clock: FixedClock, people: People, run: str
) -> None:
    assert retention.purge(people.project.id, [run]) == 0, "it is not in the trash"
    trash(database, clock, run)
    assert retention.purge("prj_other", [run]) == 0
    assert retention.purge(people.project.id, [run, "f" * 32]) == 1
    assert counts(database) == {}


def test_a_removal_that_was_killed_is_finished_by_the_next(
    database: Database,
    retention: Retention,
    clock: FixedClock,
    people: People,
    run: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trash(database, clock, run)
    with monkeypatch.context() as killed:
        killed.setattr(retention, "_remove_points", _killed)
        with pytest.raises(KeyboardInterrupt):
            retention.purge(people.project.id, [run])
    assert counts(database)["runs"] == 1
    with database.read() as session:
        assert session.query(RunRow).where(RunRow.uuid == run).first() is None, "nobody can restore it"
    assert retention.empty() == 1
    assert counts(database) == {}


def _killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_an_experiment_goes_after_its_runs(
    database: Database, retention: Retention, clock: FixedClock, people: People, run: str
) -> None:
    with database.write() as session:
        session.query(ExperimentRow).update({"deleted_at": clock.now()})
    clock.advance(timedelta(days=31).total_seconds())
    assert retention.empty() == 0, "it has a run that is not in the trash"
    trash(database, clock, run)
    clock.advance(timedelta(days=31).total_seconds())
    assert retention.empty() == 2
    with database.read() as session:
        assert session.query(ExperimentRow).count() == 0


def test_deleting_gives_the_room_back_to_the_disk(
    database: Database, retention: Retention, clock: FixedClock, people: People, run: str
) -> None:
    if not database.sqlite:
        pytest.skip("PostgreSQL frees room by itself")
    fill(database, people, run, blocks=300)
    trash(database, clock, run)
    before = _size(database)
    assert before > 2_000_000
    assert retention.purge(people.project.id, [run]) == 1
    assert _size(database) < before / 3


def _size(database: Database) -> int:
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return os.path.getsize(str(database.engine.url.database))
