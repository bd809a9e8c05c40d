"""Takes away all that is left of a launch: ``python -m nacre.launcher.clear [--all] FOLDER ATTEMPT RANK``.

Ends the launcher and the work if they still live, removes their control groups, then the folder. Output
that the server would not have stays, unless ``--all`` is given. May be repeated, also on a folder that is
gone.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from importlib import import_module

from nacre.launcher import cgroups, processes
from nacre.launcher.folder import Folder
from nacre.launcher.prepare import remove
from nacre.launcher.start import boot_id

_KEPT = ("output", "output-kept")
_DEADLINE_S = 5.0


def main(arguments: list[str]) -> int:
    """Clear one folder. Exit code 0: nothing runs any more; 1: something could not be ended."""
    everything = "--all" in arguments
    root, attempt, rank = (word for word in arguments if word != "--all")
    folder = Folder(os.path.abspath(root))
    _end_launcher(folder)
    ended = _end_work(folder, attempt, rank)
    raw = (folder.read_json("plan.json") or {}).get("groups") or {}
    for groups in (
        cgroups.Groups(0, raw.get("paths", {}), []),
        cgroups.find(cgroups.name_of(attempt, int(rank))),
    ):
        ended = groups.kill() and ended
        groups.remove()
    if not ended:
        return 1
    kept = _KEPT if folder.has("output-kept") and not everything else ()
    attempt_root = os.path.dirname(folder.root)
    if os.path.lexists(os.path.join(attempt_root, "network")):
        import_module("nacre.launcher.gangnet").leave(folder.root)
    if os.path.isdir(folder.root):
        remove(folder, [name for name in os.listdir(folder.root) if name not in kept])
    for path in (folder.root, attempt_root):  # the attempt's own, with its last replica
        try:
            os.rmdir(path)
        except OSError:
            break
    return 0


def _end_launcher(folder: Folder) -> None:
    noted = folder.read_json("launcher.json")
    if noted is None or not processes.alive(noted["pid"], noted["start"]):
        return
    with open(f"/proc/{noted['pid']}/cmdline", "rb") as file:
        if b"nacre.launcher" not in file.read():
            return
    processes.send(noted["pid"], signal.SIGKILL)
    _wait(noted["pid"], noted["start"])


def _end_work(folder: Folder, attempt: str, rank: str) -> bool:
    marks = [f"NACRE_ATTEMPT_ID={attempt}".encode(), f"NACRE_RANK={rank}".encode()]
    noted = folder.read_json("workload.json") or {}
    lives = noted.get("boot") == boot_id() and processes.alive(noted["pid"], noted["start"])
    ended = processes.end_all(noted["pid"] if lives else -1, marks)
    if lives:
        processes.send(noted["pid"], signal.SIGKILL)
        _wait(noted["pid"], noted["start"])
    return ended


def _wait(pid: int, start: int) -> None:
    deadline = time.monotonic() + _DEADLINE_S
    while processes.alive(pid, start) and time.monotonic() < deadline:
        time.sleep(0.002)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
