"""Jobs that ask a model for a whole dataset, and those that compare what an endpoint is asked with what its
model was trained on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class BatchRow(Row):
    """Predictions for the dataset version ``data`` (``name@3``), which become a version of ``out``."""

    __tablename__ = "endpoint_batches"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(String(40))
    endpoint: Mapped[str | None] = mapped_column(String(64))
    version_id: Mapped[str] = mapped_column(ForeignKey("model_versions.id", ondelete="CASCADE"), index=True)
    data: Mapped[str] = mapped_column(String(128))
    out: Mapped[str] = mapped_column(String(64))
    out_number: Mapped[int | None]
    job_id: Mapped[str] = mapped_column(String(40), index=True)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    samples: Mapped[int | None] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (Index(None, "project_id", "data"), Index(None, "project_id", "out"))


class DriftRow(Row):
    """``captured``: the dataset version of what was captured; ``reference``: of the training data.
    ``result`` is what the job wrote (see ``nacre.workloads.drift``)."""

    __tablename__ = "endpoint_drift"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"), index=True)
    model: Mapped[str] = mapped_column(String(250))
    version: Mapped[int]
    captured: Mapped[str] = mapped_column(String(128))
    reference: Mapped[str] = mapped_column(String(128))
    job_id: Mapped[str] = mapped_column(String(40), index=True)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
