"""Alembic's entry: runs the migrations on the engine that ``nacre.db.migrate`` hands over."""

from alembic import context
from nacre.db.tables import ALL_TABLES

engine = context.config.attributes["engine"]

with engine.connect() as connection:
    context.configure(
        connection=connection, target_metadata=ALL_TABLES, render_as_batch=True, compare_type=True
    )
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
