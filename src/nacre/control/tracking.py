"""Packs the tails of series, and empties the trash of tracking."""

from __future__ import annotations

import logging
import time
from typing import ClassVar

from nacre.control.loop import Loop
from nacre.services.retention import Retention
from nacre.services.sealing import Sealing
from nacre.services.track_writer import SEAL_TOPIC, TrackWriter

_log = logging.getLogger("nacre.tracking")

_SCAN_EVERY_S = 3600.0


class SealLoop(Loop):
    """Woken by the writer for tails that have grown long; looks for those of ended runs by itself.

    Once an hour, and at its start, it looks through all series, for what was missed while it did not run.
    """

    name = "sealing"
    topics = (SEAL_TOPIC,)
    interval_s: ClassVar[float] = 10.0

    def __init__(self, sealing: Sealing, writer: TrackWriter) -> None:
        self._sealing = sealing
        self._writer = writer
        self._position: int | None = 0
        self._again = 0.0

    def run_once(self) -> None:
        """Seal what is due, then a part of what the hourly scan finds."""
        for series_id in self._writer.take_due():
            self._sealing.seal(series_id)
        while due := self._sealing.due():
            if not sum(self._sealing.seal(series_id) for series_id in due):
                break
        for series_id in self._sealing.ended():
            self._sealing.seal(series_id)
        self._scan()
        self._sealing.tidy()

    def _scan(self) -> None:
        if self._position is None:
            if time.monotonic() < self._again:
                return
            self._position = 0
        while self._position is not None:
            found, self._position = self._sealing.scan(self._position)
            for series_id in found:
                self._sealing.seal(series_id)
            if found:
                _log.debug("sealed %d tails of ended runs", len(found))
        self._again = time.monotonic() + _SCAN_EVERY_S


class RetentionLoop(Loop):
    """Empties the trash of runs and experiments, and gives free space back to the disk."""

    name = "retention"
    interval_s: ClassVar[float] = 600.0

    def __init__(self, retention: Retention) -> None:
        self._retention = retention

    def run_once(self) -> None:
        """Remove what is due, then return free pages."""
        if removed := self._retention.empty():
            _log.info("removed %d runs, experiments and models from the trash", removed)
        self._retention.give_back()
