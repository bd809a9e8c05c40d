"""Databases with every table: copies of one that is made once in a process, for making the tables takes
longer than most tests. What SQLAlchemy compiled for one of them serves the others too."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from sqlalchemy import Dialect, text

from nacre.db.connect import Database
from nacre.db.tables import ALL_TABLES
from nacre.ids import new_id


class _Shared:
    """One dialect, and what was compiled for it: SQLAlchemy compiles for each dialect object anew."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect  # of an engine that has connected: it knows its server
        self._compiled: dict[object, object] = {}

    def give(self, database: Database) -> Database:
        for engine in (database.engine, database._writing):
            engine.dialect = self._dialect
            engine.update_execution_options(compiled_cache=self._compiled)
        return database


@cache
def _sqlite_template() -> tuple[bytes, _Shared]:
    with tempfile.TemporaryDirectory(prefix="nacre-template-") as folder:
        made = Database.in_folder(Path(folder))
        ALL_TABLES.create_all(made.engine)
        made.close()  # the last connection: the write-ahead log is in the file now
        return (Path(folder) / "nacre.db").read_bytes(), _Shared(made.engine.dialect)


def sqlite_in(folder: Path) -> Database:
    """An empty SQLite database with every table, in a folder that has none yet."""
    template, shared = _sqlite_template()
    with (folder / "nacre.db").open("xb") as file:
        file.write(template)
    return shared.give(Database.in_folder(folder))


def _on(server: str, name: str) -> str:
    return server.rsplit("/", 1)[0] + f"/{name}"


class PostgresCopies:
    """Databases of a PostgreSQL server, each a copy of a template."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._admin = Database(server)
        self._template = f"template_{new_id('db')[3:]}"
        self._say(f"CREATE DATABASE {self._template}")
        made = Database(_on(server, self._template))
        ALL_TABLES.create_all(made.engine)
        made.close()
        self._shared = _Shared(made.engine.dialect)

    @contextmanager
    def one(self) -> Iterator[Database]:
        """An empty database with every table, and no longer than that."""
        name = f"test_{new_id('db')[3:]}"
        self._say(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY")
        found = self._shared.give(Database(_on(self._server, name)))
        try:
            yield found
        finally:
            found.close()
            self._say(f"DROP DATABASE {name} WITH (FORCE)")

    def close(self) -> None:
        """Remove the template."""
        self._say(f"DROP DATABASE {self._template}")
        self._admin.close()

    def _say(self, statement: str) -> None:
        with self._admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text(statement))
