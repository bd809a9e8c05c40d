"""Takes what the model server captured into datasets."""

from __future__ import annotations

from nacre.control.loop import Loop
from nacre.services.captures import Captures


class CaptureLoop(Loop):
    """Looks by itself: the model server tells nobody."""

    name = "captures"
    interval_s = 15.0

    def __init__(self, captures: Captures) -> None:
        self._captures = captures

    def run_once(self) -> None:
        """Take what is due."""
        self._captures.take()
