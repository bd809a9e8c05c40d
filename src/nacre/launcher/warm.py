"""Makes the kernel ready to move a process between control groups, while this process still imports.

The first such move after a while waits for an RCU grace period, 10 to 20 ms; the next ones do not. Moving
ourselves to where we are changes nothing and takes that wait early.
"""

from __future__ import annotations

import os

ROOT = "/sys/fs/cgroup"


def move_to_own_groups() -> None:
    """Move this process to the groups that it is in. What this host does not allow is left."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        lines = file.read().splitlines()
    for line in lines:
        _, controllers, own = line.split(":", 2)
        names = controllers.split(",")
        if names == [""] or set(names) & {"memory", "pids", "cpu"}:
            _move(f"{ROOT}/{names[0]}{own}/cgroup.procs")


def _move(path: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        os.write(fd, b"0")
    except OSError:
        return
    finally:
        os.close(fd)
