"""Bring a database to this version's schema."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from nacre.db.connect import Database
from nacre.errors import Conflict

_MIGRATIONS = Path(__file__).parent / "migrations"


def _config(database: Database) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["engine"] = database.engine
    return config


def current(database: Database) -> str | None:
    """The database's revision; null for an empty one."""
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision of this version of Nacre."""
    head = ScriptDirectory(str(_MIGRATIONS)).get_current_head()
    assert head is not None
    return head


def upgrade(database: Database, backups: Path | None = None) -> str | None:
    """Migrate to the newest schema and return a sentence about it, or null when nothing was to do.

    An SQLite database is copied into ``backups`` before it is changed.

    Raises:
        Conflict: the database is from a newer Nacre, or holds somebody else's tables.
    """
    at, target = current(database), newest()
    if at == target:
        return None
    known = {script.revision for script in ScriptDirectory(str(_MIGRATIONS)).walk_revisions()}
    if at is not None and at not in known:
        raise Conflict(
            f"the database has schema {at}, which this version of Nacre does not know: "
            "it was used by a newer one; install that again, or use another NACRE_HOME"
        )
    if at is None and inspect(database.engine).get_table_names():
        raise Conflict(
            "the database is not empty and not Nacre's: point NACRE_DATABASE_URL at an empty one"
        )
    said = None
    if at is not None:
        copy = _back_up(database, backups, at)
        said = f"the database was brought from schema {at} to {target}" + (
            f"; a copy is {copy}" if copy else ""
        )
    command.upgrade(_config(database), "head")
    return said


def _back_up(database: Database, backups: Path | None, at: str) -> Path | None:
    if not database.sqlite or backups is None or database.engine.url.database is None:
        return None
    backups.mkdir(exist_ok=True, mode=0o700)
    target = backups / f"nacre-{at}.db"
    source = sqlite3.connect(database.engine.url.database)
    copy = sqlite3.connect(target)
    with source, copy:
        source.backup(copy)
    source.close()
    copy.close()
    return target
