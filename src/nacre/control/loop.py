"""What every control loop shares: one pass that moves the world toward what is stored, again and again."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from typing import ClassVar

from nacre.errors import Unavailable
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.control")


class Loop(ABC):
    """One kind of work that the server does by itself.

    ``run_once`` loads in a short transaction, works outside it and applies guarded by what it read; it may
    be killed between any two lines and run again. It never waits for long: another signal may be there.
    """

    name: ClassVar[str]
    topics: ClassVar[tuple[str, ...]] = ()
    """Signals that wake it at once."""
    interval_s: ClassVar[float] = 5.0
    """How long it sleeps when nothing wakes it."""

    @abstractmethod
    def run_once(self) -> None:
        """Look at what is stored and at the world, and bring them together. May raise anything."""


class LoopThread:
    """Runs a loop in a daemon thread: at once, on each signal of its topics, and each interval.

    An exception is logged and the loop goes on; while it keeps failing, it waits longer between passes.
    """

    def __init__(self, loop: Loop, signals: Signals) -> None:
        self.loop = loop
        self._signals = signals
        self._stopping = threading.Event()
        self._ready = threading.Event()
        self._wake: threading.Event | None = None
        self._thread = threading.Thread(target=self._run, name=f"nacre-{loop.name}", daemon=True)

    def start(self) -> None:
        """Start; returns when it listens, so that no later signal is missed."""
        self._thread.start()
        self._ready.wait()

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Ask it to end after the present pass, and wait. False when it did not end in time."""
        self._stopping.set()
        if self._wake is not None:
            self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        failures = 0
        with self._signals.listen(*self.loop.topics) as wake:
            self._wake = wake
            self._ready.set()
            while not self._stopping.is_set():
                wake.clear()
                try:
                    self.loop.run_once()
                    failures = 0
                except Unavailable as error:
                    failures += 1
                    _log.warning("%s: %s", self.loop.name, error.detail)
                except Exception:
                    failures += 1
                    _log.exception("the loop %s failed; it goes on", self.loop.name)
                if failures:
                    self._stopping.wait(min(0.2 * 2**failures, 5.0))
                elif not self._stopping.is_set():
                    wake.wait(self.loop.interval_s)
