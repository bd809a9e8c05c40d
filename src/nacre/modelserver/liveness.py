"""Whether a replica still gets on with its work: a judgement on times that are passed in.

A slow model is not a hung one. What counts is progress: an answer, a part of one, or, told by a pong, that
the model has begun or ended something, be it for another worker, or has nothing to do. Python that computes
may hold the interpreter for as long as a batch takes, so a ping without a pong says nothing while there is
work; silence beyond the time that any request may take does.
"""

from __future__ import annotations

from enum import Enum

LOOK_S = 2.5
"""How often a replica is looked at, and asked."""
IDLE_STUCK_S, IDLE_HUNG_S = 10.0, 30.0
"""A replica without work should answer a ping at once: after so long it is stuck, or hung."""
_LEAST_GRACE_S, _MOST_GRACE_S = 5.0, 30.0


class Health(Enum):
    """``STUCK``: nothing more is sent to it, and it may recover. ``HUNG``: it is to be ended."""

    WELL = 0
    STUCK = 1
    HUNG = 2


def grace_s(timeout_s: float) -> float:
    """For how long beyond the longest that a request may take a replica may still be silent: a batch may
    be too slow once, as the first one is that compiles the model."""
    return min(max(timeout_s / 2, _LEAST_GRACE_S), _MOST_GRACE_S)


class Liveness:
    """Of one connection to a replica. ``now`` is the time of one monotonic clock, in seconds."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._looked = now
        self._steps: int | None = None
        self.asked = False
        """Whether there is a ping that was not answered."""

    def begin(self, now: float) -> None:
        """Work was sent to a replica that had none."""
        if not self.asked:
            self._since = now

    def progress(self, now: float) -> None:
        """It answered something, or a part of it."""
        self._since = now

    def pong(self, now: float, steps: int, working: bool) -> None:
        """It answered a ping. ``steps`` changes whenever the model begins or ends something."""
        self.asked = False
        if not working or steps != self._steps:
            self._since = now
        self._steps = steps

    def look(self, now: float, busy: bool, timeout_s: float) -> Health:
        """How it is. ``busy``: whether there is work under way, of which each may take ``timeout_s``.

        To be called every :data:`LOOK_S`: time in which nobody looked does not count against it.
        """
        late = now - self._looked - LOOK_S
        if late > LOOK_S:
            self._since += late
        self._looked = now
        if not busy and not self.asked:
            return Health.WELL
        stuck, hung = (timeout_s, timeout_s + grace_s(timeout_s)) if busy else (IDLE_STUCK_S, IDLE_HUNG_S)
        silent = self.silent_s(now)
        return Health.HUNG if silent > hung else Health.STUCK if silent > stuck else Health.WELL

    def silent_s(self, now: float) -> float:
        """Seconds since it was last seen to get on."""
        return now - self._since
