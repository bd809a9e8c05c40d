"""How long to wait after failures."""

from __future__ import annotations


def wait_s(failures: int, *, free: int, longest_s: float) -> float:
    """Seconds to wait after the last of so many failures: none for the first ``free``, then 1, 2, 4, ….

    Never more than ``longest_s``.
    """
    if failures < free:
        return 0.0
    return min(2.0 ** min(failures - free, 60), longest_s)
