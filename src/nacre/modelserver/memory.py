"""Memory of a worker, bounded so that a model that asks for more fails alone; its open files."""

from __future__ import annotations

import ctypes
import resource
from pathlib import Path

_LEAST = 2**30
_CGROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def available() -> int:
    """Bytes of memory that this machine, or the control group that it is run in, has."""
    pages = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    for path in _CGROUPS:
        try:
            limit = Path(path).read_text().strip()
        except OSError:
            continue
        if limit.isdecimal():
            pages = min(pages, int(limit))
    return pages


def bound(most: int | None, workers: int) -> None:
    """Let this process have at most ``most`` bytes of data, by default a worker's part of three quarters of
    the machine, so that an allocation beyond it fails as one; files that are mapped do not count."""
    limit = max(_LEAST, (most if most is not None else available() * 3 // 4) // workers)
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))


def give_back() -> None:
    """Have the allocator return what it holds of memory that is free; it keeps that by itself for ever.

    Takes milliseconds, in which other threads may wait for memory: after something large has gone.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc only
    if trim is not None:
        trim(0)


def open_files() -> int:
    """Let this process have as many connections as it may; how many files that are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
