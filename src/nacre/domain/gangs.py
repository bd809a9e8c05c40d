"""Gangs: whose end is the end of all, and what all of them leave behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from nacre.domain.jobs import CANCELLED, GANG_STOPPED
from nacre.schema.launch import ExitReason, FileEntry, Manifest

_NEAR = timedelta(seconds=5)
"""When one dies the others fail soon, because they lose it: a clear reason among these goes first."""
_UNCLEAR = ExitReason.EXIT_NONZERO.value


class Ended(Protocol):
    """A replica."""

    @property
    def rank(self) -> int: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def ended_at(self) -> datetime | None: ...


R = TypeVar("R", bound=Ended)


def cause(replicas: Sequence[R], asked: str | None = None) -> R | None:
    """The replica whose end decided that of its gang: None while none has ended.

    The first that failed; of those that failed within seconds of it, one whose reason says what happened
    rather than that its program noticed something. Without a failure: one that was stopped, then one that
    succeeded.

    Args:
        replicas: all of the gang.
        asked: why the whole gang was asked to stop, if it was: then one that ended so decided it.
    """
    ended = [(one.ended_at, one) for one in replicas if one.ended_at is not None]
    if asked is not None and asked != GANG_STOPPED:
        for _, one in ended:
            if one.reason == asked:
                return one
    orderly = (ExitReason.SUCCEEDED, GANG_STOPPED, CANCELLED)
    failed = [(at, one) for at, one in ended if one.reason not in orderly]
    if failed:
        first = min(at for at, _ in failed)
        near = [(one.reason == _UNCLEAR, at, one.rank, one) for at, one in failed if at - first <= _NEAR]
        return min(near, key=lambda item: item[:3])[3]
    for reason in (CANCELLED, GANG_STOPPED, ExitReason.SUCCEEDED):
        for _, one in ended:
            if one.reason == reason:
                return one
    return None


def merged(manifests: Mapping[int, Manifest]) -> Manifest:
    """The output of a gang: that of replica 0 at the top, the others' in ``replicas/RANK``."""
    files: list[FileEntry] = []
    for rank, manifest in sorted(manifests.items()):
        files += [
            one if rank == 0 else one.model_copy(update={"path": f"replicas/{rank}/{one.path}"})
            for one in manifest.files
        ]
    unique = {one.path: one for one in reversed(files)}
    return Manifest(files=sorted(unique.values(), key=lambda one: one.path))
