"""Statements straight to the driver, for the few paths where every microsecond counts.

One text for both databases: ``?`` marks a parameter, and ``{rows}`` in a ``FROM`` stands for a table ``v``
of rows that the caller brings, with columns ``column1``, ``column2`` …
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from itertools import chain
from typing import Any

from sqlalchemy.orm import Session

_CHUNKS = (256, 32)  # SQLite keeps prepared statements by their text: few lengths are few texts
_TYPES = {"i": "bigint", "f": "double precision", "t": "text", "b": "bytea"}


class Raw:
    """One DBAPI connection. Errors are the driver's own."""

    def __init__(self, connection: Any, *, sqlite: bool) -> None:
        self.connection = connection
        self.sqlite = sqlite

    @classmethod
    def of(cls, session: Session) -> Raw:
        """The connection of a session, in its transaction."""
        connection = session.connection()
        return cls(
            connection.connection.driver_connection, sqlite=connection.engine.dialect.name == "sqlite"
        )

    def together(self) -> AbstractContextManager[Any]:
        """Statements inside go to PostgreSQL without waiting for each other's answers; fetch afterwards."""
        return nullcontext() if self.sqlite else self.connection.pipeline()

    def ask(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        """Execute; the cursor, to be fetched from."""
        if self.sqlite:
            return self.connection.execute(statement, parameters)
        return self.connection.execute(_percent(statement), parameters, binary=True)

    def rows(self, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Execute and fetch all."""
        found: list[tuple[Any, ...]] = self.ask(statement, parameters).fetchall()
        return found

    def each(
        self, statement: str, kinds: str, rows: Sequence[Sequence[Any]], *more: Any, ordered: str = ""
    ) -> list[Any]:
        """Execute with ``{rows}``; ``kinds`` has a letter per column: i integer, f float, t text, b bytes.

        ``more`` are the parameters behind the rows'. ``ordered`` is appended for PostgreSQL only (locks).
        Returns the cursors.
        """
        if not rows:
            return []
        if not self.sqlite:
            columns = [
                array(kind, column) for kind, column in zip(kinds, zip(*rows, strict=True), strict=True)
            ]
            statement = _unnest(statement, kinds) + ordered
            return [self.connection.execute(statement, [*columns, *more], binary=True)]
        return [
            self.connection.execute(_values(statement, len(kinds), len(part)), [*chain(*part), *more])
            for part in _parts(rows)
        ]


def gather(cursors: list[Any]) -> list[tuple[Any, ...]]:
    """The rows of :meth:`Raw.each`."""
    return [row for cursor in cursors for row in cursor.fetchall()]


def _parts(rows: Sequence[Sequence[Any]]) -> Iterator[Sequence[Sequence[Any]]]:
    at = 0
    for size in _CHUNKS:
        while len(rows) - at >= size:
            yield rows[at : at + size]
            at += size
    if at < len(rows):
        yield rows[at:]


@lru_cache(1024)
def _values(statement: str, columns: int, count: int) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    return statement.replace("{rows}", f"(VALUES {','.join([row] * count)}) AS v")


@lru_cache(256)
def _unnest(statement: str, kinds: str) -> str:
    arrays = ", ".join(f"?::{_TYPES[kind]}[]" for kind in kinds)
    names = ", ".join(f"column{number}" for number in range(1, len(kinds) + 1))
    return _percent(statement.replace("{rows}", f"unnest({arrays}) AS v({names})"))


@lru_cache(256)
def _percent(statement: str) -> str:
    return statement.replace("%", "%%").replace("?", "%s")


def array(kind: str, column: Sequence[Any]) -> Any:
    """A column as PostgreSQL writes arrays: several times as fast as the driver's own way."""
    if kind in "tb":
        return list(column)
    texts = ("NULL" if value is None else repr(value) for value in column)
    return "{" + ",".join(texts) + "}"
