"""What others want of the work: shared between the thread that hears it and the one that acts."""

from __future__ import annotations

import contextlib
import os
import signal
from types import FrameType
from typing import Any

from nacre.launcher.folder import Failure, Fenced


class Control:
    """Wishes, and a pipe that wakes the thread that waits in ``poll``."""

    def __init__(self) -> None:
        self.stop_reason: str | None = None
        self.grace_s: float | None = None
        """Of the stop, when the server wants another than the spec says."""
        self.rendezvous: list[dict[str, Any]] | None = None
        """All members of the gang, once the server has named them."""
        self.fenced = False
        self.signals = 0
        self.wake_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def listen(self) -> None:
        """Let SIGTERM and SIGINT mean: stop the work. Outlive the terminal."""
        signal.signal(signal.SIGTERM, self._signalled)
        signal.signal(signal.SIGINT, self._signalled)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _signalled(self, _number: int, _frame: FrameType | None) -> None:
        self.signals += 1
        self.stop(None)

    def stop(self, reason: str | None) -> None:
        """Ask for a graceful end; the first reason counts."""
        self.stop_reason = self.stop_reason or reason or "cancelled_by_user"
        self.wake()

    def allow(self, grace_s: float) -> None:
        """Let a stop, also one that has begun, take so long from its beginning on."""
        if grace_s != self.grace_s:
            self.grace_s = grace_s
            self.wake()

    def meet(self, members: list[dict[str, Any]]) -> None:
        """The gang is complete."""
        self.rendezvous = members
        self.wake()

    def fence(self) -> None:
        """This attempt is over for the server."""
        self.fenced = True
        self.wake()

    def wake(self) -> None:
        """End the other thread's wait."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write_fd, b"!")

    def drain(self) -> None:
        """Forget the wakes so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake_fd, 4096)

    def check(self) -> None:
        """Between two steps of preparation: raises Fenced, or Failure when a stop was asked for."""
        if self.fenced:
            raise Fenced
        if self.stop_reason is not None:
            raise Failure(self.stop_reason, stop_message(self.stop_reason))


def stop_message(reason: str) -> str:
    """The sentence of a stop that somebody asked for."""
    if reason == "cancelled_by_user":
        return "The work was stopped on request."
    return f"The work was stopped: {reason.replace('_', ' ')}."
