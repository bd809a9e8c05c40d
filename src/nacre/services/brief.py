"""A memory of a few seconds for what every request asks again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Brief(Generic[K, V]):
    """Answers kept for ``seconds`` (of the monotonic clock), at most ``size`` of them.

    A change made by this process is seen at once, if it calls :meth:`forget` after its commit: an answer
    that was being loaded meanwhile is used once and not kept. A change made by another process is seen
    after ``seconds``.
    """

    def __init__(
        self, seconds: float, size: int = 10_000, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._size = size
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._generation = 0
        self._entries: dict[K, tuple[float, V]] = {}

    def get(self, key: K, load: Callable[[], V | None]) -> V | None:
        """The kept answer, or what ``load`` finds; null is never kept."""
        now = self._monotonic()
        entry = self._entries.get(key)
        if entry is not None and entry[0] > now:
            return entry[1]
        generation = self._generation
        value = load()
        if value is not None:
            with self._lock:
                if generation == self._generation:
                    if len(self._entries) >= self._size:
                        self._entries.clear()
                    self._entries[key] = (now + self._seconds, value)
        return value

    def has(self, key: K) -> bool:
        """Whether an answer is kept, so that ``get`` will not load."""
        entry = self._entries.get(key)
        return entry is not None and entry[0] > self._monotonic()

    def forget(self) -> None:
        """Drop everything, and whatever is being loaded now."""
        with self._lock:
            self._generation += 1
            self._entries.clear()
