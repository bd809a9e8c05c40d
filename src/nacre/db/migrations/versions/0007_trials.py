"""Trials of revisions: what those before one counted, for the time after a restart."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("endpoint_revisions") as table:
        table.add_column(sa.Column("before_counts", sa.JSON(), nullable=True))
