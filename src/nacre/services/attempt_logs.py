"""Logs of what has attempts: the bytes of each, one after the other, with a line between two attempts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.orm import Session

from nacre.db.connect import Database
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

    def ends_a_line(self) -> bool:
        """True also of nothing."""
        size = self.size()
        return size == 0 or self.read(size - 1, 1) == b"\n"


class AttemptLogs:
    """Reads logs of one kind of subject (jobs, replicas of endpoints) at byte offsets that stay true while
    the log grows. Each replica of an attempt has its own.

    ``over``: whether a subject has ended, or is gone.
    """

    def __init__(self, db: Database, attempts: Attempts, over: Callable[[Session, str], bool]) -> None:
        self._db = db
        self._attempts = attempts
        self._over = over

    def read(
        self, subject_id: str, offset: int, limit: int = CHUNK_BYTES, *, replica: int = 0
    ) -> tuple[bytes, bool]:
        """At most ``limit`` bytes from ``offset``, and whether the subject is over and none will follow."""
        parts, final = self._parts(subject_id, replica)
        at = 0
        for part in parts:
            size = part.size()
            if offset < at + size:
                return part.read(offset - at, limit), False
            at += size
        return b"", final

    def tail(self, subject_id: str, lines: int, *, replica: int = 0) -> int:
        """The offset at which the last ``lines`` lines begin."""
        parts, _ = self._parts(subject_id, replica)
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

    def _parts(self, subject_id: str, replica: int) -> tuple[list[_Part], bool]:
        # Whether it is over is read before the sizes: what it has then is all there will be.
        with self._db.read() as session:
            over = self._over(session, subject_id)
            rows = self._attempts.of(session, [subject_id])[subject_id]
        parts: list[_Part] = []
        for before, row in zip([None, *rows], rows, strict=False):
            if before is not None:
                why = f"attempt {before.number} ended: {before.reason}"
                text = f"--- attempt {row.number}, because {why} ---\n".encode()
                parts.append(_Part(text if parts[-1].ends_a_line() else b"\n" + text, None))
            parts.append(_Part(b"", self._attempts.log_path(row.id, replica)))
        return parts, over
