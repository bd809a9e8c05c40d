"""Rates of tokens: buckets in memory that the workers of one server share."""

from __future__ import annotations

import mmap
import os
import struct

_SLOT = struct.Struct("=8sdd")
_STATE = struct.Struct("=dd")
_KEY = 8
_SLOTS = 8192
_PROBES = 64


class Bucket:
    """Fills by ``rate`` requests a second up to ``burst``; what is left and when lie in shared memory.

    Nothing is locked: of requests that two workers take at the same microsecond one may not be counted.
    """

    __slots__ = ("_at", "_burst", "_memory", "_rate")

    def __init__(self, memory: mmap.mmap, at: int, rate: float, burst: float) -> None:
        self._memory = memory
        self._at = at
        self._rate = rate
        self._burst = burst

    def take(self, now: float) -> float:
        """Take a request's place; 0, or the seconds to wait when there is none.

        ``now``: of the machine's monotonic clock, in seconds.
        """
        left, since = _STATE.unpack_from(self._memory, self._at)
        left = min(self._burst, left + max(0.0, now - since) * self._rate) if since else self._burst
        wait = max(0.0, (1.0 - left) / self._rate)
        _STATE.pack_into(self._memory, self._at, left if wait else left - 1.0, now)
        return float(wait)


class Rates:
    """``descriptor``: of memory made by :func:`shared`; null for a worker without others."""

    def __init__(self, descriptor: int | None = None) -> None:
        self._memory = mmap.mmap(-1 if descriptor is None else descriptor, _SLOTS * _SLOT.size)

    def bucket(self, key: str, rate: float, burst: float) -> Bucket:
        """The bucket of a token by the hexadecimal digest of its text: the same one in every worker."""
        short = bytes.fromhex(key)[:_KEY].ljust(_KEY, b"\0")
        first = int.from_bytes(short, "big")
        for step in range(_PROBES):
            slot = (first + step) % _SLOTS * _SLOT.size
            found = self._memory[slot : slot + _KEY]
            if found == bytes(_KEY):
                self._memory[slot : slot + _KEY] = short
                found = short
            if found == short:
                return Bucket(self._memory, slot + _KEY, rate, burst)
        # Thousands of tokens with a rate have come and gone: this worker counts the new ones for itself.
        return Bucket(mmap.mmap(-1, _SLOT.size), 0, rate, burst)


def shared() -> int:
    """A descriptor of memory for the buckets, to be handed to each worker."""
    descriptor = os.memfd_create("nacre-rates")
    os.ftruncate(descriptor, _SLOTS * _SLOT.size)
    return descriptor
