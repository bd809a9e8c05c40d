"""Files of runs and of logged models."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class ArtifactRow(Row):
    """One file. ``owner`` is a run's uuid or a logged model's id; ``digest`` names its blob, which the row
    keeps alive (``BlobLedger`` counts it as a reference)."""

    __tablename__ = "artifacts"

    owner: Mapped[str] = mapped_column(String(40), primary_key=True)
    path: Mapped[str] = mapped_column(String(1024), primary_key=True)
    project_id: Mapped[str] = mapped_column(String(40))
    digest: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    executable: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (Index(None, "project_id", "digest"),)
