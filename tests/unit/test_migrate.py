"""Migrations lead to the tables that the code has, from nothing, on both databases."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import MetaData, select, text

from nacre.clock import FixedClock, from_epoch_ms
from nacre.db import migrate
from nacre.db.connect import Database
from nacre.db.queries.series import find_series, points
from nacre.db.tables import ALL_TABLES
from nacre.db.tables.endpoints import RevisionRow
from nacre.db.tables.models import AliasRow, ModelVersionRow
from nacre.db.tables.runs import ExperimentRow, RunRow
from nacre.db.tables.users import TokenRow
from nacre.errors import Conflict
from nacre.schema.runs import TrackRecord
from nacre.services.sealing import Sealing
from nacre.services.tracking import RecordWriter


@pytest.fixture
def empty(database: Database) -> Database:
    """The database without its tables."""
    ALL_TABLES.drop_all(database.engine)
    return database


@pytest.mark.filterwarnings("ignore:.*expression-based index")
def test_an_empty_database_gets_every_table_as_the_code_has_it(empty: Database) -> None:
    assert migrate.upgrade(empty) is None, "nothing to say about a new database"
    with empty.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, ALL_TABLES) == []
    assert migrate.current(empty) == migrate.newest()


def test_a_second_upgrade_does_nothing(empty: Database) -> None:
    migrate.upgrade(empty)
    assert migrate.upgrade(empty) is None


def test_a_database_of_a_newer_version_is_left_alone(empty: Database) -> None:
    migrate.upgrade(empty)
    with empty.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(Conflict, match="schema 9999, which this version of Nacre does not know"):
        migrate.upgrade(empty)


def test_somebody_elses_database_is_left_alone(empty: Database) -> None:
    with empty.write() as session:
        session.execute(text("CREATE TABLE guests (name VARCHAR(10))"))
    with pytest.raises(Conflict, match="not empty and not Nacre's"):
        migrate.upgrade(empty)


_NEXT = """
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "9001", "NEWEST", None, None


def upgrade():
    op.add_column("users", sa.Column("nickname", sa.String(64)))
