"""Secrets become ``*`` of the same length in what is sent, so that offsets stay true."""

from __future__ import annotations

import json
import re

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"(\s*:)?')


class Masks:
    """The secrets of one attempt. Values under 4 characters are too short to mask."""

    def __init__(self, values: list[str]) -> None:
        words: set[str] = set()
        for value in values:
            words.add(value)
            words.add(value.strip())
            words.update(line.strip() for line in value.splitlines() if len(line.strip()) >= 8)
        kept = sorted(word for word in words if len(word) >= 4)
        self.words = [word.encode("utf-8", "surrogateescape") for word in kept]
        self._quoted = sorted({json.dumps(word)[1:-1].encode() for word in kept} | set(self.words))
        self.reach = max((len(word) for word in self.words), default=1) - 1

    def hide(self, data: bytes) -> bytes:
        """The same bytes, with every secret that lies whole in them masked, also where two overlap."""
        return _hide(data, self.words)

    def hide_json(self, data: bytes) -> bytes:
        """The same for lines of JSON: only string values change, never keys, numbers or the syntax."""
        if not any(word in data for word in self._quoted):
            return data
        return _STRING.sub(self._hide_string, data)

    def _hide_string(self, match: re.Match[bytes]) -> bytes:
        if match[1] is not None:
            return match[0]
        return b'"' + _hide(match[0][1:-1], self._quoted) + b'"'

    def held(self, data: bytes) -> int:
        """Length of the longest end of ``data`` that may become a secret when more is written."""
        longest = 0
        for word in self.words:
            for size in range(min(len(word) - 1, len(data)), longest, -1):
                if data.endswith(word[:size]):
                    longest = size
                    break
        return longest


def _hide(data: bytes, words: list[bytes]) -> bytes:
    hidden: bytearray | None = None
    for word in words:
        at = data.find(word)
        while at >= 0:
            if hidden is None:
                hidden = bytearray(data)
            hidden[at : at + len(word)] = b"*" * len(word)
            at = data.find(word, at + 1)
    return data if hidden is None else bytes(hidden)
