"""The eight steps on real data, from nothing: ``make demo``.

Makes a virtual environment, installs Nacre from this checkout, and drives it through the command line and
plain HTTP, as a person would. Everything it starts, it stops; every figure that it prints was measured.
The home is new and thrown away at the end, but environments are kept in ``.demo`` and found again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".demo"
PYTHON = FOLDER / "venv" / "bin" / "python"


def install() -> None:
    """A virtual environment with Nacre and scikit-learn (for its digits)."""
    stamp = FOLDER / "installed"
    wanted = (ROOT / "pyproject.toml").read_bytes()
    if stamp.is_file() and stamp.read_bytes() == wanted and PYTHON.is_file():
        print("· the virtual environment is there from last time", flush=True)
        return
    started = time.monotonic()
    print("· making a virtual environment and installing Nacre …", flush=True)
    venv.create(FOLDER / "venv", with_pip=True, clear=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--quiet"]
    subprocess.run([*pip, "--editable", str(ROOT), "scikit-learn"], check=True)
    stamp.write_bytes(wanted)
    print(f"  done in {time.monotonic() - started:.0f} s", flush=True)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    install()
    steps = ROOT / "examples" / "digits" / "steps.py"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NACRE_")}
    environment["PATH"] = f"{PYTHON.parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run([str(PYTHON), str(steps), str(FOLDER)], env=environment, check=False)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
