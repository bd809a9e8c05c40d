"""Whose turn it is: the queue of all jobs, shares of the machines, quotas."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Wire
from nacre.schema.jobs import Priority
from nacre.schema.resources import Size

Limit = Annotated[float, Field(ge=0, le=1e6)]


class Quota(Answer):
    """The most that a project's work holds at one moment (null: no limit), and its weight in turns."""

    project: str
    cpu: float | None = None
    memory: int | None = Field(None, description="bytes")
    gpu: float | None = None
    running_jobs: int | None = None
    weight: float = Field(
        1.0, description="a project of weight 2 is given twice the share of one of weight 1"
    )
    priority: Priority = Field("normal", description="the highest that its jobs may ask for")


class QuotaUpdate(Wire):
    """Fields that are left out stay; null takes a limit away."""

    cpu: Limit | None = None
    memory: Size | None = None
    gpu: Limit | None = None
    running_jobs: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    weight: float = Field(1.0, gt=0, le=1000)
    priority: Priority = "normal"


class QueueEntry(Answer):
    """A job, an instance or a replica of an endpoint that waits. Of projects that the caller is not in, only that
    something waits is told."""

    position: int = Field(description="from 1, the order in which turns come if nothing else is submitted")
    kind: Literal["job", "instance", "endpoint"] = "job"
    project: str | None = None
    job: str | None = Field(None, description="name of the job, instance or endpoint")
    id: str | None = None
    user: str | None = None
    reason: str | None = None
    message: str | None = None
    starts_by: datetime | None = Field(
        None, description="the latest time it starts, where limits on the time of others tell"
    )
    replicas: int = Field(1, description="started together, at least; cpu, memory and gpu are of each")
    most_replicas: int = Field(1, description="taken where there is room")
    cpu: float
    memory: int
    gpu: float = 0
    priority: Priority = "normal"
    spot: bool = False
    queued_at: datetime


class Share(Answer):
    """What a project holds now, and its part of turns."""

    project: str | None = Field(None, description="null: all projects that the caller is not in")
    cpu: float
    memory: int
    gpu: float
    running: int = Field(description="jobs, instances and replicas that hold something")
    waiting: int = Field(description="jobs, instances and replicas in the queue")
    share: float = Field(description="of its dominant resource now, from 0 to 1")
    recent_share: float = Field(description="the same, averaged over the past hours")
    weight: float = 1.0
    quota: Quota | None = None


OPERATIONS = (
    Operation(
        "queue.list",
        "GET",
        "/api/v1/queue",
        "List the jobs and instances that wait, in the order of their turns, and why",
        Access.USER,
        "jobs:read",
        "queue",
    ),
    Operation(
        "queue.shares",
        "GET",
        "/api/v1/queue/shares",
        "Show what each project holds and uses of the machines",
        Access.USER,
        "jobs:read",
        "queue",
    ),
    Operation(
        "quotas.get",
        "GET",
        f"{PROJECT}/quota",
        "Read a project's quota",
        Access.VIEWER,
        "projects:read",
        "quota show",
    ),
    Operation(
        "quotas.update",
        "PATCH",
        "/api/v1/quotas/{name}",
        "Change a project's quota (administrators)",
        Access.ADMIN,
        "quotas:write",
        "quota set",
    ),
)
