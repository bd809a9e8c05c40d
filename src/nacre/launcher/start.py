"""Starts the command so that it needs no launcher: three small processes that outlive this one.

``pump.py`` copies the command's pipe into ``log``. A shell, in a session of its own and outside the limits,
claims the folder by making ``workload.json`` (only one ever can), runs the sandbox, and writes ``exit``. In
the sandbox another shell reads the variables, leaves the mark ``io/started`` and becomes the command.
"""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from nacre.launcher import named, overlay, processes
from nacre.launcher.cgroups import Groups
from nacre.launcher.folder import Failure, Folder, write_file
from nacre.launcher.prepare import own_folder
from nacre.launcher.sandbox import SITE, TOOLS, become, command_line, filter_path, find
from nacre.launcher.spec import Spec
from nacre.launcher.variables import Places, env_file, spawn_plan, variables

if TYPE_CHECKING:
    from nacre.launcher.distributed import Member

_PUMP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pump.py")

_WRAPPER = r"""
folder=$1 pump=$2 filter=$3 groups=$4; shift 4
exec 4>&2 2>/dev/null
umask 022
field20() { start=${20}; }
read -r stat < /proc/$$/stat
read -r boot < /proc/sys/kernel/random/boot_id
field20 ${stat##*) }
set -C
claim='{"pid": %s, "start": %s, "boot": "%s", %s}\n'
printf "$claim" $$ $start $boot "$pump" > "$folder/workload.json" || exit 0
set +C
(
  IFS=:
  for group in $groups; do
    echo 0 > "$group/cgroup.procs" || { echo 'nacre: the limits could not be set' >&2; exit 125; }
  done
  unset IFS claim folder pump groups start stat boot
  if [ -n "$filter" ]; then exec "$@" 3< "$filter"; else exec "$@"; fi
) 2>&4 4>&- 7>&-
code=$?
until echo $code > "$folder/exit.tmp" || [ ${#tries} -gt 100 ]; do
  tries=x$tries
  sleep 0.1
done
mv -f "$folder/exit.tmp" "$folder/exit"
exit $code
"""

# Only numbered parameters: a variable of the user's may have any name.
_AWAIT_BRIDGE = r"""
until [ -e "${2%/*}/bridge" ] || [ ${#tries} -gt 50 ]; do
  tries=x$tries
  sleep 0.005
done
unset tries
"""
"""Goes on as soon as the bridge listens: it does already, nearly always. A third of a second at most."""

_LEAVE_NETWORK = r"""
exec 5<&- 6<&-
"""

_PRELUDE = r"""
. "$1"
cd -- "$3" || { echo "nacre: there is no folder '$3' to work in" >&2; exit 125; }
unset OLDPWD
command -v -- "$4" >/dev/null 2>&1 || { echo "nacre: the command '$4' was not found" >&2; exit 127; }
: > "$2"
shift 3
"""


class Network(NamedTuple):
    """Descriptors for the shell around a command whose network others made: the network, the user namespace
    that it belongs to unless we are root, and what says that this replica needs it (5, 6 and 7 there)."""

    net: int
    user: int | None
    need: int

    def close(self) -> None:
        """When the shell has them."""
        for fd in filter(None, self):
            os.close(fd)

    @property
    def enter(self) -> list[str]:
        """Arguments that run a program in it."""
        nsenter = find("nsenter")
        if nsenter is None:
            raise Failure("launch_failed", "nsenter (of util-linux) is not installed on this node.")
        user = [] if self.user is None else ["--user=/proc/self/fd/6", "--preserve-credentials"]
        return [nsenter, *user, "--net=/proc/self/fd/5", "--"]

    @property
    def inherited(self) -> list[tuple[Any, ...]]:
        """For ``posix_spawn``."""
        return [
            (os.POSIX_SPAWN_DUP2, fd, at) for fd, at in zip(self, (5, 6, 7), strict=True) if fd is not None
        ]


class Setting(NamedTuple):
    """What a command is started with besides its spec."""

    inputs: dict[str, str]
    """The host's path of each input."""
    checkpoint: str | None = None
    """The newest entry of the checkpoint folder."""
    members: Sequence[Member] = ()
    """The gang, when the spec is of one that is distributed."""
    network: Network | None = None
    """None: that of the host, or one of its own."""


