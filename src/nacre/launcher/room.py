"""The disk: how much of its quota the work has filled, and room on one that is full.

Without any room nobody could even be told how the work ended.
"""

from __future__ import annotations

import os
import time

from nacre.launcher.folder import Folder
from nacre.launcher.outcome import Outcome, size
from nacre.launcher.prepare import remove, used_bytes
from nacre.launcher.spec import Spec

_LEAST_S, _MOST_S = 0.25, 30.0
_PEEK_S = 0.02
_FAST_BYTES_S = 4 * 2**30

RESERVE_BYTES = 32 * 2**20
"""With less than this free, a node's disk counts as full."""


def written(spec: Spec, folder: Folder) -> list[str]:
    """The folders that the work can write to, which its quota is for: all but a home that outlives it.

    Checkpoints are shared by the replicas of a gang: they count for the first.
    """
    found = [folder.path(name) for name in ("work", "output", "io", "inputs")]
    if spec.home is None:
        found.append(folder.path("home"))
    if not spec.boxed:
        found.append(folder.path("tmp"))
    if spec.checkpoints is not None and spec.rank == 0:
        found.append(spec.checkpoints)
    return found


class Disk:
    """What the work has written, measured often enough that it gets not far past its quota.

    Reading a whole tree costs, so between two measures only the free space of the disk is asked for: as
    long as that has shrunk by less than is left of the quota, the work cannot be past it.
    """

    def __init__(self, roots: list[str], limit: int, given: int) -> None:
        """``given``: bytes that lay there before the work began, and that it need not pay for."""
        self.used = 0
        self._roots = roots
        self._limit = limit
        self._given = given
        self._free = 0
        self._due = 0.0
        self._not_before = 0.0

    def look(self, now: float) -> bool:
        """Measure when it is time to; whether the quota is exceeded. ``now`` is of the monotonic clock."""
        if now < self._due and (now < self._not_before or self._shrunk() < self._left):
            return False
        return self.measure(now)

    def measure(self, now: float) -> bool:
        """The same, at once."""
        self._free = self._free_bytes()
        self.used = max(0, used_bytes(self._roots, lambda: None) - self._given)
        end = time.monotonic()
        # A large tree is measured less often, so that measuring stays under 2 % of a core; when the disk
        # fills up, under a fifth.
        self._due = end + min(_MOST_S, max(_LEAST_S, 50 * (end - now)))
        self._not_before = end + 4 * (end - now)
        return self.used > self._limit

    def pause(self, now: float) -> float:
        """Seconds until the next look: less when a fast disk could soon have filled the quota."""
        soon = min(_LEAST_S, max(_PEEK_S, self._left / _FAST_BYTES_S))
        return max(0.0, min(self._due - now, max(soon, self._not_before - now)))

    @property
    def _left(self) -> int:
        return max(0, self._limit - self.used)

    def _shrunk(self) -> int:
        return self._free - self._free_bytes()

    def _free_bytes(self) -> int:
        facts = os.statvfs(os.path.dirname(self._roots[0]))
        return facts.f_bfree * facts.f_frsize


def make_room(folder: Folder, outcome: Outcome) -> tuple[Outcome, str | None]:
    """After the end of a job's work, on a full disk: remove what nobody needs, then the output.

    The output goes only when that helps; small ones wait for space, as others took it. Returns the outcome,
    which may now be ``disk_full``, and a warning when output was lost.
    """
    if not is_full(folder):
        return outcome, None
    left = [name for name in ("work", "tmp", "output") if folder.has(name)]
    used = {name: used_bytes([folder.path(name)], lambda: None) for name in left}
    remove(folder, [name for name in left if name != "output"])
    warning = None
    lost = used.get("output", 0)
    if is_full(folder) and lost >= RESERVE_BYTES:
        remove(folder, ["output"])
        warning = f"The disk of the node was full, so the output ({size(lost)}) could not be kept."
    if sum(used.values()) < RESERVE_BYTES or (outcome.reason == "succeeded" and warning is None):
        return outcome, warning
    if outcome.reason not in ("succeeded", "exit_nonzero"):
        return outcome, warning
    message = f"The disk of the node is full, and the command used {size(sum(used.values()))} of it."
    return outcome._replace(reason="disk_full", message=f"{message} {warning or ''}".strip()), warning


def is_full(folder: Folder) -> bool:
    """Whether the disk counts as full."""
    facts = os.statvfs(folder.root)
    return facts.f_bavail * facts.f_frsize < RESERVE_BYTES
