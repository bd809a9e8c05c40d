"""Copies what the command prints into its log: ``python -I -S pump.py``, from standard input to output.

Lives as long as the pipe, whatever becomes of the launcher; imports next to nothing, as each start pays for
it. Where the disk takes no more, nobody who prints is ended or held up by that: what comes is kept in
memory, the newest of it when it is too much, and written when there is room, with a line that says how many
bytes are missing where. Ends with the pipe, or at SIGTERM, once the log has what is kept or is gone itself.
"""

from __future__ import annotations

import errno
import posix
import time

_PIECE = 2**16
"""What a pipe holds."""
_MOST = 2**20
"""Kept in memory besides what is being written; half of it stays when it is too much."""
_LONGEST_LINE = 2**16
_PAUSE_S = 0.1

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Kept:
    """What the disk has not taken yet: ``first``, then a notice if bytes are lost, then ``rest``."""

    def __init__(self, data: bytes) -> None:
        """``data`` is not empty."""
        self.lost = 0
        self._first = bytearray(data)
        self._rest = bytearray()
        self._last = b""
        self._why = ""

    def add(self, data: bytes) -> None:
        """Keep these too, and let go of the oldest whole lines when that is too much."""
        self._rest += data
        if len(self._rest) <= _MOST:
            return
        if (
            not self.lost and (self._first[-1:] or self._last) != b"\n"
        ):  # the line that has begun stays whole
            end = self._rest.find(b"\n", 0, _LONGEST_LINE) + 1
            self._first += self._rest[:end]
            del self._rest[:end]
        start = len(self._rest) - _MOST // 2
        start = self._rest.find(b"\n", start, start + _LONGEST_LINE) + 1 or start
        self.lost += start
        del self._rest[:start]

    def write(self) -> bool:
        """Write what the disk takes; whether that was all."""
        try:
            while True:
                while self._first:
                    written = posix.write(1, self._first)
                    self._last = bytes(self._first[written - 1 : written])
                    del self._first[:written]
                if self.lost:
                    self._first += self._notice()
                    self.lost = 0
                elif self._rest:
                    self._first, self._rest = self._rest, self._first
                else:
                    return True
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            self._why = "the disk of the node was full" if full else f"it was not taken: {error.strerror}"
            return False

    def _notice(self) -> bytes:
        begin = "" if self._last == b"\n" else "\n"
        text = f"{begin}[nacre] {self.lost:,} bytes of the log are missing here: {self._why}.\n"
        return text.encode()


def wait(kept: Kept) -> bool:
    """Read on, and try to write from time to time, until all is written; False when no more will come."""
    import select  # noqa: PLC0415 - nobody needs these as long as there is room
    import signal  # noqa: PLC0415

    told: list[int] = []

    def end(number: int, _frame: Any) -> None:
        told.append(number)

    signal.signal(signal.SIGTERM, end)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    reading = True
    while not kept.write():
        if posix.fstat(1).st_nlink == 0:
            return False
        due = time.monotonic() + _PAUSE_S
        while (left := due - time.monotonic()) > 0:
            if not reading or told:
                time.sleep(left)
            elif poll.poll(1000 * left):
                data = posix.read(0, _PIECE)
                kept.add(data)
                reading = bool(data)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return reading and not told


def main() -> None:
    """Copy until the end."""
    while data := posix.read(0, _PIECE):
        try:
            written = posix.write(1, data)
        except OSError:
            written = 0
        if written < len(data) and not wait(Kept(data[written:])):
            return


if __name__ == "__main__":
    main()
