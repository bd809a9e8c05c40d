"""Usage and cost: every allocation is exactly one record, in integer micro-units of money."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from nacre.schema.access import PROJECT, Access, Operation
from nacre.schema.base import Answer, Micros, Name, Stamped


def money(amount: int, currency: str) -> str:
    """Micros for people: ``0.0123 USD``; what would round to nothing is shown to the micro."""
    digits = 4 if amount == 0 or abs(amount) >= 100 else 6
    return f"{amount / 1_000_000:.{digits}f} {currency}"


UsageKind = Literal["job", "instance", "endpoint"]


class UsageRecord(Stamped):
    """One allocation, from start to end (null while it lasts)."""

    project: Name
    user: str
    kind: UsageKind
    subject: str
    subject_name: str
    started_at: datetime
    ended_at: datetime | None = None
    cpu: float
    memory: int
    gpu: float
    price_per_hour: Micros
    seconds: float
    cost: Micros


class CostLine(Answer):
    """One group of the sum; keys that were not asked for are null. ``day`` is one of UTC, ``subject`` the
    id of a job, instance or endpoint, with its name beside."""

    project: str | None = None
    user: str | None = None
    kind: str | None = None
    day: str | None = None
    subject: str | None = None
    subject_name: str | None = None
    seconds: float
    cost: Micros


class Cost(Answer):
    """What was used, up to now. ``total`` is of everything, also of groups that ``lines`` leaves out."""

    currency: str
    total: Micros
    lines: list[CostLine]


class Projection(Answer):
    """What the month will have cost at its end, if the assumption holds."""

    total: Micros
    assumption: str


class Forecast(Answer):
    """This month (of UTC): what it cost up to ``now``, and will have cost at its end by two assumptions.

    ``by_running``: what runs now goes on at its price, ``running_per_hour`` altogether, and nothing else
    starts. ``by_recent``: it goes on as on average since ``recent_since``, in which time ``recent`` was
    spent: seven days, or less (but at least one) where nothing was used before.
    """

    currency: str
    month: str = Field(examples=["2026-03"])
    since: datetime
    now: datetime
    until: datetime
    spent: Micros
    running: int = Field(description="allocations that have not ended")
    running_per_hour: Micros
    recent_since: datetime
    recent: Micros
    by_running: Projection
    by_recent: Projection


class RequestLine(Answer):
    """What an endpoint answered on a day of UTC. ``seconds``: the times of all requests added up."""

    endpoint: Name
    endpoint_id: str
    day: str = Field(examples=["2026-03-01"])
    requests: int
    errors: int
    samples: int
    seconds: float


class RequestUsage(Answer):
    """Requests of endpoints by day, newest day first; also of endpoints that are gone."""

    requests: int
    seconds: float
    lines: list[RequestLine]


OPERATIONS = (
    Operation(
        "usage.list",
        "GET",
        f"{PROJECT}/usage",
        "List usage records",
        Access.VIEWER,
        "usage:read",
        "cost",
    ),
    Operation(
        "usage.cost",
        "GET",
        "/api/v1/cost",
        "Sum costs by project, user, kind, day and subject",
        Access.USER,
        "usage:read",
        "cost",
    ),
    Operation(
        "usage.requests",
        "GET",
        f"{PROJECT}/usage/requests",
        "Sum what endpoints answered, by endpoint and day",
        Access.VIEWER,
        "usage:read",
        "usage requests",
    ),
    Operation(
        "usage.forecast",
        "GET",
        "/api/v1/forecast",
        "Forecast what this month will cost",
        Access.USER,
        "usage:read",
        "cost",
    ),
)
