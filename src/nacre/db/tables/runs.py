"""Tracking: experiments, runs, params, tags, series of metrics and their points.

Integer ids inside, 32 hexadecimal digits (``uuid``) outside; the project is checked once, at the run.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Double, ForeignKey, Index, Integer, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row

# SQLite counts only INTEGER primary keys by itself.
_BigId = BigInteger().with_variant(Integer, "sqlite")


class ExperimentRow(Row):
    __tablename__ = "experiments"

    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (UniqueConstraint("project_id", "name"),)


class RunRow(Row):
    """``job_id`` is null for a run of a notebook or laptop. ``artifacts``: digest of a manifest."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    uuid: Mapped[str] = mapped_column(String(32), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(250))
    job_id: Mapped[str | None] = mapped_column(String(40), index=True)
    job_name: Mapped[str | None] = mapped_column(String(250))
    state: Mapped[str] = mapped_column(String(16))
    artifacts: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        Index(None, "project_id", "id"),
        Index(None, "project_id", "name"),
        Index(None, "project_id", "job_name"),
    )


class RunParamRow(Row):
    __tablename__ = "run_params"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index(None, "key", "run_id"),)


class RunTagRow(Row):
    __tablename__ = "run_tags"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class RunBatchRow(Row):
    """Batches of ``runs.log`` that were applied, so that a repeated send counts once."""

    __tablename__ = "run_batches"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    batch: Mapped[str] = mapped_column(String(64), primary_key=True)


class MetricSeriesRow(Row):
    """The last value (of the greatest step, then time), the extremes and the count of points.

    NaN is null here and in the points; it takes no part in the extremes.
    """

    __tablename__ = "metric_series"

    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(250))
    last_step: Mapped[int] = mapped_column(BigInteger)
    last_ts: Mapped[int] = mapped_column(BigInteger)
    last_value: Mapped[float | None] = mapped_column(Double)
    n: Mapped[int] = mapped_column(BigInteger)
    min: Mapped[float | None] = mapped_column(Double)
    max: Mapped[float | None] = mapped_column(Double)

    __table_args__: Any = (
        UniqueConstraint("run_id", "key"),
        Index(None, "key", "last_value", "run_id"),
    )


class MetricPointRow(Row):
    """``seq`` counts a series' points from 0, so that equal points are kept apart."""

    __tablename__ = "metric_points"

    series_id: Mapped[int] = mapped_column(
        ForeignKey("metric_series.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ts: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    value: Mapped[float | None] = mapped_column(Double)

    __table_args__: Any = {"sqlite_with_rowid": False}
