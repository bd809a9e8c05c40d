"""Logged models: what a run saved as a model, before (or without) being registered (MLflow 3's noun)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Integer, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class LoggedModelRow(Row):
    """``id`` is ``m-`` and 32 hexadecimal digits. ``run_uuid``: the run that saved it, when one did.
    ``state`` is pending, ready or failed. Its files are rows of ``artifacts``."""

    __tablename__ = "logged_models"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"))
    run_uuid: Mapped[str | None] = mapped_column(String(32), index=True)
    name: Mapped[str] = mapped_column(String(500))
    kind: Mapped[str] = mapped_column(String(500), default="")
    state: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime] = mapped_column(Instant)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (Index(None, "experiment_id", "created_at"),)


class LoggedModelTextRow(Row):
    """Params (``kind`` p) and tags (t)."""

    __tablename__ = "logged_model_texts"

    model_id: Mapped[str] = mapped_column(
        ForeignKey("logged_models.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[str] = mapped_column(String(1), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class LoggedModelMetricRow(Row):
    """The latest value of a metric that a run measured of the model, on a data set when it named one."""

    __tablename__ = "logged_model_metrics"

    model_id: Mapped[str] = mapped_column(
        ForeignKey("logged_models.id", ondelete="CASCADE"), primary_key=True
    )
    run_uuid: Mapped[str] = mapped_column(String(32), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    dataset_name: Mapped[str] = mapped_column(String(500), primary_key=True, default="")
    dataset_digest: Mapped[str] = mapped_column(String(64), primary_key=True, default="")
    step: Mapped[int] = mapped_column(BigInteger)
    ts: Mapped[int] = mapped_column(BigInteger)
    value: Mapped[float | None] = mapped_column(Double)


class RunModelRow(Row):
    """A logged model that a run made (``direction`` output) or read (input)."""

    __tablename__ = "run_models"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    direction: Mapped[str] = mapped_column(String(8), primary_key=True)
    model_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    step: Mapped[int] = mapped_column(Integer, default=0)
