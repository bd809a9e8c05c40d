"""What is really enforced of a launch: the record that its events carry, and sentences of the doctor's."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import Any, Literal

from nacre.launcher.cgroups import Groups
from nacre.launcher.sandbox import filter_path, find
from nacre.launcher.spec import Spec
from nacre.launcher.start import rlimit_memory

Level = Literal["full", "partial", "reduced"]

NEEDED = ("memory", "processes")
"""Limits that control groups must hold for ``full``."""


def level(*, boxed: bool, held: Collection[str], seccomp: bool) -> Level:
    """Sum it up. ``held``: the limits that control groups hold, or that nobody asked for.

    ``full``: own files, processes, network and system calls, and real limits on memory and processes.
    ``partial``: the sandbox works, some of the rest does not. ``reduced``: a plain process.
    """
    if not boxed:
        return "reduced"
    return "full" if seccomp and set(NEEDED) <= set(held) else "partial"


def exposed(uid: int | None, *, root: bool) -> list[str]:
    """What nothing stops without a sandbox. ``uid``: the work's own; None: the server's."""
    if uid is not None:
        files = f"It reads and writes files of this machine as far as its own user {uid} may."
    elif root:
        files = "It runs as root: it can read and change everything on this machine, the server's keys too."
    else:
        files = "It runs as the server's own user: it can read and change the server's files, keys too, "
        files += "and end, trace or read the work of other projects."
    return [
        files,
        "It sees every process of this machine, and shares /tmp and /dev/shm, whose size nothing limits.",
        "It has the machine's network, and every system call; it can make namespaces of its own.",
    ]


def record(spec: Spec, groups: Groups) -> dict[str, Any]:
    """How each limit is held for this launch; null where none was asked for.

    ``missing`` names in sentences what is not stopped.
    """
    limits, held = spec.limits, groups.held
    seccomp = spec.boxed and os.path.exists(filter_path(spec.trees_root))
    fallbacks = _fallbacks(spec, groups)
    ways: dict[str, str | None] = {}
    for name, asked in (
        ("memory", limits.memory_bytes),
        ("processes", limits.processes),
        ("cpu", limits.cpu),
    ):
        ways[name] = None if asked is None else "cgroup" if name in held else fallbacks[name]
    enough = [name for name in NEEDED if ways[name] in (None, "cgroup")]
    found = level(boxed=spec.boxed, held=enough, seccomp=seccomp)
    return {
        "level": found,
        "sandbox": spec.sandbox,
        "uid": spec.owner,
        **ways,
        "disk": None if limits.disk_bytes is None else "watched",
        "network": spec.network if spec.boxed else "full",
        "seccomp": seccomp,
        "missing": _missing(spec, ways, joined=bool(groups.joined), seccomp=seccomp),
    }


def _fallbacks(spec: Spec, groups: Groups) -> dict[str, str]:
    rlimits = find("prlimit") is not None
    # The kernel lets root have as many processes as it likes.
    mortal = spec.boxed or spec.owner is not None or os.geteuid() != 0
    return {
        "memory": "rlimit" if rlimits and rlimit_memory(spec, groups) else "watched",
        "processes": "rlimit" if rlimits and mortal else "not enforced",
        "cpu": "not enforced",
    }


def _missing(spec: Spec, ways: dict[str, str | None], *, joined: bool, seccomp: bool) -> list[str]:
    found = [] if spec.boxed else exposed(spec.owner, root=os.geteuid() == 0)
    if not spec.boxed and not joined:
        found.append("A process that breaks away from it and clears its variables is not found at its end.")
    if spec.sandbox == "bwrap-user":
        found.append("It has the server's own user number: only the sandbox is between the projects.")
    if spec.boxed and not seccomp:
        found.append("System calls are not filtered.")
    for name, way in ways.items():
        if way not in (None, "cgroup"):
            found.append(LACKS[name, str(way)])
    return found


LACKS = {
    (
        "memory",
        "rlimit",
    ): "Memory is limited for each process; the sum is only watched.",
    ("memory", "watched"): "Memory is only watched, some times each second.",
    ("processes", "rlimit"): "The number of processes is limited by user number, not for the job alone.",
    ("processes", "not enforced"): "The number of processes is not limited.",
    ("cpu", "not enforced"): "CPU time is not limited.",
}
"""What a limit that no control group holds lets through, by limit and by what is there instead."""
