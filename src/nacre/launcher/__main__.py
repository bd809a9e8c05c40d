"""``python -m nacre.launcher FOLDER [--adopt]``: start the work of a folder, or go on with it.

Exit codes: 0 everything is with the server; 2 the folder holds no work; 3 another launcher has it; 4 the
server fenced the attempt; 75 ended by SIGTERM with something left to send, so start another launcher.
"""

from __future__ import annotations

import os
import sys

from nacre.launcher.folder import Folder
from nacre.launcher.run import Launch
from nacre.launcher.spec import load


def main(arguments: list[str]) -> int:
    """Run one folder. ``--adopt`` only declares the intention: work that runs is never started twice."""
    names = [name for name in arguments if name != "--adopt"]
    if len(names) != 1:
        sys.stderr.write("usage: python -m nacre.launcher FOLDER [--adopt]\n")
        return 2
    folder = Folder(os.path.abspath(names[0]))
    try:
        if not folder.lock():
            sys.stderr.write(f"another launcher has {folder.root}\n")
            return 3
        if "--adopt" in arguments and not folder.has("spec.json") and folder.has("events.jsonl"):
            return 0  # it came to its end, and everything is sent
        spec = load(folder.path("spec.json"))
    except (OSError, ValueError, KeyError) as error:
        sys.stderr.write(f"{folder.root} holds no work that can be launched: {error!r}\n")
        return 2
    return Launch(folder, spec).run()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
