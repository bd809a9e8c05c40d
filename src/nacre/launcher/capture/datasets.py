"""Hash checks of data sets that frameworks load by name: the job's own inputs pass them.

Frameworks know the hash of the original and would fetch it again, which needs the internet. A file of an
input that was marked ``as: keras:mnist`` is accepted as it is; the log says when it is not the original.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

_CHECKS = ("validate_file", "check_sha1", "check_md5")
"""Functions of (file, expected hash …) that answer whether it has that hash."""

_told: set[str] = set()


def patch(module: Any) -> None:
    """Put our word beside the checks of a framework's module."""
    for name in _CHECKS:
        check = getattr(module, name, None)
        if check is not None and not hasattr(check, "nacre"):
            setattr(module, name, _beside(check))
    fetch = getattr(module, "download", None)
    if fetch is not None and hasattr(module, "md5file") and not hasattr(fetch, "nacre"):
        module.download = _instead(fetch, module)  # Paddle compares hashes inside


def _beside(check: Callable[..., Any]) -> Callable[..., Any]:
    def checked(path: Any, *args: Any, **kwargs: Any) -> Any:
        found = check(path, *args, **kwargs)
        return found or _accepted(path)

    checked.nacre = True  # type: ignore[attr-defined]
    checked.__doc__, checked.__name__ = check.__doc__, getattr(check, "__name__", "checked")
    return checked


def _instead(fetch: Callable[..., Any], module: Any) -> Callable[..., Any]:
    def download(url: str, module_name: str, md5sum: str, save_name: Any = None) -> Any:
        path = os.path.join(module.DATA_HOME, module_name, save_name or url.rsplit("/", maxsplit=1)[-1])
        if os.path.exists(path) and (module.md5file(path) == md5sum or _accepted(path)):
            return path
        return fetch(url, module_name, md5sum, save_name)

    download.nacre = True  # type: ignore[attr-defined]
    return download


def _accepted(path: Any) -> bool:
    """Whether the file is one of an input with a name of a framework's; says so once."""
    real = os.path.realpath(os.fspath(path))
    try:
        with open(os.environ["NACRE_DATASET_MANIFEST"], encoding="utf-8") as file:
            roots = json.load(file)
    except (OSError, ValueError, KeyError):
        return False
    for root, whose in roots.items():
        if real.startswith(os.path.realpath(root) + os.sep) and os.path.isfile(real):
            if real not in _told:
                _told.add(real)
                line = f"[nacre] {os.path.basename(real)} is not the original but a stand-in: {whose}"
                print(line, file=sys.stderr, flush=True)  # noqa: T201 - the job's log is where users look
            return True
    return False
