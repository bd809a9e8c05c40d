"""Jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class JobRow(Row):
    """A job; its attempts are rows of ``attempts`` with ``subject_id`` = ``id``.

    ``queued_at`` orders the queue: a restarted job keeps its place. It is not placed before ``retry_at``.
    ``cpu`` to ``gpu_name`` and ``price_per_hour`` are of one replica. ``stop_reason`` is set once somebody
    asked it to stop. ``spec`` and ``record`` are the wire types of the same names.
    """

    __tablename__ = "jobs"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(80))
    kind: Mapped[str] = mapped_column(String(16))
    description: Mapped[str] = mapped_column(Text, default="")
    user_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    exit_code: Mapped[int | None]
    run_id: Mapped[str] = mapped_column(String(32))
    environment_id: Mapped[str] = mapped_column(String(40))
    spec: Mapped[dict[str, Any]] = mapped_column(JSON)
    record: Mapped[dict[str, Any]] = mapped_column(JSON)
    cpu: Mapped[float]
    memory: Mapped[int] = mapped_column(BigInteger)
    gpu: Mapped[float]
    gpu_name: Mapped[str | None] = mapped_column(String(64))
    price_per_hour: Mapped[int] = mapped_column(BigInteger)
    stop_reason: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    queued_at: Mapped[datetime] = mapped_column(Instant)
    retry_at: Mapped[datetime | None] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        Index(None, "project_id", "name", unique=True),
        Index(None, "project_id", "id"),
        Index(None, "state", "queued_at"),
    )
