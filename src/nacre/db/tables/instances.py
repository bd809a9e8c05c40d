"""Instances, and the tickets that open them in a browser."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class InstanceRow(Row):
    """An instance; its attempts are rows of ``attempts`` with ``subject_id`` = ``id``.

    ``environment`` is the chosen one's name. Each start sets three ids: its own, that of the same one
    with ipykernel (``kernel_…``), and that of the one which the app runs from (``lab_…``); an app without
    kernels has only the last. ``data``: name → ``{"dataset": "digits@1", "manifest": …, "mode": …}``.
    ``runs``: ids of runs that the app shows. ``stop_reason`` is set once it shall end. ``active_at``: when
    last a kernel was busy, or a terminal or a person active.
    """

    __tablename__ = "instances"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    user_id: Mapped[str] = mapped_column(String(40))
    name: Mapped[str] = mapped_column(String(64))
    app: Mapped[str] = mapped_column(String(16), default="jupyterlab")
    type: Mapped[str] = mapped_column(String(64))
    environment: Mapped[str] = mapped_column(String(64))
    environment_id: Mapped[str | None] = mapped_column(String(40))
    kernel_environment_id: Mapped[str | None] = mapped_column(String(40))
    lab_environment_id: Mapped[str | None] = mapped_column(String(40))
    data: Mapped[dict[str, dict[str, Any]]] = mapped_column(JSON, default=dict)
    runs: Mapped[list[str]] = mapped_column(JSON, default=list)
    secrets: Mapped[list[str]] = mapped_column(JSON, default=list)
    temporary: Mapped[bool] = mapped_column(default=False)
    idle_timeout: Mapped[float]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    cpu: Mapped[float]
    memory: Mapped[int] = mapped_column(BigInteger)
    gpu: Mapped[int]
    gpu_name: Mapped[str | None] = mapped_column(String(64))
    price_per_hour: Mapped[int] = mapped_column(BigInteger)
    attempt_id: Mapped[str | None] = mapped_column(String(40))
    stop_reason: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    queued_at: Mapped[datetime | None] = mapped_column(Instant)
    started_at: Mapped[datetime | None] = mapped_column(Instant)
    active_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        Index(None, "project_id", "name", unique=True),
        Index(None, "state", "queued_at"),
    )


class InstanceTicketRow(Row):
    """A ticket that works once, soon. ``hash``: SHA-256 of it, in hex."""

    __tablename__ = "instance_tickets"

    hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), index=True)
    user_id: Mapped[str] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    expires_at: Mapped[datetime] = mapped_column(Instant)
