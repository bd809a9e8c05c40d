"""Gangs: where each replica of an attempt is and how it does; parts of GPUs; back-off of restarts."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_OF_REPLICAS = (
    ("reason", sa.String(length=64)),
    ("message", sa.Text()),
    ("exit_code", sa.Integer()),
    ("isolation", sa.JSON()),
    ("peak_memory", sa.BigInteger()),
    ("artifacts", sa.String(length=64)),
    ("address", sa.String(length=64)),
    ("ports", sa.JSON()),
    ("ready_at", sa.BigInteger()),
    ("started_at", sa.BigInteger()),
    ("ended_at", sa.BigInteger()),
    ("seen_at", sa.BigInteger()),
)
_MOVED = [
    *("state", "node", "reason", "message", "exit_code", "isolation", "peak_memory", "artifacts"),
    *("started_at", "ended_at", "seen_at", "handle"),
]


def upgrade() -> None:
    with op.batch_alter_table("replicas") as table:
        table.add_column(sa.Column("node", sa.String(length=128), nullable=True))
        table.add_column(sa.Column("gpus", sa.JSON(), nullable=True))
        table.add_column(sa.Column("handle", sa.JSON(), nullable=True))
        table.add_column(sa.Column("state", sa.String(length=16), nullable=True))
        for name, kind in _OF_REPLICAS:
            table.add_column(sa.Column(name, kind, nullable=True))
        table.add_column(sa.Column("samples_offset", sa.BigInteger(), nullable=False, server_default="0"))
    connection = op.get_bind()
    for name in _MOVED:
        connection.execute(
            sa.text(
                f"UPDATE replicas SET {name} = "  # noqa: S608 - names of our own
                f"(SELECT {name} FROM attempts WHERE attempts.id = replicas.attempt_id)"
            )
        )
    attempts = sa.table("attempts", sa.column("id", sa.String()), sa.column("gpus", sa.JSON()))
    replicas = sa.table("replicas", sa.column("attempt_id", sa.String()), sa.column("gpus", sa.JSON()))
    for attempt, gpus in connection.execute(sa.select(attempts.c.id, attempts.c.gpus)).all():
        held = json.loads(gpus) if isinstance(gpus, str) else gpus
        connection.execute(
            replicas.update()
            .where(replicas.c.attempt_id == attempt)
            .values(gpus={str(index): 1.0 for index in held or []})
        )
    with op.batch_alter_table("replicas") as table:
        for name, kind in (("node", sa.String(length=128)), ("state", sa.String(length=16))):
            table.alter_column(name, existing_type=kind, nullable=False)
        for name in ("gpus", "handle"):
            table.alter_column(name, existing_type=sa.JSON(), nullable=False)
        table.alter_column("samples_offset", existing_type=sa.BigInteger(), server_default=None)
    with op.batch_alter_table("attempts") as table:
        for name in ("gpus", "node", "handle", "seen_at"):
            table.drop_column(name)
    op.add_column("attempts", sa.Column("desired_grace", sa.Double(), nullable=True))
    for name in ("jobs", "usage"):
        with op.batch_alter_table(name) as table:
            table.alter_column(
                "gpu", existing_type=sa.Integer(), type_=sa.Double(), existing_nullable=False
            )
    op.add_column("jobs", sa.Column("retry_at", sa.BigInteger(), nullable=True))
