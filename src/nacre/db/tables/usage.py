"""Usage records."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class UsageRow(Row):
    """One allocation; ``allocation_id`` (the attempt's, or the endpoint replica's id) is unique, so
    opening and closing it again changes nothing."""

    __tablename__ = "usage"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    allocation_id: Mapped[str] = mapped_column(String(40), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    user_id: Mapped[str] = mapped_column(String(40))
    kind: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[str] = mapped_column(String(40), index=True)
    subject_name: Mapped[str] = mapped_column(String(250))
    cpu: Mapped[float]
    memory: Mapped[int] = mapped_column(BigInteger)
    gpu: Mapped[float]
    price_per_hour: Mapped[int] = mapped_column(BigInteger)
    started_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (Index(None, "project_id", "started_at"),)
