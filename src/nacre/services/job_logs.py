"""Logs of jobs: the bytes of every attempt, one after the other, with a line between two attempts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nacre.db.connect import Database
from nacre.db.tables.jobs import JobRow
from nacre.schema.jobs import FINAL_STATES
from nacre.services.attempts import Attempts

CHUNK_BYTES = 256 * 2**10


@dataclass(frozen=True)
class _Part:
    """A stretch of the whole log: text of our own, or a file."""

    text: bytes
    path: Path | None

    def size(self) -> int:
        try:
            return len(self.text) if self.path is None else self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def read(self, offset: int, length: int) -> bytes:
        if self.path is None:
            return self.text[offset : offset + length]
        try:
            with self.path.open("rb") as stream:
                stream.seek(offset)
                return stream.read(length)
        except FileNotFoundError:
            return b""


class JobLogs:
    """Reads logs at byte offsets that stay true while the log grows."""

    def __init__(self, db: Database, attempts: Attempts) -> None:
        self._db = db
        self._attempts = attempts

    def read(self, job_id: str, offset: int, limit: int = CHUNK_BYTES) -> tuple[bytes, bool]:
        """At most ``limit`` bytes from ``offset``, and whether the job is final and none will follow."""
        parts, final = self._parts(job_id)
        at = 0
        for part in parts:
            size = part.size()
            if offset < at + size:
                return part.read(offset - at, limit), False
            at += size
        return b"", final

    def tail(self, job_id: str, lines: int) -> int:
        """The offset at which the last ``lines`` lines begin."""
        parts, _ = self._parts(job_id)
        sizes = [part.size() for part in parts]
        left, at = lines, sum(sizes)
        if lines == 0:
            return at
        last = True
        for part, size in zip(reversed(parts), reversed(sizes), strict=True):
            end = size
            while end > 0:
                start = max(0, end - CHUNK_BYTES)
                block = part.read(start, end - start)
                stop = len(block)
                if last and block.endswith(b"\n"):
                    stop -= 1  # the end of the last line begins no line
                last = False
                while (found := block.rfind(b"\n", 0, stop)) >= 0:
                    left -= 1
                    if left == 0:
                        return at - size + start + found + 1
                    stop = found
                end = start
            at -= size
        return 0

    def _parts(self, job_id: str) -> tuple[list[_Part], bool]:
        # The state is read before the sizes: what a final job has is then all there will be.
        with self._db.read() as session:
            job = session.get(JobRow, job_id)
            rows = self._attempts.of(session, [job_id])[job_id]
        parts: list[_Part] = []
        for before, row in zip([None, *rows], rows, strict=False):
            if before is not None:
                why = f"attempt {before.number} ended: {before.reason}"
                text = f"--- attempt {row.number}, because {why} ---\n"
                parts.append(_Part(text.encode(), None))
            parts.append(_Part(b"", self._attempts.log_path(row.id)))
        return parts, job is None or job.state in FINAL_STATES
