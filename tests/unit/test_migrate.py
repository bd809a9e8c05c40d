"""Migrations lead to the tables that the code has, from nothing, on both databases."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from nacre.db import migrate
from nacre.db.connect import Database
from nacre.db.tables import ALL_TABLES
from nacre.errors import Conflict


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

revision, down_revision, branch_labels, depends_on = "0003", "0002", None, None


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
    (next_version / "versions" / "0003_nickname.py").write_text(_NEXT)
    monkeypatch.setattr(migrate, "_MIGRATIONS", next_version)
    said = migrate.upgrade(database, tmp_path / "backups")
    copy = tmp_path / "backups" / "nacre-0002.db"
    assert said == f"the database was brought from schema 0002 to 0003; a copy is {copy}"
    with database.read() as session:
        assert session.execute(text("SELECT nickname FROM users")).fetchall() == []
    older = Database(f"sqlite:///{copy}")
    assert migrate.current(older) == "0002"
    assert migrate.upgrade(database) is None
    older.close()
    database.close()


def test_an_sqlite_database_is_copied_before_it_changes(tmp_path: Path) -> None:
    database = Database.in_folder(tmp_path)
    migrate.upgrade(database)
    copy = migrate._back_up(database, tmp_path / "backups", "0002")
    assert copy == tmp_path / "backups" / "nacre-0002.db"
    with sqlite3.connect(copy) as opened:
        assert opened.execute("SELECT version_num FROM alembic_version").fetchone() == ("0002",)
    opened.close()
    database.close()
