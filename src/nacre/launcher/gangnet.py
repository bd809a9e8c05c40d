"""The network that the replicas of an attempt share in their sandboxes, from a launcher's side.

Whoever comes first makes it, under a lock on the attempt's folder: ``holder`` says what it is. ``network``
in that folder is a FIFO: open for writing in each launcher, and in each shell around a command, it keeps
the holder there; that it cannot be opened says that there is none.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import select
import sys
import time
from collections.abc import Iterator
from typing import Any

from nacre.launcher import processes
from nacre.launcher.folder import Events, Failure, Folder
from nacre.launcher.sandbox import TOOLS
from nacre.launcher.spec import Spec
from nacre.launcher.start import Network, boot_id
from nacre.launcher.way import ways

_PROGRAM = """\
import sys
sys.path.append(sys.argv[1])
import holder
sys.exit(holder.main(*sys.argv[2:]))
"""
_FIFO, _NOTE = "network", "network.json"
_LOOK_S = 2.0
_READY_S = 20.0
_MOST_STARTS = 3
_FREE_FD = 20  # above the numbers that the descriptors get in the shell


class SharedWay:
    """As ``way.Way``, for a network that the replicas share: into it, and from it to the server."""

    def __init__(self, spec: Spec, folder: Folder, events: Events) -> None:
        self._spec = spec
        self._events = events
        self._root = os.path.dirname(folder.root)
        self._fifo: int | None = None
        self._child = 0
        self._starts = 0
        self._look_at = 0.0

    def begin(self) -> None:
        """See to it that there is a holder; it gets ready while the work is being prepared.

        Raises:
            Failure: when none can be started.
        """
        try:
            with _locked(self._root):
                self._close()
                path = os.path.join(self._root, _FIFO)
                with contextlib.suppress(FileExistsError):
                    os.mkfifo(path, 0o600)
                self._fifo = _open_to_write(path)
                if self._fifo is None:
                    # Our own reading end lets us open it, and is what the holder gets.
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(os.path.join(self._root, _NOTE))  # of one that is just ending
                    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
                    try:
                        self._fifo = _open_to_write(path)
                        self._start(reader)
                    finally:
                        os.close(reader)
        except OSError as error:
            raise Failure("launch_failed", f"The gang's network could not be made: {error}.") from error

    def _start(self, reader: int) -> None:
        self._starts += 1
        self._reap()
        spec = self._spec
        uid = "" if spec.owner is None else str(spec.owner)
        argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, os.path.dirname(__file__)]
        argv += [uid, self._root, ",".join(map(str, _shells(self._root))), *ways(spec)]
        actions: list[tuple[Any, ...]] = [(os.POSIX_SPAWN_DUP2, reader, 0)]
        actions += [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)]
        self._child = os.posix_spawn(argv[0], argv, {"PATH": TOOLS}, file_actions=actions, setsid=True)

    def network(self) -> Network:
        """Descriptors for the shell around the command, which has to close them; wait for the holder.

        Raises:
            Failure: when there is no way to have one.
        """
        deadline = time.monotonic() + _READY_S
        while time.monotonic() < deadline:
            holder = self._holder()
            if holder is not None:
                return holder
            if self._deserted():
                if self._starts >= _MOST_STARTS:
                    break
                self.begin()
            time.sleep(0.002)
        message = (
            "The network of the gang could not be made: this host lets nobody make one, or a port is taken."
        )
        raise Failure("launch_failed", message)

    def _holder(self) -> Network | None:
        """The network of the holder that is ready; None when there is none."""
        note = _read(os.path.join(self._root, _NOTE))
        if not note or self._fifo is None or not processes.alive(note["pid"], note["start"]):
            return None
        try:
            net = _open(f"/proc/{note['pid']}/ns/net")
            user = _open(f"/proc/{note['pid']}/ns/user") if os.geteuid() != 0 else None
        except OSError:
            return None
        # Now it cannot be another process of that number any more.
        if not processes.alive(note["pid"], note["start"]):
            return None
        return Network(net, user, fcntl.fcntl(self._fifo, fcntl.F_DUPFD_CLOEXEC, _FREE_FD))

    def lead_to(self, shell: int) -> None:
        """Nothing: the holder waits for no work in particular."""

    def keep(self, shell: int) -> None:
        """Replace a holder that has ended before the work, also for launchers before us; cheap."""
        now = time.monotonic()
        if now < self._look_at or self._starts > _MOST_STARTS:
            return
        self._look_at = now + _LOOK_S
        if self._fifo is not None and not self._deserted():
            return
        if self._starts == _MOST_STARTS:
            self._starts += 1
            message = "The server cannot be reached from this gang's network: the way there keeps ending."
            self._events.add("warning", message=message)
            return
        with contextlib.suppress(Failure):
            self.begin()

    def end(self) -> None:
        """Need it no longer; the last one to say so ends the holder."""
        self._close()
        self._reap()

    def _deserted(self) -> bool:
        """Whether nobody reads the FIFO."""
        if self._fifo is None:
            return True
        poll = select.poll()
        poll.register(self._fifo, 0)
        return bool(poll.poll(0))

    def _close(self) -> None:
        if self._fifo is not None:
            os.close(self._fifo)
            self._fifo = None

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            if self._child and os.waitpid(self._child, os.WNOHANG)[0]:
                self._child = 0


def leave(folder: str) -> None:
    """Take a replica's ``spec.json`` away; with the last of an attempt what lies there for its network too.

    Whoever is killed in here can be repeated, and of two at once one is the last.
    """
    root = os.path.dirname(folder)
    with contextlib.suppress(OSError), _locked(root):
        others = [name for name in os.listdir(root) if name != os.path.basename(folder)]
        gone = [] if any(_launched(os.path.join(root, name)) for name in others) else [_FIFO, _NOTE]
        for path in (*(os.path.join(root, name) for name in gone), os.path.join(folder, "spec.json")):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


def _launched(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "spec.json"))


def _shells(root: str) -> list[int]:
    """Of the shells around commands of the attempt, those that run: the network is where they are."""
    found = []
    for name in os.listdir(root):
        raw = _read(os.path.join(root, name, "workload.json"))
        if raw and raw.get("boot") == boot_id() and processes.alive(raw["pid"], raw["start"]):
            found.append(int(raw["pid"]))
    return found


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _open_to_write(path: str) -> int | None:
    """The FIFO's writing end; None when nobody reads it."""
    try:
        return os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def _open(path: str) -> int:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FREE_FD)
    finally:
        os.close(fd)


@contextlib.contextmanager
def _locked(root: str) -> Iterator[None]:
    """Alone among the launchers and the holder of this attempt."""
    fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
