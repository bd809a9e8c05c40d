"""Models, versions, aliases, evaluations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class ModelRow(Row):
    """``last_number``: the highest version that ever was, so that numbers are never used again."""

    __tablename__ = "models"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(250))
    description: Mapped[str] = mapped_column(Text, default="")
    last_number: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (UniqueConstraint("project_id", "name"),)


class ModelVersionRow(Row):
    """``onnx_manifest`` holds ``model.onnx`` and ``conversion.json`` once the conversion succeeded.

    ``source``, ``run_link`` and ``stage`` are what an MLflow client said; Nacre's own are in ``lineage``.
    """

    __tablename__ = "model_versions"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"))
    number: Mapped[int]
    framework: Mapped[str] = mapped_column(String(16))
    entry: Mapped[str] = mapped_column(String(1024))
    manifest: Mapped[str] = mapped_column(String(64))
    files: Mapped[int]
    size: Mapped[int] = mapped_column(BigInteger)
    user_id: Mapped[str] = mapped_column(String(40))
    description: Mapped[str] = mapped_column(Text, default="")
    inputs: Mapped[list[dict[str, Any]] | None] = mapped_column(JSON)
    lineage: Mapped[dict[str, Any]] = mapped_column(JSON)
    environment_id: Mapped[str] = mapped_column(String(40))
    signature: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    conversion: Mapped[str] = mapped_column(String(16))
    conversion_job_id: Mapped[str | None] = mapped_column(String(40), index=True)
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    onnx_manifest: Mapped[str | None] = mapped_column(String(64))
    onnx_digest: Mapped[str | None] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(Text, default="")
    run_link: Mapped[str] = mapped_column(Text, default="")
    stage: Mapped[str] = mapped_column(String(16), default="None")
    updated_at: Mapped[datetime | None] = mapped_column(Instant)
    created_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (UniqueConstraint("model_id", "number"),)


class ModelTagRow(Row):
    """A tag of a version, or of the model itself (``number`` 0)."""

    __tablename__ = "model_tags"

    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class AliasRow(Row):
    __tablename__ = "model_aliases"

    model_id: Mapped[str] = mapped_column(ForeignKey("models.id", ondelete="CASCADE"), primary_key=True)
    alias: Mapped[str] = mapped_column(String(255), primary_key=True)
    number: Mapped[int]


class EvaluationRow(Row):
    """``result`` is what the evaluator wrote (see ``nacre.workloads.evaluate``)."""

    __tablename__ = "evaluations"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    version_id: Mapped[str] = mapped_column(ForeignKey("model_versions.id", ondelete="CASCADE"), index=True)
    data: Mapped[str] = mapped_column(String(128))
    job_id: Mapped[str] = mapped_column(String(40), index=True)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
