"""Usage and cost: every allocation is exactly one record, in integer micro-units of money."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

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
    gpu: int
    price_per_hour: Micros
    seconds: float
    cost: Micros


class CostLine(Answer):
    """One group of the sum; keys that were not asked for are null."""

    project: str | None = None
    user: str | None = None
    kind: str | None = None
    day: str | None = None
    seconds: float
    cost: Micros


class Cost(Answer):
    """What was used, up to now."""

    currency: str
    total: Micros
    lines: list[CostLine]


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
        "Sum costs by project, user, kind and day",
        Access.USER,
        "usage:read",
        "cost",
    ),
)