"""


def test_an_older_database_is_copied_and_brought_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database.in_folder(tmp_path)
    migrate.upgrade(database)
    next_version = tmp_path / "migrations"
    shutil.copytree(migrate._MIGRATIONS, next_version)
    newest = migrate.newest()
    (next_version / "versions" / "9001_nickname.py").write_text(_NEXT.replace("NEWEST", newest))
    monkeypatch.setattr(migrate, "_MIGRATIONS", next_version)
    said = migrate.upgrade(database, tmp_path / "backups")
    copy = tmp_path / "backups" / f"nacre-{newest}.db"
    assert said == f"the database was brought from schema {newest} to 9001; a copy is {copy}"
    with database.read() as session:
        assert session.execute(text("SELECT nickname FROM users")).fetchall() == []
    older = Database(f"sqlite:///{copy}")
    assert migrate.current(older) == newest
    assert migrate.upgrade(database) is None
    older.close()
    database.close()


def test_an_sqlite_database_is_copied_before_it_changes(tmp_path: Path) -> None:
    database = Database.in_folder(tmp_path)
    migrate.upgrade(database)
    newest = migrate.newest()
    copy = migrate._back_up(database, tmp_path / "backups", newest)
    assert copy == tmp_path / "backups" / f"nacre-{newest}.db"
    with sqlite3.connect(copy) as opened:
        assert opened.execute("SELECT version_num FROM alembic_version").fetchone() == (newest,)
    opened.close()
    database.close()


_OLD = (
    "projects",
    "experiments",
    "runs",
    "run_params",
    "run_tags",
    "run_batches",
    "metric_series",
    "metric_points",
    "models",
    "model_versions",
    "model_aliases",
)


@contextmanager
def _adding(database: Database, names: Sequence[str]) -> Iterator[Callable[..., Any]]:
    """A function that adds rows to tables as the database has them; what is left out is something."""
    tables = MetaData()
    with database.engine.connect() as connection:
        tables.reflect(connection, only=names, resolve_fks=False)
    plain = {"VARCHAR": "x", "TEXT": "", "JSON": {}, "BOOLEAN": False}

    with database.write() as session:

        def add(noun: str, /, **values: Any) -> Any:
            table = tables.tables[noun]
            needed = [c for c in table.c if not c.nullable and not c.primary_key and c.name not in values]
            values |= {c.name: plain.get(type(c.type).__name__, 7) for c in needed}
            return session.execute(table.insert().values(**values)).inserted_primary_key

        yield add


def _fill_0001(database: Database) -> None:
    """A project with a run of 600 points and a model of two versions, as the first schema had them."""
    with _adding(database, _OLD) as add:
        add("projects", id="prj_1", name="vision")
        [experiment] = add("experiments", project_id="prj_1", name="digits", created_at=5)
        [run] = add(
            "runs",
            uuid="a" * 32,
            project_id="prj_1",
            experiment_id=experiment,
            name="first",
            created_at=1234,
        )
        add("run_params", run_id=run, key="lr", value="0.1")
        add("run_tags", run_id=run, key="note", value="old")
        add("run_batches", run_id=run, batch="b1")
        [series] = add(
            "metric_series", run_id=run, key="loss", last_step=599, last_ts=599, last_value=0.5, n=600,
            min=0.5, max=0.5,
        )  # fmt: skip
        for step in range(600):
            add("metric_points", series_id=series, step=step, ts=step, seq=step, value=0.5)
        add("models", id="mdl_1", project_id="prj_1", name="net")
        for number in (1, 2):
            add("model_versions", id=f"mv_{number}", model_id="mdl_1", number=number)
        add("model_aliases", model_id="mdl_1", alias="best", number=2)


def test_a_database_of_the_first_schema_keeps_everything_and_goes_on(
    empty: Database, clock: FixedClock, tmp_path: Path
) -> None:
    command.upgrade(migrate._config(empty), "0001")
    _fill_0001(empty)
    said = migrate.upgrade(empty, tmp_path / "backups")
    assert said is not None
    assert said.startswith("the database was brought from schema 0001 to")
    with empty.write() as session:
        run = session.query(RunRow).one()
        assert (run.uuid, run.name, run.started_at) == ("a" * 32, "first", from_epoch_ms(1234))
        assert run.deleted_at is None
        texts = "SELECT key, value FROM run_params UNION ALL SELECT key, value FROM run_tags"
        assert session.execute(text(texts)).fetchall() == [("lr", "0.1"), ("note", "old")]
        assert session.query(ModelVersionRow.number).order_by(ModelVersionRow.number).all() == [(1,), (2,)]
        assert session.query(AliasRow.alias, AliasRow.number).all() == [("best", 2)]
        assert session.query(ExperimentRow.name).all() == [("digits",)]
        [series] = find_series(session, [run.id], None)
        assert (series.n, series.tail, series.blocks) == (600, 600, 0)
        assert points(session, series).step.tolist() == list(range(600))
        again = [TrackRecord(type="m", key="loss", value=value, step=3, time_ms=3) for value in (0.5, 0.25)]
        RecordWriter(session, run.uuid).write(again)
        RecordWriter(session, run.uuid).write(again, batch="b1")
    assert Sealing(empty, clock).seal(series.id) == 601
    with empty.read() as session:
        [series] = find_series(session, [run.id], None)
        assert (series.n, series.tail, series.blocks, series.min) == (601, 0, 1, 0.25)
        assert len(points(session, series)) == 601


_REVISIONS = {
    "calm": [("retired", 0, 0), ("ready", 100, 100)],
    "updating": [("ready", 0, 100), ("starting", 100, 0)],
    "new": [("starting", 100, 100)],
    "broken": [("failed", 100, 100)],
    "stuck": [("ready", 100, 100), ("failed", 0, 0)],
    "overtaken": [("starting", 0, 0), ("starting", 100, 100)],
}
"""Endpoint → its revisions: state, and what the schema with shares makes of it: wanted, given."""


def test_endpoints_of_an_older_schema_share_their_requests_as_they_did(empty: Database) -> None:
    command.upgrade(migrate._config(empty), "0005")
    names = ("users", "projects", "models", "model_versions", "tokens", "endpoints", "endpoint_revisions")
    with _adding(empty, names) as add:
        add("users", id="u", name="u", email=None)
        add("projects", id="p", name="p")
        add("models", id="m", project_id="p", name="net")
        add("model_versions", id="v", model_id="m", number=1)
        add("tokens", id="t1", hash="1", user_id="u", scopes=["endpoints:predict", "jobs:read"])
        add("tokens", id="t2", hash="2", user_id="u", scopes=["*"])
        for name, revisions in _REVISIONS.items():
            add("endpoints", id=name, project_id="p", name=name, revision=len(revisions))
            for number, (state, _, _) in enumerate(revisions, 1):
                add("endpoint_revisions", endpoint_id=name, number=number, version_id="v", state=state)
    migrate.upgrade(empty)
    with empty.read() as session:
        for name, revisions in _REVISIONS.items():
            rows = session.scalars(
                select(RevisionRow).where(RevisionRow.endpoint_id == name).order_by(RevisionRow.number)
            )
            assert [(row.state, row.traffic, row.served) for row in rows] == revisions, name
        scopes = {row.id: row.scopes for row in session.scalars(select(TokenRow))}
    assert scopes == {"t1": ["endpoints:invoke", "jobs:read"], "t2": ["*"]}
