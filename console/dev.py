"""``make dev``: a server on ``.dev``, and Vite's, which serves the console with hot reload."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def main() -> None:
    """Until Ctrl-C."""
    home = os.environ.setdefault("NACRE_HOME", str(ROOT / ".dev"))
    path = f"{BIN}{os.pathsep}{os.environ['PATH']}"
    os.environ["PATH"] = path
    npm = shutil.which("npm", path=path)
    assert npm is not None, "run 'make venv' first"
    subprocess.run([str(BIN / "nacre"), "up", "--detach"], check=True)
    print(f"server's home: {home}", flush=True)
    try:
        subprocess.run([npm, "run", "dev"], cwd=ROOT / "console", check=False)
    except KeyboardInterrupt:
        pass
    finally:
        subprocess.run([str(BIN / "nacre"), "down"], check=False)


if __name__ == "__main__":
    main()
