"""Environments: what was asked for, the lock that came of it, and how far it is."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row

_LIVE = text("deleted_at IS NULL")


class EnvironmentRow(Row):
    """``project_id`` is null for the catalogue's, which every project has.

    ``wanted`` tells the loop to bring it to ``ready``; ``refresh`` to resolve again first, although it has
    a lock. ``base_id`` and ``extra`` make it "that one plus these packages", of the base's lock with digest
    ``base_digest``. ``transient``: it failed for a reason that may pass, such as the network. ``change``
    counts what people asked for, so that a result for an older wish is not taken. A deleted one keeps its
    row, because records of jobs name it.
    """

    __tablename__ = "environments"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str | None] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    description: Mapped[str] = mapped_column(String(4096), default="")
    hidden: Mapped[bool] = mapped_column(default=False)
    requirements: Mapped[str | None] = mapped_column(Text)
    pyproject: Mapped[str | None] = mapped_column(Text)
    lock_source: Mapped[str | None] = mapped_column(Text)
    python: Mapped[str | None] = mapped_column(String(8))
    base_id: Mapped[str | None] = mapped_column(ForeignKey("environments.id"))
    base_digest: Mapped[str | None] = mapped_column(String(64))
    extra: Mapped[list[str]] = mapped_column(JSON, default=list)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    transient: Mapped[bool] = mapped_column(default=False)
    wanted: Mapped[bool] = mapped_column(default=False)
    refresh: Mapped[bool] = mapped_column(default=False)
    change: Mapped[int] = mapped_column(default=0)
    lock: Mapped[str | None] = mapped_column(Text)
    lock_python: Mapped[str | None] = mapped_column(String(8))
    digest: Mapped[str | None] = mapped_column(String(64), index=True)
    size: Mapped[int | None] = mapped_column(BigInteger)
    build_seconds: Mapped[float | None]
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        Index(
            "ix_environments_project_id_name",
            text("coalesce(project_id, '')"),
            "name",
            unique=True,
            sqlite_where=_LIVE,
            postgresql_where=_LIVE,
        ),
        Index(None, "wanted"),
    )
