"""What a worker writes down of what it answered: counts for the bill, and a log of some requests."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from nacre.modelserver.revision import Revision
from nacre.schema.serving import ServedUsage

log = logging.getLogger(__name__)

ROTATE_BYTES = 64 * 2**20
_KEPT_LINES = 100_000


class Records:
    """Collected on the event loop, written by :meth:`write` on any one thread.

    ``usage/<pid>-<start>.jsonl`` has a line for each revision that answered since the line before;
    ``access.log`` is shared by all workers, and moved to ``access.log.1`` when it is full.
    """

    def __init__(self, folder: Path) -> None:
        self._usage = folder / "usage" / f"{os.getpid()}-{time.time_ns()}.jsonl"
        self._log = folder / "access.log"
        self._lines: list[dict[str, Any]] = []
        self.dropped = 0
        """Lines of the log that were not written: the disk was full or slow."""

    def add(self, line: dict[str, Any]) -> None:
        """A line for the log."""
        if len(self._lines) < _KEPT_LINES:
            self._lines.append(line)
        else:
            self.dropped += 1

    def collect(self, revisions: Iterable[Revision]) -> tuple[bytes, bytes]:
        """What is to be written: usage and log. What was collected is not collected again."""
        usage = []
        for revision in revisions:
            stats = revision.stats
            now = (stats.requests, stats.errors, stats.samples, stats.seconds)
            before, stats.told = stats.told, now
            if now == before:
                continue
            requests, errors, samples, seconds = (a - b for a, b in zip(now, before, strict=True))
            line = ServedUsage(
                time_ms=time.time_ns() // 10**6,
                endpoint=revision.key,
                revision=revision.number,
                requests=int(requests),
                errors=int(errors),
                samples=int(samples),
                seconds=seconds,
            )
            usage.append(line.model_dump_json().encode() + b"\n")
        lines, self._lines = self._lines, []
        return b"".join(usage), b"".join(orjson.dumps(line) + b"\n" for line in lines)

    def write(self, usage: bytes, lines: bytes) -> None:
        """Append both. A disk that is full is told in the log of the process, and what came is lost."""
        try:
            if usage:
                self._usage.parent.mkdir(exist_ok=True)
                _append(self._usage, usage)
            if lines:
                if self._log.exists() and self._log.stat().st_size > ROTATE_BYTES:
                    self._log.replace(self._log.with_suffix(".log.1"))
                _append(self._log, lines)
        except OSError as error:
            log.error("usage or access log not written: %s", error)


def _append(path: Path, text: bytes) -> None:
    """In one write, so that the lines of several processes do not mix."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)
