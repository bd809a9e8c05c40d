"""Room on a disk that the work has filled: without any, nobody could even be told how the work ended."""

from __future__ import annotations

import os

from nacre.launcher.folder import Folder
from nacre.launcher.outcome import Outcome, size
from nacre.launcher.prepare import remove, used_bytes

RESERVE_BYTES = 32 * 2**20
"""With less than this free, a node's disk counts as full."""


def make_room(folder: Folder, outcome: Outcome) -> tuple[Outcome, str | None]:
    """After the end of a job's work, on a full disk: remove what nobody needs, then the output.

    The output goes only when that helps; small ones wait for space, as others took it. Returns the outcome,
    which may now be ``disk_full``, and a warning when output was lost.
    """
    if _free(folder) >= RESERVE_BYTES:
        return outcome, None
    left = [name for name in ("work", "tmp", "output") if folder.has(name)]
    used = {name: used_bytes([folder.path(name)], lambda: None) for name in left}
    remove(folder, [name for name in left if name != "output"])
    warning = None
    lost = used.get("output", 0)
    if _free(folder) < RESERVE_BYTES <= lost:
        remove(folder, ["output"])
        warning = f"The disk of the node was full, so the output ({size(lost)}) could not be kept."
    if sum(used.values()) < RESERVE_BYTES or (outcome.reason == "succeeded" and warning is None):
        return outcome, warning
    if outcome.reason not in ("succeeded", "exit_nonzero"):
        return outcome, warning
    message = f"The disk of the node is full, and the command used {size(sum(used.values()))} of it."
    return outcome._replace(reason="disk_full", message=f"{message} {warning or ''}".strip()), warning


def _free(folder: Folder) -> int:
    facts = os.statvfs(folder.root)
    return facts.f_bavail * facts.f_frsize
