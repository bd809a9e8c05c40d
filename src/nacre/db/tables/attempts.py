"""Attempts (of jobs and instances) and how far each replica has reported."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from nacre.db.tables.base import Instant, Row


class AttemptRow(Row):
    """One try. ``kind`` and ``subject_id`` name the job or instance; ``allocated_at`` starts its usage.

    ``desired`` is what the launchers are told when they report: run, stop (with ``desired_reason``), or
    fence once a later attempt exists or the subject is gone. ``cpu`` and ``memory`` are of each replica.
    ``state`` is that of the replica that is least far. ``reason``, ``message`` and ``exit_code`` are those
    of the replica that decided the end; they may be known before the others have ended.
    """

    __tablename__ = "attempts"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(16))
    subject_id: Mapped[str] = mapped_column(String(40))
    number: Mapped[int]
    run_id: Mapped[str | None] = mapped_column(String(32))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    exit_code: Mapped[int | None]
    desired: Mapped[str] = mapped_column(String(8), default="run")
    desired_reason: Mapped[str | None] = mapped_column(String(64))
    desired_grace: Mapped[float | None]
    cpu: Mapped[float]
    memory: Mapped[int] = mapped_column(BigInteger)
    isolation: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    peak_memory: Mapped[int | None] = mapped_column(BigInteger)
    artifacts: Mapped[str | None] = mapped_column(String(64))
    allocated_at: Mapped[datetime] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)

    replicas: Mapped[list[ReplicaRow]] = relationship(
        viewonly=True, lazy="raise", order_by="ReplicaRow.rank"
    )

    __table_args__ = (Index(None, "subject_id", "number", unique=True), Index(None, "state"))


class ReplicaRow(Row):
    """One member of an attempt's gang, 0 to size - 1: where it is, how it does, and what its launcher sent.

    ``gpus``: by index of the node's devices, the part that it has of each (1.0: all). ``address`` and
    ``ports`` are there once it is ready. ``*_offset``: how many bytes of each channel the server has taken.
    """

    __tablename__ = "replicas"

    attempt_id: Mapped[str] = mapped_column(ForeignKey("attempts.id", ondelete="CASCADE"), primary_key=True)
    rank: Mapped[int] = mapped_column(primary_key=True)
    node: Mapped[str] = mapped_column(String(128))
    gpus: Mapped[dict[str, float]] = mapped_column(JSON, default=dict)
    handle: Mapped[dict[str, Any]] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    exit_code: Mapped[int | None]
    isolation: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    peak_memory: Mapped[int | None] = mapped_column(BigInteger)
    artifacts: Mapped[str | None] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(64))
    ports: Mapped[list[int] | None] = mapped_column(JSON)
    ready_at: Mapped[datetime | None] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)
    seen_at: Mapped[datetime | None] = mapped_column(Instant)
    log_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    track_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    events_offset: Mapped[int] = mapped_column(BigInteger, default=0)
    samples_offset: Mapped[int] = mapped_column(BigInteger, default=0)
