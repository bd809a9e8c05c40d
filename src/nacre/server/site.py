"""The part of the package that work may import: in a folder of its own, without the server's libraries."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_PARTS = ("__init__.py", "py.typed", "clock.py", "errors.py", "ids.py", "schema", "sdk", "workloads")


def make_site(folder: Path) -> Path:
    """``<folder>/nacre`` with what jobs and notebooks import, replaced whole; returns ``folder``.

    Work that runs keeps the files that it has open; a new attempt gets the new ones.
    """
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    fresh = folder / f".nacre-{os.getpid()}"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    for part in _PARTS:
        source = _PACKAGE / part
        if source.is_dir():
            shutil.copytree(source, fresh / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, fresh / part)
    target, old = folder / "nacre", folder / f".old-{os.getpid()}"
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return folder
