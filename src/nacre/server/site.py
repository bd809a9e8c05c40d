"""The part of the package that work may import: in a folder of its own, without the server's libraries."""

from __future__ import annotations

import py_compile
import shutil
import sys
import tempfile
from pathlib import Path

from blake3 import blake3

_PACKAGE = Path(__file__).resolve().parent.parent
_PARTS = (
    *("__init__.py", "py.typed", "clock.py", "errors.py", "ids.py", "schema", "sdk", "workloads"),
    *("launcher/__init__.py", "launcher/capture"),
    *("modelserver/__init__.py", "modelserver/frames.py", "modelserver/replica"),
)
_START = "launcher/capture/sitecustomize.py"
_UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def make_site(folder: Path) -> Path:
    """The folder that holds the package ``nacre`` for work: ``<folder>/<digest of its content>``.

    Running sandboxes have the folder of their own version mounted, so one that is there is never changed
    and never removed (about a megabyte for each version that was ever run).

    Beside the package lies ``sitecustomize.py``, which Python runs at its start. Byte code is there too,
    for the server's own version of Python: work cannot write it, and would compile anew in every process.
    """
    files = {name: _PACKAGE / name for name in _wanted()}
    digest = blake3(str(sys.implementation.cache_tag).encode())
    for name, path in files.items():
        digest.update(name.encode() + b"\0" + blake3(path.read_bytes()).digest())
    site = folder / digest.hexdigest()[:16]
    if not site.is_dir():
        folder.mkdir(exist_ok=True)
        fresh = Path(tempfile.mkdtemp(dir=folder))
        for name, path in files.items():
            (fresh / "nacre" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, fresh / "nacre" / name)
        shutil.copyfile(_PACKAGE / _START, fresh / "sitecustomize.py")
        _compile(fresh)
        fresh.chmod(0o755)
        fresh.rename(site)
    return site


def _compile(site: Path) -> None:
    for path in site.rglob("*.py"):
        py_compile.compile(str(path), doraise=True, invalidation_mode=_UNCHECKED)


def _wanted() -> list[str]:
    found: list[Path] = []
    for part in _PARTS:
        path = _PACKAGE / part
        found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return [str(path.relative_to(_PACKAGE)) for path in found]