class Workload:
    """The started work, by what ``workload.json`` says of it."""

    def __init__(self, raw: dict[str, Any], *, child: bool, depth: int, marks: list[bytes]) -> None:
        self.pid: int = raw["pid"]
        self.start: int = raw["start"]
        self.boot: str = raw.get("boot", "")
        self.pump: int = raw.get("pump", 0)
        self.pump_start: int = raw.get("pump_start", 0)
        self.child = child
        self.depth = depth
        self.marks = marks
        self.status: int | None = None

    def running(self) -> bool:
        """Whether the wrapping shell is there; it is the last of the work to end."""
        if self.child:
            if self.status is None:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.status = os.waitstatus_to_exitcode(status)
            return self.status is None
        return self.boot == boot_id() and processes.alive(self.pid, self.start)

    def pumping(self) -> bool:
        """Whether bytes of the command may still be on their way to ``log``."""
        return bool(self.pump) and processes.alive(self.pump, self.pump_start)


def boot_id() -> str:
    """Changes when the machine starts, so that a process number of before means nothing."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def find_workload(spec: Spec, folder: Folder, child_pid: int = 0) -> Workload | None:
    """The work that was started in this folder; None when none was."""
    raw = folder.read_json("workload.json")
    if raw is None:
        return None
    marks = [f"NACRE_ATTEMPT_ID={spec.attempt_id}".encode(), f"NACRE_RANK={spec.rank}".encode()]
    # The command is three generations down with bubblewrap (its outer process, its init), else one.
    depth = 3 if spec.boxed else 1
    return Workload(raw, child=raw["pid"] == child_pid, depth=depth, marks=marks)


def start(spec: Spec, folder: Folder, groups: Groups, setting: Setting) -> Workload:
    """Start the command. Raises Failure ``launch_failed``."""
    output = _Output(spec, folder)  # its program starts while the rest is made ready
    try:
        return _spawn(spec, folder, _arguments(spec, folder, groups, setting), setting.network, output)
    finally:
        output.close()


class _Output:
    """The pipe that the command prints into, and what copies it into the log."""

    def __init__(self, spec: Spec, folder: Folder) -> None:
        read_end, self.write_end = os.pipe()
        try:
            # So that the command may open /dev/stderr by name, as many scripts do.
            os.fchmod(self.write_end, 0o600)
            if spec.owner is not None:
                os.fchown(self.write_end, spec.owner, spec.owner)
            log = os.open(folder.path("log"), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                self._pump = _launch([sys.executable, "-I", "-S", _PUMP], read_end, log, log)
            finally:
                os.close(log)
        except OSError as error:
            self.close()
            raise Failure("launch_failed", f"The log could not be begun: {error}.") from error
        finally:
            os.close(read_end)

    @property
    def mark(self) -> str:
        """What ``workload.json`` says of it."""
        found = processes.stat(self._pump)
        return f'"pump": {self._pump}, "pump_start": {found.start if found else 0}'

    def close(self) -> None:
        """When the command has it."""
        os.close(self.write_end)


def _arguments(spec: Spec, folder: Folder, groups: Groups, setting: Setting) -> list[str]:
    """Of the wrapping shell: the filter, the groups, the command with all that it goes through."""
    inputs, network = setting.inputs, setting.network
    places = Places(spec, folder, inputs)
    _write_files(spec, folder, places, setting)
    filter_file = ""
    if spec.boxed:
        filter_file = ensure_filter(spec.trees_root)
        outer = command_line(spec, folder, places, inputs)
    else:
        outer = [] if spec.owner is None else become(spec.owner)
    prelude = _PRELUDE + (f'exec {_spawner(spec, places)} "$@"\n' if spec.spawns else 'exec "$@"\n')
    if network is not None:
        outer = [*network.enter, *outer]
        prelude = _LEAVE_NETWORK + prelude  # the way to the server is there already
    elif spec.bridged:
        prelude = _AWAIT_BRIDGE + prelude
    told = [places.env_file, f"{places.io}/started", places.cwd]
    if places.overlay is not None:
        prelude = overlay.MAKE + prelude
        told = [*places.overlay, *told]
    inner = ["/bin/sh", "-c", prelude, "nacre", *told]
    argv = [*outer, *_limits(spec, groups), *inner, *(places.fill(word) for word in spec.command)]
    return [filter_file, ":".join(groups.joined), *argv]


def _spawner(spec: Spec, places: Places) -> str:
    """Words of a shell: the program that starts each process of the plan."""
    python = "python3" if spec.environment is None else f"{spec.environment}/bin/python"
    return shlex.join([python, "-I", "-S", f"{places.programs}/spawn.py", places.spawn_plan])


def _write_files(spec: Spec, folder: Folder, places: Places, setting: Setting) -> None:
    found = {
        **named.variables(spec, places),
        **variables(spec, places, checkpoint=setting.checkpoint, members=setting.members),
    }
    try:
        write_file(folder.path("env.sh"), env_file(found), 0o400, spec.owner)
        if spec.spawns:
            plan = json.dumps(spawn_plan(spec, setting.members)).encode()
            write_file(folder.path("spawn.json"), plan, 0o400, spec.owner)
        if spec.checkpoints is not None:
            own_folder(spec.checkpoints, spec.owner)  # it may have gone while the gang gathered
        if places.overlay is not None:
            overlay.write_template(spec, folder)
        if not spec.boxed and spec.nacre_site is not None:
            # A launcher that was killed just now may have begun with it.
            os.makedirs(folder.path("site"), exist_ok=True)
            for name in SITE:
                source = os.path.join(spec.nacre_site, name)
                if os.path.exists(source) and not folder.has(f"site/{name}"):
                    os.symlink(source, folder.path("site", name))
    except OSError as error:
        raise Failure("launch_failed", f"The variables could not be written: {error}.") from error


def _spawn(
    spec: Spec, folder: Folder, arguments: list[str], network: Network | None, output: _Output
) -> Workload:
    script = ["/bin/sh", "-c", _WRAPPER, "nacre", folder.root, output.mark, *arguments]
    inherited = [] if network is None else network.inherited
    try:
        wrapper = _launch(script, None, output.write_end, output.write_end, inherited)
    except OSError as error:
        raise Failure("launch_failed", f"The command could not be started: {error}.") from error
    deadline = time.monotonic() + 30
    while True:
        work = find_workload(spec, folder, wrapper)
        if work is not None:
            return work
        if time.monotonic() > deadline:
            raise Failure("launch_failed", "The command's shell did not start within 30 seconds.")
        time.sleep(0.001)


def _launch(
    argv: list[str], stdin: int | None, stdout: int, stderr: int, more: Sequence[tuple[Any, ...]] = ()
) -> int:
    """Spawn a program of the system in a session of its own, with nothing of ours but these files."""
    actions: list[tuple[Any, ...]] = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0)
        if stdin is None
        else (os.POSIX_SPAWN_DUP2, stdin, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
        *more,
    ]
    program = argv[0] if argv[0].startswith("/") else find(argv[0])
    if program is None:
        raise Failure("launch_failed", f"The program {argv[0]} is not installed on this node.")
    return os.posix_spawn(
        program,
        argv,
        {"PATH": TOOLS, "LANG": "C.UTF-8"},
        file_actions=actions,
        setsid=True,
        setsigmask=[],
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGHUP, signal.SIGINT, signal.SIGTERM],
    )


def _limits(spec: Spec, groups: Groups) -> list[str]:
    """``prlimit`` and its limits, inside the sandbox, so that they hold for nothing else."""
    prlimit = find("prlimit")
    if prlimit is None:
        return []
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    files = 65536 if most == resource.RLIM_INFINITY else min(65536, most)
    argv = [prlimit, "--core=0", f"--nofile={files}:{files}"]
    limits = spec.limits
    if limits.disk_bytes is not None:
        argv.append(f"--fsize={limits.disk_bytes}")
    if limits.processes is not None and "processes" not in groups.held:
        argv.append(f"--nproc={limits.processes + _others(spec)}")
    if rlimit_memory(spec, groups):
        argv.append(f"--data={limits.memory_bytes}")
    return [*argv, "--"]


def rlimit_memory(spec: Spec, groups: Groups) -> bool:
    """Whether memory is limited per process only. Never with a GPU: CUDA reserves far more than it uses."""
    limited = spec.limits.memory_bytes is not None and "memory" not in groups.held
    return limited and not spec.limits.gpus


def _others(spec: Spec) -> int:
    """Threads that the limit on a user's processes counts too: all of the user's, on this host.

    In a user namespace of its own only the sandbox's count.
    """
    if spec.sandbox == "bwrap-user":
        return 0
    uid = spec.uid or os.getuid()
    count = 0
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:
            continue
    return count


def ensure_filter(trees_root: str) -> str:
    """The compiled seccomp filter, made when absent; empty where it cannot be made."""
    path = filter_path(trees_root)
    if os.path.exists(path):
        return path
    os.makedirs(os.path.dirname(path), exist_ok=True)
    argv = [sys.executable, "-m", "nacre.launcher.seccomp", path]
    environment = {"PATH": TOOLS, "PYTHONPATH": ":".join(filter(None, sys.path))}
    pid = os.posix_spawn(argv[0], argv, environment)
    os.waitpid(pid, 0)
    return path if os.path.exists(path) else ""
