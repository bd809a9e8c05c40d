"""``python -m nacre.launcher FOLDER [--adopt]``: start the work of a folder, or go on with it.

Exit codes: 0 everything is with the server; 2 the folder holds no work; 3 another launcher has it; 4 the
server fenced the attempt; 75 ended by SIGTERM with something left to send, so start another launcher.
"""

from __future__ import annotations

import _thread
import os
import sys
from importlib import import_module

from nacre.launcher import warm


def main(arguments: list[str]) -> int:
    """Run one folder. ``--adopt`` only declares the intention: work that runs is never started twice."""
    names = [name for name in arguments if name != "--adopt"]
    if len(names) != 1:
        sys.stderr.write("usage: python -m nacre.launcher FOLDER [--adopt]\n")
        return 2
    _thread.start_new_thread(warm.move_to_own_groups, ())
    run = import_module("nacre.launcher.run")  # the rest is imported while the kernel gets ready
    return int(run.open_and_run(os.path.abspath(names[0]), adopt="--adopt" in arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
