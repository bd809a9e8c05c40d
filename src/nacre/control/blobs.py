"""Frees blobs that nothing refers to any more."""

from __future__ import annotations

import logging
from typing import ClassVar

from nacre.control.loop import Loop
from nacre.services.blobs import BlobLedger

log = logging.getLogger("nacre.blobs")


class BlobLoop(Loop):
    """Collects now and then. A deletion does not wake it: freeing waits for a time of grace anyway."""

    name = "blobs"
    interval_s: ClassVar[float] = 1800.0

    def __init__(self, ledger: BlobLedger) -> None:
        self._ledger = ledger

    def run_once(self) -> None:
        done = self._ledger.collect()
        if done.released or done.removed:
            log.info(
                "blobs: %d no longer referred to, %d removed (%d bytes)",
                done.released,
                done.removed,
                done.bytes,
            )
