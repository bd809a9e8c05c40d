"""Processes by /proc: identity that survives reuse of numbers, descent, and ending them all."""

from __future__ import annotations

import os
import signal
import time
from typing import NamedTuple


class Stat(NamedTuple):
    """What Nacre uses of ``/proc/PID/stat``. ``start`` is in clock ticks since boot (field 22)."""

    pid: int
    state: str
    parent: int
    session: int
    start: int
    rss_pages: int


def stat(pid: int) -> Stat | None:
    """The process, or None when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            data = file.read()
    except OSError:
        return None
    rest = data[data.rindex(b")") + 2 :].split()
    return Stat(pid, rest[0].decode(), int(rest[1]), int(rest[3]), int(rest[19]), int(rest[21]))


def alive(pid: int, start: int) -> bool:
    """Whether that very process still runs; a zombie does not."""
    found = stat(pid)
    return found is not None and found.start == start and found.state not in "ZX"


def elapsed_s(start: int) -> float:
    """Seconds since a process with this start time started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) - start / os.sysconf("SC_CLK_TCK")


def table() -> dict[int, Stat]:
    """Every process of this host that is visible here."""
    rows = (stat(int(name)) for name in os.listdir("/proc") if name.isdigit())
    return {row.pid: row for row in rows if row is not None}


def descendants(root: int, rows: dict[int, Stat]) -> list[Stat]:
    """Children of ``root``, then theirs, and so on; zombies left out."""
    children: dict[int, list[Stat]] = {}
    for row in rows.values():
        children.setdefault(row.parent, []).append(row)
    found: list[Stat] = []
    level = children.get(root, [])
    while level:
        found += [row for row in level if row.state not in "ZX"]
        level = [child for row in level for child in children.get(row.pid, [])]
    return found


def command_pid(wrapper: int, depth: int) -> int | None:
    """The command itself: the oldest child, ``depth`` generations below the wrapper."""
    rows = table()
    pid = wrapper
    for _ in range(depth):
        children = [row for row in rows.values() if row.parent == pid and row.state not in "ZX"]
        if not children:
            return None
        pid = min(children, key=lambda row: (row.start, row.pid)).pid
    return pid


_SHELLS = frozenset(("sh", "dash", "bash", "ash", "zsh", "busybox"))


class Request:
    """Asks a command to end, by SIGTERM, and through the shells around it the programs that they run.

    A shell dies of SIGTERM at once, even in the middle of waiting, and the program in it, which may be
    saving its state, would lose its sandbox. So what the shell runs is asked first; the shell itself when
    that has ended, or at once when it has a trap.
    """

    def __init__(self, command: int) -> None:
        self._waiting: dict[int, list[Stat]] = {}
        self._ask(command, table())

    def _ask(self, pid: int, rows: dict[int, Stat]) -> None:
        inside = [row for row in rows.values() if row.parent == pid and row.state not in "ZX"]
        if not (inside and _is_shell(pid)):
            send(pid, signal.SIGTERM)
            return
        if _catches(pid, signal.SIGTERM):
            send(pid, signal.SIGTERM)
        else:
            self._waiting[pid] = inside
        for row in inside:
            self._ask(row.pid, rows)

    @property
    def waits(self) -> bool:
        """Whether :meth:`go_on` is to be called again soon."""
        return bool(self._waiting)

    def go_on(self) -> None:
        """Ask the shells whose programs have ended."""
        for pid, inside in list(self._waiting.items()):
            if not any(alive(row.pid, row.start) for row in inside):
                del self._waiting[pid]
                send(pid, signal.SIGTERM)


def _is_shell(pid: int) -> bool:
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe")) in _SHELLS
    except OSError:
        return False


def _catches(pid: int, number: int) -> bool:
    """Whether the process has a handler for the signal."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            caught = next(line for line in file if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def marked(marks: list[bytes], rows: dict[int, Stat]) -> list[int]:
    """Processes whose environment holds every one of ``marks`` (``NAME=value``)."""
    found = []
    for pid in rows:
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                entries = file.read().split(b"\0")
        except OSError:
            continue
        if all(mark in entries for mark in marks):
            found.append(pid)
    return found


def send(pid: int, number: int) -> bool:
    """Send a signal; False when the process is gone or not ours."""
    try:
        os.kill(pid, number)
    except OSError:
        return False
    return True


def end_all(wrapper: int, marks: list[bytes], deadline_s: float = 5.0) -> bool:
    """SIGKILL everything below the wrapper, and what broke away from it. True when none is left.

    The deepest go first: that ends a pid namespace by its init before bubblewrap's outer process.
    """
    deadline = time.monotonic() + deadline_s
    own = os.getpid()
    while True:
        rows = table()
        below = [row.pid for row in descendants(wrapper, rows)]
        stray = [pid for pid in marked(marks, rows) if rows[pid].state not in "ZX"]
        victims = [*reversed(below), *stray]
        victims = [pid for pid in victims if pid not in (own, wrapper)]
        if not victims:
            return True
        if time.monotonic() > deadline:
            return False
        for pid in victims:
            send(pid, signal.SIGKILL)
        time.sleep(0.005)


def memory_bytes(wrapper: int, inside: int | None, limit: int) -> int:
    """Memory of everything below the wrapper, and of its folders in memory when ``inside`` is a process of
    a sandbox. Exact only when it may be over the limit: until then what processes share counts for each.
    """
    below = descendants(wrapper, table())
    folders = 0 if inside is None else sum(_folder_bytes(inside, name) for name in ("tmp", "dev/shm"))
    most = sum(row.rss_pages for row in below) * os.sysconf("SC_PAGE_SIZE") + folders
    if most <= limit:
        return most
    parts = [_share(row.pid) for row in below]
    if None in parts:
        return most
    anonymous = sum(part[0] for part in parts if part is not None)
    shared = sum(part[1] for part in parts if part is not None)
    return anonymous + max(shared, folders)


def _folder_bytes(inside: int, name: str) -> int:
    """What a folder in memory holds, as that process sees it."""
    try:
        facts = os.statvfs(f"/proc/{inside}/root/{name}")
    except OSError:
        return 0
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize


def _share(pid: int) -> tuple[int, int] | None:
    """Private and shared memory of a process, a page of n processes being the nth part of one."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            rows = {line.split()[0]: line.split()[1] for line in file if line.startswith("Pss_")}
        return 1024 * int(rows["Pss_Anon:"]), 1024 * int(rows["Pss_Shmem:"])
    except ProcessLookupError:
        return 0, 0
    except (OSError, KeyError):  # not ours to read, or a kernel before 5.4
        return None
