"""The command line of bubblewrap: variant R (started by root) and variant U (a user namespace)."""

from __future__ import annotations

import os

from nacre.launcher import overlay
from nacre.launcher.folder import Failure, Folder, write_file
from nacre.launcher.named import MANIFEST, beside
from nacre.launcher.spec import Spec
from nacre.launcher.variables import PROGRAMS, Places

TOOLS = "/usr/bin:/usr/sbin:/bin:/sbin"
"""Where the programs that build the sandbox are looked for; never the user's PATH."""

SITE = ("nacre", "sitecustomize.py")
"""What work sees of the site: the package, and what starts the capture of metrics in a Python of its."""

_ETC = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/mime.types",
    "/etc/fonts",
)
_NETWORK = ("/etc/resolv.conf", "/etc/gai.conf", "/etc/services", "/etc/protocols")
_GPU = ("/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset")
_GPU_SYS = ("/sys/devices", "/sys/class", "/sys/bus/pci", "/sys/module/nvidia")


def find(tool: str) -> str | None:
    """Absolute path of a program of the system."""
    for folder in TOOLS.split(":"):
        path = f"{folder}/{tool}"
        if os.access(path, os.X_OK):
            return path
    return None


def command_line(spec: Spec, folder: Folder, places: Places, inputs: dict[str, str]) -> list[str]:
    """The arguments up to and with ``--``; the seccomp filter comes in file descriptor 3 when there.

    Raises:
        Failure: when a program that this takes is not installed.
    """
    bwrap = find("bwrap")
    if bwrap is None:
        raise Failure("launch_failed", "bubblewrap (bwrap) is not installed on this node.")
    view = _View()
    _system(view, spec, folder)
    _workload(view, spec, folder, places, inputs)
    argv = [bwrap, "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
    # bubblewrap's parent is the shell that notes the exit code, never the launcher. Without this option
    # its init would wait for whatever the command left running.
    argv += ["--die-with-parent", "--hostname", "nacre", "--new-session", "--cap-drop", "ALL"]
    if spec.secluded and not spec.shares_network:
        argv.append("--unshare-net")
    if spec.sandbox == "bwrap-root":
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            argv += ["--cap-add", capability]
    else:
        argv += ["--unshare-user", "--uid", "1000", "--gid", "1000", "--disable-userns"]
    # In a user namespace the command owns these, and what it wrote there would fill the memory.
    sealed = [word for path in ("/run", "/dev", "/") for word in ("--remount-ro", path)]
    argv += [*view.argv, *sealed, "--chdir", "/"]
    if os.path.exists(filter_path(spec.trees_root)):
        argv += ["--seccomp", "3"]
    argv.append("--")
    if spec.sandbox == "bwrap-root":
        argv += become(spec.uid)
    return argv


def become(uid: int | None) -> list[str]:
    """Arguments that turn root into the project's own uid, for good."""
    setpriv = find("setpriv")
    if setpriv is None:
        raise Failure("launch_failed", "setpriv (of util-linux) is not installed on this node.")
    if not uid:
        raise Failure("launch_failed", "The launcher was given no uid to run the work as.")
    who = [f"--reuid={uid}", f"--regid={uid}", "--clear-groups"]
    return [setpriv, *who, "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all", "--"]


def filter_path(trees_root: str) -> str:
    """Where the compiled seccomp filter is kept, one for all launches of this host."""
    return os.path.join(os.path.dirname(trees_root.rstrip("/")), f"seccomp-1-{os.uname().machine}.bpf")


class _View:
    """Mounts in order. Every parent is made 0755 first: bubblewrap's own would be 0700."""

    def __init__(self) -> None:
        self.argv: list[str] = []
        self._made = {"/", "/proc", "/dev"}
        self._covered: list[str] = []

    def parents(self, path: str) -> None:
        parent = os.path.dirname(path)
        if parent in self._made or self._within(parent):
            return
        self.parents(parent)
        self._made.add(parent)
        self.argv += ["--perms", "0755", "--dir", parent]

    def _within(self, path: str) -> bool:
        return any(path == root or path.startswith(root + "/") for root in self._covered)

    def show(self, source: str, target: str | None = None, *, writable: bool = False) -> None:
        """Show a path of the host; at the same place when no target is given."""
        target = source if target is None else os.path.normpath(target)
        if target == source and not writable and self._within(target):
            return
        self.parents(target)
        self.argv += ["--bind" if writable else "--ro-bind", source, target]
        if target == source:
            self._covered.append(target)

    def offer(self, source: str) -> None:
        """Show a path of the host when it exists."""
        if os.path.exists(source):
            self.show(source)

    def memory(self, target: str, size: int, mode: str) -> None:
        """A folder in memory of at most ``size`` bytes."""
        self.argv += ["--size", str(size), "--perms", mode, "--tmpfs", target]
        self._made.add(target)


def _system(view: _View, spec: Spec, folder: Folder) -> None:
    view.show("/usr")
    for name in ("bin", "sbin", "lib", "lib64", "lib32"):
        if os.path.islink(f"/{name}"):
            view.argv += ["--symlink", os.readlink(f"/{name}"), f"/{name}"]
        elif os.path.isdir(f"/{name}"):
            view.show(f"/{name}")
    uid = spec.uid if spec.sandbox == "bwrap-root" else 1000
    files = {
        "passwd": f"root:x:0:0:root:/:/bin/sh\nuser:x:{uid}:{uid}:user:/home/user:/bin/bash\n",
        "group": f"root:x:0:\nuser:x:{uid}:\n",
        "hosts": "127.0.0.1 localhost nacre\n::1 localhost\n::ffff:127.0.0.1 ip4-localhost\n",
    }
    for name, text in files.items():
        write_file(folder.path("etc", name), text.encode(), 0o444)
        view.show(folder.path("etc", name), f"/etc/{name}")
    if os.path.exists(folder.path("etc", MANIFEST)):
        view.show(folder.path("etc", MANIFEST), f"/etc/{MANIFEST}")
    for path in _ETC + (_NETWORK if spec.network == "full" else ()):
        view.offer(path)
    view.argv += ["--proc", "/proc", "--dev", "/dev"]
    memory = spec.limits.memory_bytes
    half = memory // 2 if memory else 2 * 2**30
    view.memory("/tmp", min(half, 2**30), "1777")  # noqa: S108 - the sandbox's own
    view.memory("/dev/shm", spec.limits.shm_bytes or half, "1777")  # noqa: S108
    view.memory("/run", 2**20, "0755")
    if spec.limits.gpus:
        for device in (*_GPU, *(f"/dev/nvidia{index}" for index in spec.limits.gpus)):
            view.argv += ["--dev-bind-try", device, device]  # a plain bind of a device cannot be opened
        for path in _GPU_SYS:
            view.offer(path)


def _programs(view: _View, spec: Spec, folder: Folder, places: Places) -> None:
    """What starts several processes, when there are."""
    if spec.spawns:
        view.show(folder.path("spawn.json"), places.spawn_plan)
        for name in ("spawn.py", "processes.py"):
            view.show(os.path.join(PROGRAMS, name), f"{places.programs}/{name}")


def _workload(view: _View, spec: Spec, folder: Folder, places: Places, inputs: dict[str, str]) -> None:
    for path in (spec.interpreter, spec.environment):
        if path is not None:
            view.show(os.path.normpath(path))
    view.show(folder.path("work"), places.work, writable=True)
    view.show(folder.path("output"), places.output, writable=True)
    view.show(spec.home or folder.path("home"), places.home, writable=True)
    view.show(folder.path("io"), "/run/nacre", writable=True)
    view.show(folder.path("env.sh"), places.env_file)
    _programs(view, spec, folder, places)
    view.parents(f"{places.input_root}/any")
    for item in spec.inputs:
        view.show(inputs[item.name], places.inputs[item.name], writable=item.mode == "download")
    for source, target in beside(spec, places, inputs):
        view.show(source, target)
    _installers(view, spec, folder, places)
    if spec.secret_files:
        view.show(folder.path("secrets"), "/run/secrets")
    if spec.checkpoints is not None and places.checkpoints is not None:
        view.show(spec.checkpoints, places.checkpoints, writable=True)
    if spec.api_socket_folder is not None:
        view.show(spec.api_socket_folder, "/run/nacre-api")
    if spec.nacre_site is not None:
        # Only Nacre's own package: its neighbours would shadow those of the environment.
        for name in SITE:
            if os.path.exists(os.path.join(spec.nacre_site, name)):
                view.show(os.path.join(spec.nacre_site, name), f"/opt/nacre/{name}")
    for mount in spec.mounts:
        view.show(os.path.normpath(mount.source), mount.target, writable=mount.writable)


def _installers(view: _View, spec: Spec, folder: Folder, places: Places) -> None:
    if places.overlay is None or spec.packages is None:
        return
    view.show(overlay.template(folder), places.overlay.template)
    if spec.packages.uv is not None:
        view.show(os.path.realpath(spec.packages.uv), overlay.UV)
    for path in spec.packages.shown:
        view.offer(os.path.normpath(path))
