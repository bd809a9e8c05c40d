"""Interpreters with packages that Nacre's own environment cannot have, or not in this version."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from uv import find_uv_bin


def python_with(folder: Path, *packages: str) -> Path:
    """An interpreter with these, from uv's cache when they were there before.

    Skips the test where no package index can be reached.
    """
    uv, python = find_uv_bin(), folder / "bin" / "python"
    for command in (
        [uv, "venv", "-q", "--python", sys.executable, folder],
        [uv, "pip", "install", "-q", "--python", python, *packages],
    ):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"no package index is at hand: {done.stderr.strip()[-200:]}")
    return python
