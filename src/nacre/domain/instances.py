"""The life of an instance as pure decisions: what an attempt's end means, and when it was last active."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from nacre.domain.jobs import CANCELLED
from nacre.schema.instances import InstanceState
from nacre.schema.launch import ExitReason

STOPPED_BY_USER = "stopped_by_user"
IDLE = "idle"
NOT_READY = "not_ready"
SHUT_DOWN = "shut_down"

ALIVE = frozenset({InstanceState.STARTING, InstanceState.RUNNING, InstanceState.STOPPING})
"""States in which there is an attempt, which costs."""

_ORDERLY = frozenset({STOPPED_BY_USER, IDLE})


@dataclass(frozen=True)
class Ending:
    """What an instance becomes when its attempt has ended."""

    state: InstanceState
    reason: str


def ending(attempt_reason: str, stop_reason: str | None) -> Ending:
    """What follows from the end of an attempt.

    An instance that was asked to stop has stopped, however its processes took it. One whose JupyterLab
    was shut down from its own menu has stopped too. Anything else is a failure.

    Args:
        attempt_reason: an ``ExitReason``, ``node_lost`` or ``preempted``.
        stop_reason: why it was asked to stop; null when nobody asked.
    """
    if stop_reason in _ORDERLY:
        return Ending(InstanceState.STOPPED, stop_reason)
    if stop_reason is not None:
        return Ending(InstanceState.FAILED, stop_reason)
    if attempt_reason == ExitReason.SUCCEEDED:
        return Ending(InstanceState.STOPPED, SHUT_DOWN)
    if attempt_reason == CANCELLED:
        return Ending(InstanceState.STOPPED, STOPPED_BY_USER)
    return Ending(InstanceState.FAILED, attempt_reason)


@dataclass(frozen=True)
class Kernel:
    """A kernel as Jupyter's REST API tells it."""

    execution_state: str
    last_activity: datetime


@dataclass(frozen=True)
class Terminal:
    """A terminal as Jupyter's REST API tells it: ``last_activity`` moves with each input and output."""

    last_activity: datetime


def last_active(
    now: datetime, noted: datetime, kernels: Iterable[Kernel], terminals: Iterable[Terminal]
) -> datetime:
    """When the instance was last at work: ``now`` while a kernel is busy.

    Args:
        noted: the latest activity that was known before (a person's, its start).
    """
    times = [noted]
    for kernel in kernels:
        # "starting" and "restarting" may last for ever when nothing answers; their time tells enough.
        times.append(now if kernel.execution_state == "busy" else kernel.last_activity)
    times += [terminal.last_activity for terminal in terminals]
    return min(now, max(times))
