"""Tracking: experiments, runs, params, tags, series of metrics and their points.

Integer ids inside, 32 hexadecimal digits (``uuid``) outside; the project is checked once, at the run.
What is in the trash has ``deleted_at``; the retention loop removes it for good.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row

# SQLite counts only INTEGER primary keys by itself.
_BigId = BigInteger().with_variant(Integer, "sqlite")


VALUE_START = text("substr(value, 1, 64)")
"""What is indexed of long texts: PostgreSQL refuses whole ones over 2.7 kB."""


class ExperimentRow(Row):
    __tablename__ = "experiments"

    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(500))
    created_at: Mapped[datetime] = mapped_column(Instant)
    updated_at: Mapped[datetime | None] = mapped_column(Instant)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (UniqueConstraint("project_id", "name"),)


class ExperimentTagRow(Row):
    __tablename__ = "experiment_tags"

    experiment_id: Mapped[int] = mapped_column(
        ForeignKey("experiments.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)


class RunRow(Row):
    """``job_id`` is null for a run of a notebook or laptop. ``artifacts``: digest of the manifest of what
    its job left in the output folder; files logged one by one are rows of the table ``artifacts``.

    ``started_at`` is what the client said, where it said something; else ``created_at``. ``maker`` is the
    attempt whose program made the run beside its job's own (a nested run), which the job may write to.
    """

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(_BigId, primary_key=True)
    uuid: Mapped[str] = mapped_column(String(32), unique=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    experiment_id: Mapped[int] = mapped_column(ForeignKey("experiments.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(250))
    job_id: Mapped[str | None] = mapped_column(String(40), index=True)
    job_name: Mapped[str | None] = mapped_column(String(250))
    maker: Mapped[str | None] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16))
    artifacts: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    started_at: Mapped[datetime] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    deleted_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        Index(None, "experiment_id", "started_at"),
        Index(None, "project_id", "started_at"),
        Index(
            None,
            "deleted_at",
            sqlite_where=text("deleted_at IS NOT NULL"),
            postgresql_where=text("deleted_at IS NOT NULL"),
        ),
        Index(None, "ended_at"),
        Index(None, "project_id", "id"),
        Index(None, "project_id", "name"),
        Index(None, "project_id", "job_name"),
    )


class RunParamRow(Row):
    __tablename__ = "run_params"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index("ix_run_params_key_start", "key", VALUE_START, "run_id"),)


class RunTagRow(Row):
    __tablename__ = "run_tags"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(String(250), primary_key=True)
    value: Mapped[str] = mapped_column(Text)

    __table_args__ = (Index("ix_run_tags_key_start", "key", VALUE_START, "run_id"),)


class RunBatchRow(Row):
    """Batches of ``runs.log`` that were applied, so that a repeated send counts once."""

    __tablename__ = "run_batches"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    batch: Mapped[str] = mapped_column(String(64), primary_key=True)


class MetricSeriesRow(Row):
    """The last value (of the greatest step, then time), the extremes and the count of points.

    NaN is null here and in the points; it takes no part in the extremes. ``tail`` of the ``n`` points are
    rows of ``metric_points`` or lie in blocks of level -1; the others are packed in ``blocks`` blocks of
    level 0.
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
    tail: Mapped[int] = mapped_column(Integer, default=0)
    blocks: Mapped[int] = mapped_column(Integer, default=0)

    __table_args__: Any = (
        UniqueConstraint("run_id", "key"),
        Index(None, "key", "last_value", "run_id"),
        Index(
            None, "tail", sqlite_where=text("tail >= 512"), postgresql_where=text("tail >= 512")
        ),  # what is to be sealed
    )


class MetricPointRow(Row):
    """The latest points of a series, until they are packed into a block.

    ``seq`` counts different values at one (step, ts) from 0. The same value there again is the same point:
    so a client's retry counts once.
    """

    __tablename__ = "metric_points"

    series_id: Mapped[int] = mapped_column(
        ForeignKey("metric_series.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    step: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    ts: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    value: Mapped[float | None] = mapped_column(Double)

    __table_args__: Any = {"sqlite_with_rowid": False}


class MetricBlockRow(Row):
    """Packed points of a series. A block of level 0 holds points (``data``: see ``nacre.domain.blocks``);
    one of level k sums up consecutive blocks of level k - 1 and has no ``data``. Level -1 has pieces of the
    tail: points that came many at once, until they are packed into a block.

    Blocks are numbered from 0 on each level, in the order in which they were packed: their ranges of steps
    may overlap when a program logged steps out of order. ``finite`` of the ``n`` points are not NaN;
    ``last`` is the value of the greatest (step, ts).
    """

    __tablename__ = "metric_blocks"

    series_id: Mapped[int] = mapped_column(
        ForeignKey("metric_series.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    level: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    n: Mapped[int] = mapped_column(Integer)
    finite: Mapped[int] = mapped_column(Integer)
    first_step: Mapped[int] = mapped_column(BigInteger)
    last_step: Mapped[int] = mapped_column(BigInteger)
    first_ts: Mapped[int] = mapped_column(BigInteger)
    last_ts: Mapped[int] = mapped_column(BigInteger)
    min: Mapped[float | None] = mapped_column(Double)
    max: Mapped[float | None] = mapped_column(Double)
    sum: Mapped[float] = mapped_column(Double)
    last: Mapped[float | None] = mapped_column(Double)
    data: Mapped[bytes | None] = mapped_column(LargeBinary)

    __table_args__: Any = {"sqlite_with_rowid": False}


class RunInputRow(Row):
    """A data set that a run read, as its program described it (MLflow's ``log_input``)."""

    __tablename__ = "run_inputs"

    run_id: Mapped[int] = mapped_column(ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(String(500), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    source_type: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(Text)
    schema: Mapped[str | None] = mapped_column(Text)
    profile: Mapped[str | None] = mapped_column(Text)
    tags: Mapped[dict[str, str]] = mapped_column(JSON)
