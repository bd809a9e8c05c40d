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
    low, high = 0, len(newest)
    if not _fits(_without(free, newest), lane):
        return []
    while low < high:  # the fewest of the newest that make room: more of them never make less
        half = (low + high) // 2
        if _fits(_without(free, newest[:half]), lane):
            high = half
        else:
            low = half + 1
    later, going = _without(free, newest[:high]), newest[:high]
    counts = later.slots(lane)
    room = int(counts.sum())
    for gang in [*going]:
        at = sorted({later.index[held.node] for held in gang if held.node in later.index})
        later.hold(gang)
        left = later.slots(lane, at)
        if room - int(counts[at].sum() - left.sum()) >= lane.replicas:
            room -= int(counts[at].sum() - left.sum())
            counts[at] = left
            going.remove(gang)
        else:
            later.hold(gang, +1)
    return [gang[0] for gang in going]


def _without(free: Capacity, gone: Sequence[Sequence[Holding]]) -> Capacity:
    later = free.copy()
    for gang in gone:
        later.hold(gang, +1)
    return later


def _fits(free: Capacity, lane: Lane) -> bool:
    return bool(free.slots(lane).sum() >= lane.replicas)
