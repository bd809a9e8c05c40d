"""What frameworks report by themselves: to a job's track file, without the keys that the program logs.

Apart from ``nacre.sdk.track``, whose other ways (HTTP) take longer to import than some trainings to run.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from typing import Any

from nacre.sdk.tracking.channel import TrackFile
from nacre.sdk.tracking.records import OWN, Lines


class _State:
    """The job's track file, once something was captured."""

    file: TrackFile | None = None
    lines = Lines()
    lock = threading.Lock()


def log(metrics: Mapping[str, Any], step: int, params: Mapping[str, Any]) -> None:
    """Log metrics of one step, and params. A key that the program logs itself is left to the program.

    Raises:
        TypeError, ValueError: see ``nacre.log_metric``.
        OSError, KeyError: there is no track file.
    """
    lines = [_State.lines.metric(k, value, step) for k, value in metrics.items() if not OWN.knows("m", k)]
    lines += [_State.lines.text("p", k, value) for k, value in params.items() if not OWN.knows("p", k)]
    if lines:
        _file().write(lines)


def claim(kind: str, key: str) -> None:
    """The program logs this key (``m``: a metric, ``p``: a param) to the run, through another client."""
    if kind == "m" and not OWN.knows(kind, key):
        _tell(key)
    OWN.claim(kind, key)


def _tell(key: str) -> None:
    """The launcher, which looks into event files and the log, leaves the key to the program too."""
    path = os.path.join(os.path.dirname(os.environ.get("NACRE_TRACK_FILE", "")), "claims")
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            os.write(descriptor, json.dumps(str(key)).encode() + b"\n")
        finally:
            os.close(descriptor)


def _file() -> TrackFile:
    with _State.lock:
        if _State.file is None:
            _State.file = TrackFile(os.environ["NACRE_TRACK_FILE"], os.environ["NACRE_RUN_ID"])
        return _State.file


def _after_fork() -> None:
    _State.lock = threading.Lock()
    _State.lines.after_fork()
    if _State.file is not None:
        _State.file.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
