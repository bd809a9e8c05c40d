"""Endpoints with several revisions, replicas and what they answered."""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OF_REVISIONS = (
    sa.Column("runtime", sa.String(length=16), nullable=False, server_default="onnx"),
    sa.Column("type", sa.String(length=64), nullable=False, server_default=""),
    sa.Column("traffic", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("shadow", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("served", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("served_at", sa.BigInteger(), nullable=True),
    sa.Column("before", sa.JSON(), nullable=True),
    sa.Column("wanted", sa.Integer(), nullable=False, server_default="0"),
    sa.Column("idle_since", sa.BigInteger(), nullable=True),
    sa.Column("reason", sa.String(length=64), nullable=True),
)


def upgrade() -> None:
    with op.batch_alter_table("endpoints") as table:
        table.add_column(sa.Column("scaling", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("settings", sa.JSON(), nullable=False, server_default="{}"))
        table.add_column(sa.Column("captured", sa.BigInteger(), nullable=False, server_default="0"))
    with op.batch_alter_table("endpoint_revisions") as table:
        for column in _OF_REVISIONS:
            table.add_column(column)
    connection = op.get_bind()
    with op.batch_alter_table("tokens") as table:
        table.add_column(sa.Column("rate_per_s", sa.Double(), nullable=True))
        table.add_column(sa.Column("burst", sa.Integer(), nullable=True))
    _share_requests(connection)
    op.create_table(
        "endpoint_replicas",
        sa.Column("id", sa.String(length=40), primary_key=True),
        sa.Column(
            "project_id",
            sa.String(length=40),
            sa.ForeignKey("projects.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column(
            "endpoint_id",
            sa.String(length=40),
            sa.ForeignKey("endpoints.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("cpu", sa.Double(), nullable=False),
        sa.Column("memory", sa.BigInteger(), nullable=False),
        sa.Column("gpu", sa.Integer(), nullable=False),
        sa.Column("gpu_name", sa.String(length=64), nullable=True),
        sa.Column("price_per_hour", sa.BigInteger(), nullable=False),
        sa.Column("environment_id", sa.String(length=40), nullable=True),
        sa.Column("attempt_id", sa.String(length=40), nullable=True),
        sa.Column("stop_reason", sa.String(length=64), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("queued_at", sa.BigInteger(), nullable=True),
        sa.Column("ready_at", sa.BigInteger(), nullable=True),
        sa.Column("drained_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
    )
    op.create_index(
        op.f("ix_endpoint_replicas_endpoint_id_revision"), "endpoint_replicas", ["endpoint_id", "revision"]
    )
    op.create_index(
        op.f("ix_endpoint_replicas_state_queued_at"), "endpoint_replicas", ["state", "queued_at"]
    )
    op.create_table(
        "endpoint_requests",
        sa.Column("endpoint_id", sa.String(length=40), primary_key=True),
        sa.Column("revision", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("hour", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column(
            "project_id",
            sa.String(length=40),
            sa.ForeignKey("projects.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("endpoint_name", sa.String(length=64), nullable=False),
        sa.Column("requests", sa.BigInteger(), nullable=False),
        sa.Column("errors", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.BigInteger(), nullable=False),
        sa.Column("micros", sa.BigInteger(), nullable=False),
    )
    op.create_index(
        op.f("ix_endpoint_requests_project_id_hour"), "endpoint_requests", ["project_id", "hour"]
    )
    op.create_table(
        "endpoint_usage_files",
        sa.Column("name", sa.String(length=128), primary_key=True),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("read_at", sa.BigInteger(), nullable=False),
    )
    _create_predictions()
    _rename_scope(connection)


def _create_predictions() -> None:
    """Batch predictions and drift reports, which are jobs."""
    op.create_table(
        "endpoint_batches",
        *_work(),
        sa.Column("user_id", sa.String(length=40), nullable=False),
        sa.Column("endpoint", sa.String(length=64), nullable=True),
        sa.Column(
            "version_id",
            sa.String(length=40),
            sa.ForeignKey("model_versions.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("data", sa.String(length=128), nullable=False),
        sa.Column("out", sa.String(length=64), nullable=False),
        sa.Column("out_number", sa.Integer(), nullable=True),
        sa.Column("samples", sa.BigInteger(), nullable=True),
    )
    op.create_table(
        "endpoint_drift",
        *_work(),
        sa.Column(
            "endpoint_id",
            sa.String(length=40),
            sa.ForeignKey("endpoints.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("model", sa.String(length=250), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("captured", sa.String(length=128), nullable=False),
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
    )
    for table, columns in (
        ("endpoint_batches", ["version_id"]),
        ("endpoint_batches", ["job_id"]),
        ("endpoint_batches", ["project_id", "data"]),
        ("endpoint_batches", ["project_id", "out"]),
        ("endpoint_drift", ["endpoint_id"]),
        ("endpoint_drift", ["job_id"]),
    ):
        op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, columns)


def _work() -> tuple[sa.Column[Any], ...]:
    """The columns of what a job does."""
    return (
        sa.Column("id", sa.String(length=40), primary_key=True),
        sa.Column(
            "project_id",
            sa.String(length=40),
            sa.ForeignKey("projects.id", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("job_id", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
    )


def _share_requests(connection: sa.Connection) -> None:
    """The one that answers has all requests; the newest gets them, where it starts or is the only one."""
    connection.execute(sa.text("UPDATE endpoint_revisions SET served = 100 WHERE state = 'ready'"))
    newest = "number = (SELECT revision FROM endpoints WHERE endpoints.id = endpoint_revisions.endpoint_id)"
    other = (
        "SELECT 1 FROM endpoint_revisions AS other WHERE other.endpoint_id = endpoint_revisions.endpoint_id"
    )
    connection.execute(
        sa.text(
            "UPDATE endpoint_revisions SET traffic = 100 "
            f"WHERE (state = 'starting' AND {newest}) "
            f"OR (state = 'failed' AND {newest} AND NOT EXISTS ({other} AND other.state = 'ready')) "
            f"OR (state = 'ready' AND NOT EXISTS ({other} AND other.state = 'starting' "
            "AND other.number > endpoint_revisions.number))"
        )
    )
    connection.execute(
        sa.text(
            "UPDATE endpoint_revisions SET served = traffic "
            f"WHERE NOT EXISTS ({other} AND other.state = 'ready')"
        )
    )


def _rename_scope(connection: sa.Connection) -> None:
    """``endpoints:predict`` is called ``endpoints:invoke`` from here on."""
    tokens = sa.table("tokens", sa.column("id", sa.String()), sa.column("scopes", sa.JSON()))
    for token, scopes in connection.execute(sa.select(tokens.c.id, tokens.c.scopes)).all():
        held = json.loads(scopes) if isinstance(scopes, str) else scopes
        if "endpoints:predict" in (held or []):
            named = ["endpoints:invoke" if scope == "endpoints:predict" else scope for scope in held]
            connection.execute(tokens.update().where(tokens.c.id == token).values(scopes=named))
