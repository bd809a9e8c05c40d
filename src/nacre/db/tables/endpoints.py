"""Endpoints and their revisions."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from nacre.db.tables.base import Instant, Row


class EndpointRow(Row):
    """``revision``: the highest number that ever was. ``scaling`` and ``settings`` as in
    ``nacre.schema.endpoints``. ``allocation_id``: while revisions of it run in the shared model server.
    ``captured``: bytes that its dataset of captured requests has."""

    __tablename__ = "endpoints"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id"))
    name: Mapped[str] = mapped_column(String(64))
    user_id: Mapped[str] = mapped_column(String(40))
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    revision: Mapped[int]
    type: Mapped[str] = mapped_column(String(64))
    price_per_hour: Mapped[int] = mapped_column(BigInteger)
    allocation_id: Mapped[str] = mapped_column(String(40))
    scaling: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    captured: Mapped[int] = mapped_column(BigInteger, default=0)
    created_at: Mapped[datetime] = mapped_column(Instant)

    __table_args__ = (UniqueConstraint("project_id", "name"),)


class RevisionRow(Row):
    """``state``: starting, ready, failed, retired.

    ``traffic`` and ``shadow`` are percentages that are wanted once it is ready; ``served`` is the share
    that the model server is told, and ``served_at`` when it grew. ``before``: the shares of all revisions
    (number → percent) before that, to go back to; ``before_counts``: what these counted last
    (``nacre.domain.traffic.Counts``), once none of them answers. ``type``: of each replica.
    ``wanted``: how many replicas it shall have now; ``idle_since``: when it was last seen without requests.
    """

    __tablename__ = "endpoint_revisions"

    endpoint_id: Mapped[str] = mapped_column(
        ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    version_id: Mapped[str] = mapped_column(ForeignKey("model_versions.id"))
    runtime: Mapped[str] = mapped_column(String(16), default="onnx")
    type: Mapped[str] = mapped_column(String(64), default="")
    traffic: Mapped[int] = mapped_column(default=0)
    shadow: Mapped[int] = mapped_column(default=0)
    served: Mapped[int] = mapped_column(default=0)
    served_at: Mapped[datetime | None] = mapped_column(Instant)
    before: Mapped[dict[str, int] | None] = mapped_column(JSON)
    before_counts: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    wanted: Mapped[int] = mapped_column(default=0)
    idle_since: Mapped[datetime | None] = mapped_column(Instant)
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(Instant)


class EndpointReplicaRow(Row):
    """A process that answers for a revision; its attempts have ``subject_id`` = ``id``.

    ``state`` as in ``nacre.schema.endpoints.ReplicaState``. ``stop_reason`` is set once it shall end.
    """

    __tablename__ = "endpoint_replicas"

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    endpoint_id: Mapped[str] = mapped_column(ForeignKey("endpoints.id", ondelete="CASCADE"))
    revision: Mapped[int]
    state: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(64))
    message: Mapped[str | None] = mapped_column(Text)
    cpu: Mapped[float]
    memory: Mapped[int] = mapped_column(BigInteger)
    gpu: Mapped[int]
    gpu_name: Mapped[str | None] = mapped_column(String(64))
    price_per_hour: Mapped[int] = mapped_column(BigInteger)
    environment_id: Mapped[str | None] = mapped_column(String(40))
    attempt_id: Mapped[str | None] = mapped_column(String(40))
    stop_reason: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(Instant)
    queued_at: Mapped[datetime | None] = mapped_column(Instant)
    ready_at: Mapped[datetime | None] = mapped_column(Instant)
    drained_at: Mapped[datetime | None] = mapped_column(Instant)
    ended_at: Mapped[datetime | None] = mapped_column(Instant)

    __table_args__ = (
        Index(None, "endpoint_id", "revision"),
        Index(None, "state", "queued_at"),
    )


class EndpointRequestsRow(Row):
    """What a revision answered in one hour (``hour``: seconds since 1970, of its beginning), for the bill.

    ``micros``: request-microseconds, the times of all requests added up. Outlives the endpoint.
    """

    __tablename__ = "endpoint_requests"

    endpoint_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    project_id: Mapped[str] = mapped_column(ForeignKey("projects.id", ondelete="CASCADE"))
    endpoint_name: Mapped[str] = mapped_column(String(64))
    requests: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    samples: Mapped[int] = mapped_column(BigInteger)
    micros: Mapped[int] = mapped_column(BigInteger)

    __table_args__ = (Index(None, "project_id", "hour"),)


class UsageFileRow(Row):
    """How far a usage file of a model server's worker has been booked, in bytes."""

    __tablename__ = "endpoint_usage_files"

    name: Mapped[str] = mapped_column(String(128), primary_key=True)
    read: Mapped[int] = mapped_column(BigInteger)
    read_at: Mapped[datetime] = mapped_column(Instant)
