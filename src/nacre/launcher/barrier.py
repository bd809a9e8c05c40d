"""Where the replicas of a gang wait for each other: each says where it is, and learns of the others.

What is said once stays so: a launcher that comes later finds it in ``ready.json`` and ``rendezvous.json``.
"""

from __future__ import annotations

import random
import select
import socket
import time
from typing import Any

from nacre.launcher.control import Control
from nacre.launcher.distributed import FIRST, Member, members_of
from nacre.launcher.folder import Events, Failure, Folder
from nacre.launcher.ship import HEARTBEAT_S, Shipper
from nacre.launcher.spec import Spec

_LOOPBACK = "127.0.0.1"
_LOWEST, _HIGHEST = 20_000, 32_767
"""Ports that Linux does not give to connections going out, unless it was told to."""


class Ports:
    """Ports of this host, kept from other launchers until :meth:`release`, just before the start."""

    def __init__(self) -> None:
        self._held: list[socket.socket] = []

    def hold(self, port: int) -> bool:
        """Bind it, without listening; False when somebody has it. 0: any free one."""
        one = socket.socket()
        try:
            one.bind((_LOOPBACK, port))
        except OSError:
            one.close()
            return False
        self._held.append(one)
        return True

    def choose(self, count: int) -> list[int]:
        """Hold so many free ones. Raises Failure when there are none."""
        found: list[int] = []
        tries = random.sample(range(_LOWEST, _HIGHEST + 1), min(8 * count, _HIGHEST - _LOWEST))
        for port in (*tries, *([0] * count)):
            if len(found) == count:
                return found
            if self.hold(port):
                found.append(self._held[-1].getsockname()[1])
        if len(found) == count:
            return found
        raise Failure("launch_failed", f"This node has no {count} free ports for the gang.")

    def release(self) -> None:
        """Let the command have them."""
        for one in self._held:
            one.close()
        self._held = []


def _own(spec: Spec, folder: Folder, ports: Ports) -> dict[str, Any]:
    """How this replica is reached, as it was said before or is said now."""
    known = folder.read_json("ready.json")
    if known is not None:
        if not spec.secluded:
            for port in known["ports"]:
                ports.hold(port)  # nearly always still free; else the command finds out
        return known
    stride = FIRST + spec.processes + spec.servers
    count = stride if spec.rank == 0 else FIRST + spec.processes
    if spec.secluded:
        # Nobody else is in this network, so everybody can have his own.
        first = _LOWEST + spec.rank * stride
        if first + count > 2**16:
            raise Failure(
                "launch_failed", "The gang has more processes than there are ports on one machine."
            )
        found = list(range(first, first + count))
    else:
        found = ports.choose(count)
    own = {"rank": spec.rank, "address": _LOOPBACK, "ports": found}
    _keep(folder, "ready.json", own)
    return own


def _keep(folder: Folder, name: str, value: dict[str, Any]) -> None:
    try:
        folder.write_json(name, value)
    except OSError as error:
        raise Failure("launch_failed", f"The attempt's folder cannot be written: {error}.") from error


def meet(
    spec: Spec, folder: Folder, events: Events, control: Control, shipper: Shipper, ports: Ports
) -> list[Member]:
    """All members, in the order of ranks; waits until the server has heard of each.

    Raises:
        Failure: of a stop while waiting, or when something of this node is missing.
        Fenced: when the attempt is over for the server.
    """
    own = _own(spec, folder, ports)
    if spec.replicas == 1:
        return members_of([own])
    known = folder.read_json("rendezvous.json")
    if known is None:
        if not events.seen("ready"):
            events.add("ready", address=own["address"], ports=own["ports"])
        known = {"members": _wait(spec, control, shipper)}
        _keep(folder, "rendezvous.json", known)
    return members_of(known["members"])


def _wait(spec: Spec, control: Control, shipper: Shipper) -> list[dict[str, Any]]:
    """Ask the server often at first, then each second, until it names everybody."""
    began = time.monotonic()
    poller = select.poll()
    poller.register(control.wake_fd, select.POLLIN)
    shipper.nudge()
    try:
        while True:
            control.drain()
            control.check()
            if control.rendezvous is not None and len(control.rendezvous) == spec.replicas:
                return control.rendezvous
            pause = min(1.0, 0.02 + (time.monotonic() - began) / 10)
            shipper.beat_s = pause
            poller.poll(1000 * pause)
            shipper.nudge()
    finally:
        shipper.beat_s = HEARTBEAT_S
