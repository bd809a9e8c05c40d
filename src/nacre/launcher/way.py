"""The launcher's side of the bridge: starts it, tells it the work, replaces it when it ends too early."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

from nacre.launcher import processes
from nacre.launcher.folder import Events, Folder
from nacre.launcher.sandbox import TOOLS
from nacre.launcher.spec import Spec
from nacre.launcher.start import Network
from nacre.launcher.variables import PACKAGES_PORT, PORT

_PROGRAM = """\
import sys
sys.path.append(sys.argv[1])
import bridge
sys.exit(bridge.main(*sys.argv[2:]))
"""
_NOTE = "bridge.json"
_LOOK_S = 2.0
_MOST_STARTS = 3
_REASONS = {3: "its network cannot be entered", 4: f"port {PORT} or {PACKAGES_PORT} in it is taken"}
"""By exit codes of the bridge."""


def ways(spec: Spec) -> list[str]:
    """For ``bridge.targets``: the ports on loopback that the work finds the server at."""
    found = []
    if spec.bridged:
        found.append(f"{PORT}={spec.api_socket_folder}/nacre.sock")
    if spec.proxied:
        found.append(f"{PACKAGES_PORT}={spec.package_socket_folder}/proxy.sock")
    return found


class Way:
    """The way from the work to the server's addresses on loopback, where it has a network of its own."""

    def __init__(self, spec: Spec, folder: Folder, events: Events) -> None:
        self._spec = spec
        self._folder = folder
        self._events = events
        self._pid = 0
        self._start = 0
        self._child = False
        self._tell: int | None = None
        self._look_at = 0.0
        self._starts = 0

    def begin(self) -> None:
        """Start the bridge; it gets ready while the work is being prepared."""
        if not self._spec.bridged:
            return
        uid = "" if self._spec.owner is None else str(self._spec.owner)
        argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, os.path.dirname(__file__)]
        argv += [uid, self._folder.path("io", "bridge"), *ways(self._spec)]
        read_end, write_end = os.pipe()
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, read_end, 0)]
        actions += [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
        try:
            self._pid = os.posix_spawn(argv[0], argv, {"PATH": TOOLS}, file_actions=actions, setsid=True)
        except OSError as error:
            os.close(write_end)
            self._warn(str(error))
            return
        finally:
            os.close(read_end)
        found = processes.stat(self._pid)
        self._start, self._child, self._tell = found.start if found else 0, True, write_end
        self._starts += 1

    def network(self) -> Network | None:
        """None: the sandbox makes its own."""
        return None

    def lead_to(self, shell: int) -> None:
        """Tell the bridge which shell runs the work."""
        if self._tell is None:
            return
        try:
            self._folder.write_json(_NOTE, {"pid": self._pid, "start": self._start})
            os.write(self._tell, f"{shell}\n".encode())
        except OSError:
            pass  # it has ended: the next look finds that out
        os.close(self._tell)
        self._tell = None

    def keep(self, shell: int) -> None:
        """Replace a bridge that has ended before the work, also that of a launcher before; cheap."""
        now = time.monotonic()
        if not self._spec.bridged or now < self._look_at or self._starts > _MOST_STARTS:
            return
        self._look_at = now + _LOOK_S
        if not self._pid:
            note = self._folder.read_json(_NOTE) or {}
            self._pid, self._start = int(note.get("pid", 0)), int(note.get("start", 0))
        if self._pid and processes.alive(self._pid, self._start):
            return
        code = self._reap()
        if code in _REASONS or self._starts >= _MOST_STARTS:
            self._starts = _MOST_STARTS + 1
            self._warn(_REASONS.get(code or 0, "the way there keeps ending"))
            return
        self.begin()
        self.lead_to(shell)

    def end(self) -> None:
        """End the bridge; its work is over."""
        if self._tell is not None:
            os.close(self._tell)
            self._tell = None
        if self._pid and processes.alive(self._pid, self._start):
            processes.send(self._pid, signal.SIGKILL)
        self._reap(wait=True)

    def _reap(self, *, wait: bool = False) -> int | None:
        if not self._child:
            return None
        try:
            pid, status = os.waitpid(self._pid, 0 if wait else os.WNOHANG)
        except ChildProcessError:
            return None
        self._child = not pid
        return os.waitstatus_to_exitcode(status) if pid else None

    def _warn(self, why: str) -> None:
        message = f"MLflow's client cannot reach the server from this sandbox: {why}. Nacre's own can."
        if not self._events.ended:
            self._events.add("warning", message=message)
