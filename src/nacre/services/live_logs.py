"""Logs as they are written: bytes from an offset, whole characters only."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import partial
from typing import Any

from nacre.schema.live import Cursor
from nacre.services.live_topics import Position, Reading, reading

LOG_BYTES = 256 * 2**10

Read = Callable[[int, int], tuple[bytes, bool]]
"""(offset, limit) → bytes, and whether no more will come."""


class LogTopic:
    """A log from an offset; ``ended`` once no more will come.

    ``which`` names the log that there is now, of a thing that begins a new one at times (an instance with
    each start): when the name changes, subscribers are told ``reset`` and get the new one from
    its beginning.
    """

    urgent: tuple[str, ...] = ()
    every_s = 0.3  # nobody reads faster, and fifty readers of a busy log cost a core little
    again_s = 2.0

    def __init__(
        self,
        subject_id: str,
        signals: tuple[str, ...],
        read: Read,
        *,
        tail: Callable[[int], int] | None = None,
        lines: int | None = None,
        encoding: str = "text",
        which: Callable[[], str] | None = None,
    ) -> None:
        """``tail``: the offset of the last so many lines; used where a subscriber asks for ``lines``."""
        self.key = f"log:{subject_id}:{encoding}"
        self.signals = signals
        self._read = read
        self._tail = partial(tail, lines) if tail is not None and lines is not None else None
        self._base64 = encoding == "base64"
        self._which = which

    def start(self, cursor: Cursor | None) -> Position:
        """At the beginning, or ``lines`` before the end, unless the cursor says otherwise."""
        if cursor is None and self._tail is not None:
            return Position.of({"offset": self._tail()})
        return Position.of(cursor or {})

    def read(self, position: Position) -> Reading:
        """What was written past a position."""
        if self._which is None:
            return self._past(position, {}, {})
        now, known = self._which(), position.text("log")
        if now == known:
            return self._past(position, {}, {})
        fresh: Cursor = {"log": now}
        said: dict[str, Any] = {}
        if known:  # what it had is another log
            said["reset"] = True
            position = Position.of({"log": now})
            fresh |= {"offset": None, "ended": None}
        return self._past(position, fresh, said)

    def _past(self, position: Position, change: Cursor, said: dict[str, Any]) -> Reading:
        if position.text("ended"):
            return reading(position, change, said)
        offset = position.number("offset")
        data, final = self._read(offset, LOG_BYTES)
        if not data:
            if final:
                change, said = change | {"ended": 1}, said | {"ended": True}
            return reading(position, change, said)
        more = len(data) >= LOG_BYTES
        if self._base64:
            text = base64.b64encode(data).decode("ascii")
            return reading(
                position,
                change | {"offset": offset + len(data)},
                said | {"offset": offset, "base64": text},
                more,
            )
        # the rest of a character comes with the next bytes, unless there will be none
        whole = whole_text(data) or (len(data) if self._read(offset + len(data), 1)[1] else 0)
        if whole == 0:
            return reading(position, change, said)
        text = data[:whole].decode("utf-8", "replace")
        return reading(
            position, change | {"offset": offset + whole}, said | {"offset": offset, "text": text}, more
        )


def whole_text(data: bytes) -> int:
    """How many of the bytes end with a whole character of UTF-8; of what is none, all."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:
            return len(data)
        if byte >= 0xC0:
            needed = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return len(data) if back >= needed else len(data) - back
    return len(data)
