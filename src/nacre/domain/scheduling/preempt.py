"""Which spot work makes room: as little of it as possible, the latest started first."""

from __future__ import annotations

from collections.abc import Sequence

from nacre.domain.scheduling.capacity import Capacity
from nacre.domain.scheduling.model import Holding, Lane


def victims(lane: Lane, free: Capacity, spot: Sequence[Holding]) -> list[Holding]:
    """One holding of each attempt that has to go so that the lane's gang fits; empty when none would help.

    ``free``: what is free once all that was told to go has gone; ``spot``: the spot work that was not.
    Attempts go whole. Those that started last have lost least; who turns out not to be needed stays.
    """
    gangs: dict[str, list[Holding]] = {}
    for one in spot:
        gangs.setdefault(one.id, []).append(one)
    newest = sorted(gangs.values(), key=lambda gang: (-gang[0].since, gang[0].id))
    later = free.copy()
    going: list[list[Holding]] = []
    for gang in newest:
        if _fits(later, lane):
            break
        later.hold(gang, +1)
        going.append(gang)
    if not _fits(later, lane):
        return []
    for gang in [*going]:
        later.hold(gang)
        if _fits(later, lane):
            going.remove(gang)
        else:
            later.hold(gang, +1)
    return [gang[0] for gang in going]


def _fits(free: Capacity, lane: Lane) -> bool:
    return bool(free.slots(lane.shape).sum() >= lane.replicas)
