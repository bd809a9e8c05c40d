"""Frees blobs that nothing refers to any more, and the trees that were linked from them."""

from __future__ import annotations

import logging
import re
import shutil
import time
from pathlib import Path
from typing import ClassVar

from nacre.control.loop import Loop
from nacre.services.blobs import BlobLedger

log = logging.getLogger("nacre.blobs")

_DIGEST = re.compile(r"[0-9a-f]{64}")
_ABANDONED_S = 86_400.0


class BlobLoop(Loop):
    """Collects now and then. A deletion does not wake it: freeing waits for a time of grace anyway.

    ``trees``: where launchers of this machine keep hard-linked trees of manifests. A tree holds the bytes
    of its files, so it goes when its manifest has gone; work that has it mounted keeps the manifest alive.
    """

    name = "blobs"
    interval_s: ClassVar[float] = 1800.0

    def __init__(self, ledger: BlobLedger, trees: Path) -> None:
        self._ledger = ledger
        self._trees = trees

    def run_once(self) -> None:
        """Collect, then sweep the trees."""
        done = self._ledger.collect()
        if done.released or done.removed:
            log.info(
                "blobs: %d no longer referred to, %d removed (%d bytes)",
                done.released,
                done.removed,
                done.bytes,
            )
        self.sweep()

    def sweep(self) -> None:
        """Remove trees of manifests that are gone, and what killed launchers left half made a day ago."""
        there = [path for path in self._trees.iterdir() if path.is_dir()]
        trees = [path for path in there if _DIGEST.fullmatch(path.name)]
        gone = set(self._ledger.store.missing([path.name for path in trees]))
        old = time.time() - _ABANDONED_S
        for path in there:
            half_made = not _DIGEST.fullmatch(path.name) and path.lstat().st_mtime < old
            if path.name in gone or half_made:
                shutil.rmtree(path, ignore_errors=True)
