"""Processes of this machine's server, looked at and ended from outside of it."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

_LOOK_S = 0.05


def start_time(pid: int) -> int | None:
    """Start time of a process; null when there is none, or only what nobody has reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19]) if fields[0] not in "ZX" else None


def end_replicas(attempts: Path, timeout_s: float) -> None:
    """End the replicas of endpoints, which nobody asks any more.

    Their launchers stop them at the first SIGTERM, and at a second one, once the work has ended, leave it
    to launchers that the next server starts to tell that.
    """
    living = dict(_launchers(attempts))
    for pid, _ in living.values():
        _terminate(pid)
    told: set[Path] = set()
    deadline = time.monotonic() + timeout_s
    while living and time.monotonic() < deadline:
        for folder, (pid, start) in list(living.items()):
            if start_time(pid) != start:
                del living[folder]
            elif folder not in told and (folder / "exit").exists():
                told.add(folder)
                _terminate(pid)
        time.sleep(_LOOK_S)


def _launchers(attempts: Path) -> list[tuple[Path, tuple[int, int]]]:
    """Folder, and pid and start time, of each launcher that runs a replica of an endpoint."""
    found = []
    for path in attempts.glob("*/*/spec.json"):
        try:
            if json.loads(path.read_text()).get("kind") != "endpoint":
                continue
            noted = json.loads(path.with_name("launcher.json").read_text())
            pid, start = int(noted["pid"]), int(noted["start"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if start_time(pid) == start:
            found.append((path.parent, (pid, start)))
    return found


def _terminate(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
