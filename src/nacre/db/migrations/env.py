"""Alembic's entry: runs the migrations on the engine that ``nacre.db.migrate`` hands over."""

from typing import Any, Literal

from alembic import context

from nacre.db.tables import ALL_TABLES
from nacre.db.tables.base import Instant


def plain(kind: str, thing: Any, _autogenerate: Any) -> str | Literal[False]:
    """Migrations name plain types only, so that they never change with the code."""
    return "sa.BigInteger()" if kind == "type" and isinstance(thing, Instant) else False


engine = context.config.attributes["engine"]

with engine.connect() as connection:
    if engine.dialect.name == "sqlite":
        # To change a table SQLite makes it anew: dropping the old one must not take what refers to it.
        connection.connection.cursor().execute("PRAGMA foreign_keys=OFF")
    context.configure(
        connection=connection,
        target_metadata=ALL_TABLES,
        render_as_batch=True,
        render_item=plain,
        compare_type=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
    if engine.dialect.name == "sqlite":
        connection.invalidate()  # the next one has its foreign keys again
