"""Datasets, their versions, which project has which blobs, and what keeps blobs alive."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class DatasetRow(Row):
    """``next_number`` only grows, also over a deletion (``deleted``): ``name@1`` never means two things."""

    __tablename__ = "datasets"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    next_number: Mapped[int] = mapped_column(default=1)
    deleted: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (Index(None, "project_id", "name", unique=True),)


class DatasetVersionRow(Row):
    __tablename__ = "dataset_versions"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id", ondelete="CASCADE"))
    number: Mapped[int]
    manifest: Mapped[str] = mapped_column(String(64))
    files: Mapped[int]
    size: Mapped[int] = mapped_column(BigInteger)
    note: Mapped[str] = mapped_column(Text, default="")
    user_name: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (Index(None, "dataset_id", "number", unique=True),)


class ProjectBlobRow(Row):
    """The project has shown to have this blob. ``used_at``: when that was last relied upon."""

    __tablename__ = "project_blobs"

    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True, index=True)
    size: Mapped[int] = mapped_column(BigInteger)
    used_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (Index(None, "used_at"),)


class BlobReferenceRow(Row):
    """``kind`` and ``owner_id`` (a dataset version, a run, a job …) keep a manifest and its blobs."""

    __tablename__ = "blob_references"

    kind: Mapped[str] = mapped_column(String(32), primary_key=True)
    owner_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    manifest: Mapped[str] = mapped_column(String(64), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    created_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (Index(None, "project_id", "manifest"),)


class DoomedBlobRow(Row):
    """A stored blob that no project has, since when; ``deleting`` while its bytes are being removed."""

    __tablename__ = "doomed_blobs"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    since: Mapped[datetime] = mapped_column(Instant)
    deleting: Mapped[bool] = mapped_column(default=False)
