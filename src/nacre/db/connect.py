"""The database: SQLite in WAL mode, or PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from nacre.errors import Unavailable

_SQLITE = {"timeout": 30, "check_same_thread": False, "cached_statements": 400}
_POSTGRES = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


class Database:
    """Sessions to read and to write in.

    ``url``: ``sqlite:////path`` or ``postgresql+psycopg://…`` (``postgresql://`` is taken for it).
    With SQLite, writers of this process queue on a lock instead of on SQLite's busy timeout, which is
    unfair; writers of other processes are still waited for.
    """

    def __init__(self, url: str) -> None:
        if url.startswith("postgresql://"):
            url = url.replace("postgresql://", "postgresql+psycopg://", 1)
        self.sqlite = url.startswith("sqlite")
        self._writer = threading.RLock() if self.sqlite else None
        if self.sqlite:
            self.engine = create_engine(url, connect_args=_SQLITE)
            _tune_sqlite(self.engine)
        else:
            self.engine = create_engine(
                url, pool_size=10, max_overflow=20, pool_pre_ping=True, connect_args=_POSTGRES
            )
        self._writing = self.engine.execution_options(nacre_writes=True)

    @classmethod
    def in_folder(cls, folder: Path) -> Database:
        """The SQLite database of a Nacre home."""
        return cls(f"sqlite:///{folder / 'nacre.db'}")

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session for reading; whatever it changed is rolled back."""
        with self._unavailable(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction: committed at the end, rolled back on an exception.

        Keep it short, and do no I/O inside it: with SQLite it is the only one.
        """
        with (
            self.exclusive(),
            self._unavailable(),
            Session(self._writing, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def exclusive(self, timeout_s: float = -1) -> Iterator[None]:
        """The turn of this process's writers, for who writes on a connection of its own.

        Raises:
            Unavailable: others kept it for ``timeout_s``.
        """
        if self._writer is None:
            yield
            return
        if not self._writer.acquire(timeout=timeout_s):
            raise Unavailable("the database is busy: others are writing to it for long")
        try:
            yield
        finally:
            self._writer.release()

    def own_connection(self) -> Any:
        """A new DBAPI connection outside the pool, for one thread; who asks closes it.

        Raises:
            Unavailable: the database cannot be reached.
        """
        with self._unavailable():
            fairy = self.engine.raw_connection()
            connection = fairy.driver_connection
            fairy.detach()
            return connection

    @contextmanager
    def _unavailable(self) -> Iterator[None]:
        drivers: type[Exception] = self.engine.dialect.loaded_dbapi.OperationalError
        try:
            yield
        except (OperationalError, drivers) as error:
            cause = getattr(error, "orig", None) or error
            raise Unavailable(f"the database cannot answer: {str(cause).strip()}") from error

    def close(self) -> None:
        """Close every pooled connection."""
        self.engine.dispose()


def _tune_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin transactions ourselves
        cursor = connection.cursor()
        cursor.execute("PRAGMA auto_vacuum=INCREMENTAL")  # takes effect in a new database only
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.execute("PRAGMA cache_size=-16384")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("nacre_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
