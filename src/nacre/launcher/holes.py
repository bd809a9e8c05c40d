"""Gives a file's blocks back to the disk without changing its length (``fallocate``, Linux).

Imported only when a log passes its limit: ctypes costs time that a start does not have.
"""

from __future__ import annotations

import ctypes
import os

_KEEP_SIZE, _PUNCH_HOLE = 1, 2

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]


def punch(path: str, start: int, end: int) -> bool:
    """Make ``start`` to ``end`` read as zeros that take no disk. False where that is not possible."""
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        return bool(_fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, start, end - start) == 0)
    finally:
        os.close(fd)
