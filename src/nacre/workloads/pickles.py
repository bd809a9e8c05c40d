"""Loading a model file that no program of the project left: nothing in it may be unpickled.

Formats that are data may hold pickles all the same: ``torch.load`` falls back to one, ``torch.export`` keeps
objects in one. A pickle can do nothing without a class or function, and Python tells of each that it looks up
(the audit event ``pickle.find_class``, of the C and of the Python unpickler).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class PickleRefused(Exception):
    """A class or function that a pickle named; the text says which."""


class _Guard:
    active = False
    installed = False


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "pickle.find_class" and _Guard.active:
        raise PickleRefused(".".join(map(str, arguments)))


@contextmanager
def refused(untrusted: bool) -> Iterator[None]:
    """Within, an unpickler that looks up anything raises :class:`PickleRefused`."""
    if untrusted and not _Guard.installed:
        sys.addaudithook(_refuse)  # for the rest of the process's life
        _Guard.installed = True
    _Guard.active = untrusted
    try:
        yield
    finally:
        _Guard.active = False


def sentence(name: str, error: BaseException) -> str | None:
    """What to tell of a load that failed for a pickle; null when it failed for something else."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, PickleRefused):
        seen = seen.__cause__ or seen.__context__
    if seen is None:
        return None
    return (
        f"{name} is, or holds, a pickle (of {seen}): to load it is to run the code in it, so it is taken only from "
        "the project's own jobs: register it from the run that made it, or save it as ONNX"
    )
