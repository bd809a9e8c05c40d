"""Inserting what may be there already, on either database."""

from __future__ import annotations

from typing import Any

from sqlalchemy.dialects import postgresql, sqlite

from nacre.db.connect import Database
from nacre.db.tables.base import Row


def insert_into(db: Database, table: type[Row]) -> Any:
    """An ``INSERT`` of the database's own kind, which has ``on_conflict_do_update`` and ``…_nothing``."""
    return sqlite.insert(table) if db.sqlite else postgresql.insert(table)
