"""Fits inside fits: of a search, a cross-validation, an ensemble only the outermost counts."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

# What fits the one estimator that it is given once: a fit inside still is the fit that the user asked for.
_CLEAR = frozenset(("Pipeline", "TransformedTargetRegressor"))

_lock = threading.Lock()
_stack: list[tuple[int, int, str]] = []
_process = os.getpid()


def enter(owner: Any, name: str) -> bool:
    """A fit of ``owner``, or something of many fits, begins. Whether it is the outermost one."""
    with _lock:
        _stack.append((threading.get_ident(), id(owner), name))
        return len(_stack) == 1 and not _worker()


def leave(owner: Any, name: str) -> None:
    """It ended."""
    mine = (threading.get_ident(), id(owner), name)
    with _lock:
        for index in range(len(_stack) - 1, -1, -1):
            if _stack[index] == mine:
                del _stack[index]
                break


def counts() -> bool:
    """Whether a training that reports now is the one that the user asked for: not one of many inside a
    search or an ensemble, nor one in a worker process of these."""
    with _lock:
        here = threading.get_ident()
        if not _stack:
            return True
        inner = _stack[-1][1]  # its class and the class above may both have a ``fit``
        return not _worker() and all(
            thread == here and (owner == inner or name in _CLEAR) for thread, owner, name in _stack
        )


def inside() -> bool:
    """Whether an estimator is being fitted, whose params are logged by itself."""
    return bool(_stack)


def _worker() -> bool:
    """Whether this process works for another: joblib's, multiprocessing's, or a fork."""
    if os.getpid() != _process:
        return True
    process: Any = sys.modules.get("multiprocessing.process")
    return process is not None and process.current_process().name != "MainProcess"


def _after_fork() -> None:
    global _lock  # noqa: PLW0603 - another thread may have held it
    _lock = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
