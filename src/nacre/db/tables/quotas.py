"""Quotas of projects."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Row


class QuotaRow(Row):
    """The most that a project holds at one moment; null is no limit. No row: no limits, weight 1."""

    __tablename__ = "quotas"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    cpu: Mapped[float | None]
    memory: Mapped[int | None] = mapped_column(BigInteger)
    gpu: Mapped[float | None]
    running_jobs: Mapped[int | None]
    weight: Mapped[float] = mapped_column(default=1.0)
    priority: Mapped[str] = mapped_column(String(16), default="normal")
