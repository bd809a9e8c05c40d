"""Scheduling: who starts now, where, who makes room, and why the others wait."""

from nacre.domain.scheduling.capacity import still_free
from nacre.domain.scheduling.model import (
    GANG_INCOMPLETE,
    NO_CAPACITY,
    QUOTA_EXCEEDED,
    RESERVED,
    Aside,
    Demand,
    Holding,
    Lane,
    Machine,
    Plan,
    Policy,
    Quota,
    Seat,
    Shape,
    Waiting,
)
from nacre.domain.scheduling.order import line
from nacre.domain.scheduling.planner import plan
from nacre.domain.scheduling.reasons import never_fits
from nacre.domain.scheduling.shares import HALF_LIFE_S, decayed

__all__ = [
    "GANG_INCOMPLETE",
    "HALF_LIFE_S",
    "NO_CAPACITY",
    "QUOTA_EXCEEDED",
    "RESERVED",
    "Aside",
    "Demand",
    "Holding",
    "Lane",
    "Machine",
    "Plan",
    "Policy",
    "Quota",
    "Seat",
    "Shape",
    "Waiting",
    "decayed",
    "line",
    "never_fits",
    "plan",
    "still_free",
]
