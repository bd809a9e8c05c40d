"""Slows down guessing, in memory."""

from __future__ import annotations

import math
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime

from nacre.clock import Clock
from nacre.domain.throttle import wait_s
from nacre.errors import RateLimited

_FORGOTTEN_AFTER_S = 900.0


@dataclass
class _Tries:
    count: int
    last: datetime


class Throttle:
    """Counts tries per key. A try counts as a failure until it is forgiven, so that many at once do not
    slip through together. Keys are forgotten after a quarter of an hour, and when there are too many."""

    def __init__(self, clock: Clock, *, free: int, longest_s: float, size: int = 10_000) -> None:
        self._clock = clock
        self._free = free
        self._longest_s = longest_s
        self._size = size
        self._lock = threading.Lock()
        self._tries: dict[Hashable, _Tries] = {}

    def admit(self, key: Hashable) -> None:
        """Count a try.

        Raises:
            RateLimited: too many failed lately; ``retry_after_s`` says how long to wait.
        """
        now = self._clock.now()
        with self._lock:
            tries = self._tries.get(key)
            if tries is None or (now - tries.last).total_seconds() > _FORGOTTEN_AFTER_S:
                self._make_room(now)
                self._tries[key] = _Tries(1, now)
                return
            pause = wait_s(tries.count, free=self._free, longest_s=self._longest_s)
            left = pause - (now - tries.last).total_seconds()
            if left > 0:
                seconds = math.ceil(left)
                raise RateLimited(
                    f"too many failed tries: wait {seconds} s, then try again", retry_after_s=seconds
                )
            tries.count, tries.last = tries.count + 1, now

    def forgive(self, key: Hashable, *, all_of_them: bool = True) -> None:
        """The last try succeeded: forget the key's failures, or only that one."""
        with self._lock:
            tries = self._tries.get(key)
            if tries is None:
                return
            tries.count -= 1
            if all_of_them or tries.count <= 0:
                del self._tries[key]

    def _make_room(self, now: datetime) -> None:
        if len(self._tries) < self._size:
            return
        for key in [k for k, t in self._tries.items() if (now - t.last).total_seconds() > 60.0]:
            del self._tries[key]
        while len(self._tries) >= self._size:
            del self._tries[next(iter(self._tries))]
