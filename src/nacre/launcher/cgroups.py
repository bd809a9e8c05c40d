"""Control groups, version 1, 2 or a mix: real limits where this host lets us set them."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from nacre.launcher.processes import send

ROOT = "/sys/fs/cgroup"


class Groups:
    """The control groups of one launch: ``paths`` by controller, ``held`` the limits really set.

    ``version`` is 2 when memory, pids or cpu are on the unified tree, 1 when on their own ones, 0 for
    none. The key ``kill`` of ``paths`` is a version 2 group whose ``cgroup.kill`` ends everything.
    """

    def __init__(self, version: int, paths: dict[str, str], held: list[str]) -> None:
        self.version = version
        self.paths = paths
        self.held = held

    def to_json(self) -> dict[str, object]:
        """What a later launcher needs to find them again."""
        return {"version": self.version, "paths": self.paths, "held": self.held}

    @property
    def joined(self) -> list[str]:
        """Folders whose ``cgroup.procs`` the command must enter."""
        return sorted(set(self.paths.values()))

    def pids(self) -> list[int]:
        """Processes in any of the groups."""
        found: set[int] = set()
        for path in self.joined:
            found.update(int(word) for word in _read(f"{path}/cgroup.procs").split())
        return sorted(found)

    def kill(self, deadline_s: float = 5.0) -> bool:
        """SIGKILL everything in the groups; True when they are empty."""
        deadline = time.monotonic() + deadline_s
        while self.paths:
            if "kill" in self.paths:
                _write(f"{self.paths['kill']}/cgroup.kill", "1")
            left = self.pids()
            if not left:
                return True
            if time.monotonic() > deadline:
                return False
            for pid in left:
                send(pid, signal.SIGKILL)
            time.sleep(0.002)
        return True

    def oom_kills(self) -> int:
        """How often the kernel ended a process here for want of memory."""
        path = self.paths.get("memory")
        if path is None:
            return 0
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        for line in _read(f"{path}/{name}").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
        return 0

    def reached_memory_limit(self) -> bool:
        """Whether this group's own limit was in the way; else the machine itself had no more."""
        path = self.paths.get("memory")
        if path is None:
            return False
        if self.version == 2:
            rows = dict(line.split() for line in _read(f"{path}/memory.events").splitlines())
            return any(rows.get(name, "0") != "0" for name in ("oom", "max"))
        # Newer kernels of version 1 count no failures at the limit; the peak stays just under it.
        peak, limit = self.peak_bytes(), self._memory("memory.limit_in_bytes")
        return peak is not None and limit is not None and peak >= limit * 0.98

    def peak_bytes(self) -> int | None:
        """Most memory that was in use at once, file cache included; None where Linux is older than 5.19."""
        return self._memory("memory.peak" if self.version == 2 else "memory.max_usage_in_bytes")

    def used_bytes(self) -> int | None:
        """Memory that is in use now, file cache included."""
        return self._memory("memory.current" if self.version == 2 else "memory.usage_in_bytes")

    def _memory(self, name: str) -> int | None:
        path = self.paths.get("memory")
        text = "" if path is None else _read(f"{path}/{name}").strip()
        return int(text) if text.isdigit() else None

    def remove(self, deadline_s: float = 2.0) -> None:
        """Take the groups away; the kernel may need a moment after the last process ended."""
        deadline = time.monotonic() + deadline_s
        left = self.joined
        while left:
            for path in list(left):
                try:
                    os.rmdir(path)
                except FileNotFoundError:
                    left.remove(path)
                except OSError:
                    continue
                else:
                    left.remove(path)
            if time.monotonic() > deadline:
                return
            if left:
                time.sleep(0.005)


def create(
    name: str, memory: int | None, processes: int | None, cpu: float | None, root: str = ROOT
) -> Groups:
    """Make the groups of a launch as far as this host allows, with these limits."""
    if os.path.exists(f"{root}/cgroup.controllers"):
        return _create_v2(name, memory, processes, cpu, root)
    paths: dict[str, str] = {}
    held: list[str] = []
    own = _own()
    for controller in ("memory", "pids", "cpu"):
        if controller == "cpu" and cpu is None:
            continue
        path = _make_below(f"{root}/{controller}", own.get(controller, "/"), name, "cgroup.procs")
        if path is not None:
            paths[controller] = path
    if memory is not None and "memory" in paths:
        # Lowering: memory first, then memory and swap together; the other order is EINVAL.
        if _write(f"{paths['memory']}/memory.limit_in_bytes", str(memory)):
            held.append("memory")
        _write(f"{paths['memory']}/memory.memsw.limit_in_bytes", str(memory))
    if processes is not None and "pids" in paths and _write(f"{paths['pids']}/pids.max", str(processes)):
        held.append("processes")
    if cpu is not None and "cpu" in paths:
        quota = str(max(1000, int(cpu * 100_000)))
        _write(f"{paths['cpu']}/cpu.cfs_period_us", "100000")
        if _write(f"{paths['cpu']}/cpu.cfs_quota_us", quota):
            held.append("cpu")
    version = 1 if paths else 0
    kill = _make_below(f"{root}/unified", own.get("", "/"), name, "cgroup.kill")
    if kill is not None:
        paths["kill"] = kill
    return Groups(version, paths, held)


