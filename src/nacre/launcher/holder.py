"""Holds the network that an attempt's replicas on this node share, and carries their way to the server.

A program of its own, as the bridge is: ``network`` in the attempt's folder is a FIFO that each launcher of
the attempt, and the shell around each command, has open for writing. We have its reading end as standard
input, and end when nobody is left. The network itself lasts as long as a process is in it; a holder that
takes the place of another finds it there.
"""

from __future__ import annotations

import _socket
import ctypes
import fcntl
import json
import os
import select
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nacre.launcher import bridge
else:
    import bridge  # a neighbour: we are started as a module without its package, as that is

NOTE = "network.json"
"""In the attempt's folder, once all is ready: who holds the network."""

_IFF_UP, _SIOCGIFFLAGS, _SIOCSIFFLAGS = 0x1, 0x8913, 0x8914
_CLONE_NEWNET, _CLONE_NEWUSER = 0x40000000, 0x10000000


def _make() -> bool:
    """Move to a network of our own; for that to a user namespace first where we are not root."""
    libc = ctypes.CDLL(None, use_errno=True)
    uid, gid = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNET | (_CLONE_NEWUSER if uid else 0)) != 0:
        return False
    if uid:  # the user stays the same: programs that enter lose their new powers as they start others
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{uid} {uid} 1"),
            ("gid_map", f"{gid} {gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(text)
    return True


def _bring_up() -> None:
    """Loopback is down in a new network."""
    one = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    request = bytearray(b"lo".ljust(16, b"\0") + bytes(24))  # struct ifreq: a name, then its flags
    fcntl.ioctl(one.fileno(), _SIOCGIFFLAGS, request)
    flags = int.from_bytes(request[16:18], sys.byteorder) | _IFF_UP
    request[16:18] = flags.to_bytes(2, sys.byteorder)
    fcntl.ioctl(one.fileno(), _SIOCSIFFLAGS, bytes(request))
    one.close()


def _join(shells: list[str]) -> bool:
    """Move to the network that the work of one of these shells is in already."""
    for word in shells:
        try:
            until = os.pidfd_open(int(word))
        except OSError:
            continue
        namespace = bridge.namespace_of(int(word), until)
        if namespace >= 0 and bridge.enter(namespace):
            return True
    return False


def _deserted() -> bool:
    """Whether nobody has the FIFO open for writing."""
    poll = select.poll()
    poll.register(0, 0)
    return bool(poll.poll(0))


def main(uid: str, root: str, shells: str, *ways: str) -> int:
    """Hold and carry until nobody is left.

    Args:
        uid: see ``bridge.become``.
        root: the attempt's folder.
        shells: process numbers of shells, separated by commas, around work that is in the network already.
        ways: see ``bridge.targets``.
    """
    lock = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    targets = bridge.targets(ways)
    try:
        if not _join(shells.split(",") if shells else []):
            if not _make():
                return bridge.NO_NAMESPACE
            _bring_up()
    except OSError:
        return bridge.NO_NAMESPACE
    try:
        listeners = [(bridge.listen(port), target) for port, target in targets]
    except OSError:
        return bridge.NO_LISTENER
    _note(root)
    bridge.become(uid)
    carrier = bridge.Bridge(listeners, 0)
    while True:
        carrier.run()
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _deserted():
            os.close(0)  # before the lock, so that who comes next finds nobody
            return 0
        fcntl.flock(lock, fcntl.LOCK_UN)


def _note(root: str) -> None:
    with open("/proc/self/stat", "rb") as file:
        start = int(file.read().rpartition(b")")[2].split()[19])
    temporary = os.path.join(root, f"{NOTE}.{os.getpid()}.tmp")
    with open(temporary, "w", encoding="ascii") as note:
        json.dump({"pid": os.getpid(), "start": start}, note)
    os.rename(temporary, os.path.join(root, NOTE))
