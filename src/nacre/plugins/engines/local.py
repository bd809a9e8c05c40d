"""The engine of one machine: launchers are processes of this host, found again through their folders."""

from __future__ import annotations

import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pynvml

from nacre.errors import NotFound, Unavailable
from nacre.ports.engines import Engine, Handle, NodeFacts, Observed
from nacre.schema.launch import LaunchSpec, SandboxMode

NODE = "local"
_PROBE = """
import compileall, json, os
from nacre.launcher import __file__ as launcher
from nacre.launcher.isolation import detect
# Many installers leave bytecode out, and a launcher writes none: without it each start takes 20 ms longer.
compileall.compile_dir(os.path.dirname(launcher), quiet=2)
print(json.dumps(detect().to_json()))
"""
_PROBE_TIMEOUT_S = 60
_SOCKET_PATH_BYTES = 107
_CLEAR_TIMEOUT_S = 60


class LocalEngine(Engine):
    """Starts launchers on this machine, each in a session of its own, so that they outlive the server.

    A launcher is known by pid and start time, so that a number that another process got is not mistaken
    for it. ``home``: the server's folder; each replica has its own in ``attempts/ATTEMPT/RANK`` there. What
    the launchers of a gang share lies beside those, in ``attempts/ATTEMPT``.
    """

    def __init__(self, home: Path, python: str = sys.executable) -> None:
        self._attempts = home / "attempts"
        self._attempts.mkdir(parents=True, exist_ok=True)
        self._python = python
        self._path = os.pathsep.join(p for p in sys.path if p and os.path.exists(p))
        self._lock = threading.Lock()
        self._children: dict[str, int] = {}
        self._asked: set[tuple[str, int]] = set()
        self._facts: NodeFacts | None = None
        self._roots: dict[Path, int] = {}

    # Machines

    def nodes(self) -> list[NodeFacts]:
        """This machine. The first call tries out the sandbox, which takes a good part of a second."""
        with self._lock:
            if self._facts is None:
                self._facts = self._discover()
            return [self._facts]

    def _discover(self) -> NodeFacts:
        isolation = self._isolation()
        return NodeFacts(
            name=NODE,
            cpu=_cpus(),
            memory=_memory(),
            gpus=_gpus(),
            isolation=str(isolation.get("level", "reduced")),
            sandbox=SandboxMode(isolation.get("mode", "none")),
            facts={
                "hostname": platform.node(),
                "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            },
        )

    def _isolation(self) -> dict[str, Any]:
        try:
            done = subprocess.run(
                [self._python, "-c", _PROBE],
                capture_output=True,
                env=self._environment(),
                timeout=_PROBE_TIMEOUT_S,
                check=True,
            )
            found = json.loads(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _environment(self) -> dict[str, str]:
        """Nothing of the server's own variables: secrets may be among them."""
        return {
            "PATH": os.defpath,
            "LANG": "C.UTF-8",
            "PYTHONPATH": self._path,
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    # Launchers

    def _reach(self) -> None:
        """A disk that went away took no work with it: nothing may be concluded from what is not there."""
        if not self._attempts.is_dir():
            raise Unavailable(f"the folder {self._attempts} is not there: is its disk mounted?")

    def handle(self, spec: LaunchSpec) -> Handle:
        """The folder says it all."""
        return {"folder": spec.folder, "attempt": spec.attempt_id, "rank": spec.rank}

    def launch(self, spec: LaunchSpec, handle: Handle) -> None:
        """Write ``spec.json`` and start a launcher; nothing when a launcher has been there."""
        self._reach()
        folder = Path(handle["folder"])
        with self._lock:
            if (folder / "launcher.json").exists() or (folder / "events.jsonl").exists():
                return
            try:
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                _write_private(folder / "spec.json", spec.model_dump_json().encode())
                self._spawn(folder)
            except OSError as error:
                raise Unavailable(f"a launcher cannot be started: {error}") from error

    def adopt(self, handle: Handle) -> None:
        """Start a launcher on what is there; the folder's lock sees to it that only one works."""
        self._reach()
        folder = Path(handle["folder"])
        with self._lock:
            if self._launcher(folder) is not None:
                return
            if not (folder / "spec.json").exists() and not (folder / "events.jsonl").exists():
                raise NotFound(f"nothing is left of attempt {handle['attempt']} in {folder}")
            try:
                self._spawn(folder, "--adopt")
            except OSError as error:
                raise Unavailable(f"a launcher cannot be started: {error}") from error

    def _spawn(self, folder: Path, *options: str) -> None:
        if self._child(folder) is not None:
            return
        append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        said = str(folder / "launcher.log")
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, said, append, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ]
        # Without site (-S): a launcher is there 20 ms earlier, and finds its packages in PYTHONPATH.
        argv = [self._python, "-S", "-P", "-m", "nacre.launcher", str(folder), *options]
        self._children[str(folder)] = os.posix_spawn(
            self._python,
            argv,
            self._environment(),
            file_actions=actions,
            setsid=True,
            setsigmask=[],
            setsigdef=[signal.SIGPIPE, signal.SIGINT, signal.SIGTERM, signal.SIGHUP],
        )

    def _child(self, folder: Path) -> int | None:
        """The pid of the launcher that this process started, while it runs; then it is reaped."""
        pid = self._children.get(str(folder))
        if pid is None:
            return None
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if not ended:
            return pid
        del self._children[str(folder)]
        return None

    def _end_child(self, folder: Path) -> None:
        """Kill a launcher of ours; the clearing program finds only those that have noted who they are."""
        pid = self._child(folder)
        if pid is None:
            return
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        del self._children[str(folder)]

    def observe(self, handle: Handle) -> Observed:
        """What the folder and the process table say."""
        self._reach()
        folder = Path(handle["folder"])
        with self._lock:
            launcher = self._launcher(folder)
        try:
            exited = (folder / "exit").exists()
            done = not (folder / "spec.json").exists() and (folder / "events.jsonl").exists()
        except OSError as error:
            raise Unavailable(f"cannot look into {folder}: {error}") from error
        return Observed(launcher is not None, _work_lives(folder), exited, done)

    def _launcher(self, folder: Path) -> int | None:
        """The pid of the folder's launcher; one that this process started is also reaped here."""
        child = self._child(folder)
        if child is not None:
            return child
        noted = _read_json(folder / "launcher.json")
        if noted is not None and _alive(noted.get("pid"), noted.get("start"), "nacre.launcher"):
            return int(noted["pid"])
        return None

    def stop(self, handle: Handle) -> None:
        """SIGTERM to the launcher, once: a second one would mean "leave the folder to another"."""
        self._reach()
        folder = Path(handle["folder"])
        with self._lock:
            pid = self._launcher(folder)
            if pid is None or (str(folder), pid) in self._asked:
                return
            noted = _read_json(folder / "launcher.json")
            if noted is None or noted.get("pid") != pid:
                return  # too young to understand; it learns of the wish from the server's first answer
            try:
                os.kill(pid, signal.SIGTERM)
            except OSError:
                return
            self._asked.add((str(folder), pid))

    def forget(self, handle: Handle, *, everything: bool = False) -> None:
        """Remove the folder; a program of the launcher's clears what did not come to its end."""
        self._reach()
        folder = Path(handle["folder"])
        with self._lock:
            launcher = self._launcher(folder)
            self._end_child(folder)
            self._asked = {asked for asked in self._asked if asked[0] != str(folder)}
        kept = not everything and (folder / "output-kept").exists()
        if kept and {path.name for path in folder.iterdir()} <= {"output", "output-kept"}:
            return
        # plan.json is there while control groups may be: the launcher removes both.
        unfinished = launcher is not None or any((folder / n).exists() for n in ("plan.json", "spec.json"))
        if unfinished or kept or _work_lives(folder):
            self._clear(handle, everything=everything)
        else:
            shutil.rmtree(folder, ignore_errors=True)
        self._forget_shared(folder.parent)

    def _forget_shared(self, attempt: Path) -> None:
        """With the last replica goes what the gang shared; whoever holds its network ends by himself."""
        with self._lock:
            try:
                if not any(_is_replica(path) for path in attempt.iterdir()):
                    shutil.rmtree(attempt, ignore_errors=True)
            except FileNotFoundError:
                return

    def _clear(self, handle: Handle, *, everything: bool) -> None:
        options = ["--all"] if everything else []
        words = [*options, handle["folder"], handle["attempt"], str(handle["rank"])]
        try:
            done = subprocess.run(
                [self._python, "-S", "-P", "-m", "nacre.launcher.clear", *words],
                capture_output=True,
                env=self._environment(),
                timeout=_CLEAR_TIMEOUT_S,
                check=False,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise Unavailable(f"{handle['folder']} cannot be cleared now: {error}") from error
        with self._lock:
            self._child(Path(handle["folder"]))
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-200:]
            raise Unavailable(f"{handle['folder']} cannot be cleared now: {said or 'something still runs'}")

    def leftovers(self) -> list[tuple[str, Handle]]:
        """The folders in ``attempts`` of the home."""
        self._reach()
        found = []
        for folder in sorted(self._attempts.glob("*/*")):
            if _is_replica(folder):
                attempt = folder.parent.name
                handle = {"folder": str(folder), "attempt": attempt, "rank": int(folder.name)}
                found.append((attempt, handle))
        return found

    def socket(self, handle: Handle, name: str) -> str:
        """``/run/nacre`` of the work is ``io`` of the folder. Good in this process only: a path that is
        too long for a socket's goes through a descriptor of its beginning."""
        path = Path(handle["folder"]) / "io" / name
        if len(os.fsencode(path)) <= _SOCKET_PATH_BYTES:
            return str(path)
        root = path.parents[3]  # of all attempts
        with self._lock:
            if root not in self._roots:
                self._roots[root] = os.open(root, os.O_PATH | os.O_DIRECTORY)
            return f"/proc/self/fd/{self._roots[root]}/{path.relative_to(root)}"


def _is_replica(path: Path) -> bool:
    return path.name.isdigit() and path.is_dir()


def _write_private(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
    temporary.rename(path)


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _alive(pid: object, start: object, command: str = "") -> bool:
    """Whether that very process runs: same start time, no zombie, and the command it should be."""
    if not isinstance(pid, int):
        return False
    try:
        raw = Path(f"/proc/{pid}/stat").read_bytes()
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    fields = raw[raw.rindex(b")") + 2 :].split()
    return int(fields[19]) == start and fields[0] not in (b"Z", b"X") and command.encode() in line


def _work_lives(folder: Path) -> bool:
    noted = _read_json(folder / "workload.json")
    if noted is None:
        return False
    boot = noted.get("boot")
    if boot and boot != Path("/proc/sys/kernel/random/boot_id").read_text().strip():
        return False
    return _alive(noted.get("pid"), noted.get("start"))


def _cpus() -> float:
    """CPUs that this process may use: its affinity, cut by the control group's quota."""
    count = float(len(os.sched_getaffinity(0)))
    quota = _first_words("/sys/fs/cgroup/cpu.max")
    if len(quota) == 2 and quota[0].isdigit():
        count = min(count, int(quota[0]) / int(quota[1]))
    period = _first_words("/sys/fs/cgroup/cpu/cpu.cfs_period_us")
    slice_us = _first_words("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")
    if period and slice_us and int(slice_us[0]) > 0:
        count = min(count, int(slice_us[0]) / int(period[0]))
    return round(max(count, 0.1), 2)


def _memory() -> int:
    """Bytes of memory: the machine's, cut by the control group's limit."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        words = _first_words(path)
        if words and words[0].isdigit():
            total = min(total, int(words[0]))
    return total


def _first_words(path: str) -> list[str]:
    try:
        return Path(path).read_text().split()
    except OSError:
        return []


def _gpus() -> list[str]:
    """Names of the NVIDIA devices, in index order; none where there is no driver."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        found = [
            pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(index))
            for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return [name.decode() if isinstance(name, bytes) else str(name) for name in found]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()