def name_of(attempt: str, rank: int) -> str:
    """What the groups of a replica are called."""
    return f"{attempt}-{rank}".replace("/", "_")


def find(name: str, root: str = ROOT) -> Groups:
    """The groups that a launch of this name left; without paths when there are none.

    For a launcher that died before it could write down what it had made.
    """
    own = _own()
    trees: list[tuple[str, str, tuple[str, ...]]]
    if os.path.exists(f"{root}/cgroup.controllers"):
        trees = [("kill", root, _bases_v2(own))]
    else:
        trees = [
            (key, f"{root}/{tree}", (own.get(controller, "/"), "/"))
            for key, tree, controller in (
                *((one, one, one) for one in ("memory", "pids", "cpu")),
                ("kill", "unified", ""),
            )
        ]
    paths = {}
    for key, tree, bases in trees:
        for base in dict.fromkeys(bases):
            path = os.path.join(tree, base.strip("/"), "nacre", name)
            if key not in paths and os.path.isdir(path):
                paths[key] = path
    return Groups(0, paths, [])


def _bases_v2(own: dict[str, str]) -> tuple[str, str, str]:
    group = own.get("", "/")
    return group, os.path.dirname(group), "/"


def _create_v2(
    name: str, memory: int | None, processes: int | None, cpu: float | None, root: str
) -> Groups:
    parent = _best_parent(root)
    if parent is None:
        return Groups(0, {}, [])
    path = os.path.join(parent, name)
    try:
        os.makedirs(path, exist_ok=True)
    except OSError:
        return Groups(0, {}, [])
    if not may_join(path):
        with contextlib.suppress(OSError):
            os.rmdir(path)
        return Groups(0, {}, [])
    held = []
    if memory is not None and _write(f"{path}/memory.max", str(memory)):
        _write(f"{path}/memory.swap.max", "0")
        held.append("memory")
    if processes is not None and _write(f"{path}/pids.max", str(processes)):
        held.append("processes")
    if cpu is not None and _write(f"{path}/cpu.max", f"{max(1000, int(cpu * 100_000))} 100000"):
        held.append("cpu")
    paths = {"kill": path}
    if os.path.exists(f"{path}/memory.current"):
        paths["memory"] = path
    return Groups(2, paths, held)


def _best_parent(root: str) -> str | None:
    """The folder ``nacre`` where most controllers can be used.

    A group with processes cannot hand controllers down, so also look beside and at the top.
    """
    best: tuple[int, str | None] = (-1, None)
    for base in dict.fromkeys(_bases_v2(_own())):
        parent = os.path.join(root, base.strip("/"), "nacre")
        try:
            os.makedirs(parent, exist_ok=True)
        except OSError:
            continue
        for controller in ("memory", "pids", "cpu"):
            _write(f"{os.path.dirname(parent)}/cgroup.subtree_control", f"+{controller}")
            _write(f"{parent}/cgroup.subtree_control", f"+{controller}")
        has = len(set(_read(f"{parent}/cgroup.subtree_control").split()) & {"memory", "pids", "cpu"})
        best = max(best, (has, parent), key=lambda pair: pair[0])
        if has == 3:
            break
    return best[1]


def may_join(path: str) -> bool:
    """Whether a process of ours may enter: that also needs the common ancestor, so really try."""
    pid = os.fork()
    if pid == 0:
        os._exit(0 if _write(f"{path}/cgroup.procs", "0") else 1)
    return os.waitpid(pid, 0)[1] == 0


def _make_below(tree: str, own: str, name: str, needs: str) -> str | None:
    """Make ``nacre/<name>`` below our own group of a version 1 tree, or at its top."""
    for base in dict.fromkeys((own, "/")):
        path = os.path.join(tree, base.strip("/"), "nacre", name)
        if not os.path.isdir(os.path.join(tree, base.strip("/"))):
            continue
        try:
            os.makedirs(path, exist_ok=True)
        except OSError:
            continue
        if os.access(f"{path}/{needs}", os.W_OK):
            return path
        with contextlib.suppress(OSError):
            os.rmdir(path)
    return None


def _own() -> dict[str, str]:
    """This process's group by controller; the key of the version 2 tree is the empty string."""
    found = {}
    for line in _read("/proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, text: str) -> bool:
    try:
        fd = os.open(path, os.O_WRONLY)
    except OSError:
        return False
    try:
        os.write(fd, text.encode())
    except OSError:
        return False
    finally:
        os.close(fd)
    return True
