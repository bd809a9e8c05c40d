"""Why something waits, in a sentence with numbers: the one thing that is short."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nacre.domain.scheduling.capacity import SLACK, Capacity, Floats, is_kind
from nacre.domain.scheduling.model import (
    GANG_INCOMPLETE,
    NO_CAPACITY,
    QUOTA_EXCEEDED,
    RESERVED,
    Demand,
    Holding,
    Lane,
    Machine,
    Policy,
    Shape,
    Waiting,
)
from nacre.domain.scheduling.shares import Shares

_GIB = 2**30
_ROW = {"cpu": 0, "memory": 1, "gpu": 2}
_NAMED = 16
"""On more machines than that, what uses them is not named."""
_ASIDE = "set aside for instances and endpoints"


def never_fits(lane: Lane, machines: Sequence[Machine], empty: Capacity | None = None) -> str | None:
    """Why these machines could not hold this even when they are empty; None when they could.

    ``empty``: their capacity, where that was made already.
    """
    shape = lane.shape
    empty = empty or Capacity(machines)
    room = int(empty.slots(lane).sum()) if machines else 0
    if machines and room >= lane.replicas:
        return None
    asked = amounts(shape.cpu, shape.memory, shape.gpu, shape.gpu_name)
    if not machines:
        return f"this needs {asked}, and there is no machine: see 'nacre node ls'"
    if lane.replicas > 1 and room:
        return _too_many(lane, machines, room)
    largest = max(
        machines, key=lambda m: (sum(is_kind(n, shape.gpu_name) for n in m.gpus), m.cpu, m.memory)
    )
    names = sorted(set(largest.gpus))
    has = amounts(largest.cpu, largest.memory, len(largest.gpus), ", ".join(names) or None, total=True)
    kept = ""
    if lane.bound and any(largest.aside):
        least = [f"{largest.aside.cpu:g} cpu"] if largest.aside.cpu else []
        least += [f"{gib(largest.aside.memory)} of memory"] if largest.aside.memory else []
        least += [gpus(largest.aside.gpu, None)] if largest.aside.gpu else []
        kept = f", of which {listed(least)} are {_ASIDE}"
    return f"this needs {asked}; the largest machine ({largest.name}) has {has}{kept}: ask for less"


def _too_many(lane: Lane, machines: Sequence[Machine], room: int) -> str:
    """Why a gang is too large of which some replicas would fit."""
    shape, count = lane.shape, lane.replicas
    of_kind = [[is_kind(name, shape.gpu_name) for name in m.gpus] for m in machines]
    have = (sum(map(sum, of_kind)), sum(m.cpu for m in machines), sum(m.memory for m in machines))
    kept = [sum(m.aside[row] for m in machines) if lane.bound else 0 for row in (2, 0, 1)]
    where = "the machine has" if len(machines) == 1 else "the machines have"
    for kind, there, aside in zip(("gpu", "cpu", "memory"), have, kept, strict=True):
        need = getattr(shape, kind)
        if need * count > there - aside + SLACK:
            name = shape.gpu_name if kind == "gpu" else None
            less = f", {_amount(kind, aside, name)} of them {_ASIDE}" if aside else ""
            each, all_of_it = _amount(kind, need, name), _amount(kind, need * count, name)
            return (
                f"{count} replicas of {each} need {all_of_it} at once; {where} "
                f"{_amount(kind, there, name)} in all{less}: ask for fewer replicas, or for less in each"
            )
    return (
        f"this needs {count} replicas of {amounts(shape.cpu, shape.memory, shape.gpu, shape.gpu_name)}; "
        f"{_machines(machines)} could hold {room} when nothing else runs: ask for fewer replicas, or for "
        "less in each"
    )


def over_quota(
    demand: Demand, policy: Policy, shares: Shares, replicas: int | None = None
) -> Waiting | None:
    """Which limit of its project it would break now, with so many replicas or its fewest; None: none."""
    quota = policy.quotas.get(demand.project)
    if quota is None:
        return None
    held, lane = shares.of(demand.project), demand.lane
    shape, count = lane.shape, replicas or lane.replicas
    running = len(held.jobs - {demand.id})
    if quota.running is not None and not lane.interactive and running >= quota.running:
        return _quota(demand, f"{plural(quota.running, 'running job')}", f"{running} run")
    if quota.gpu is not None and shape.gpu and held.gpu + shape.gpu * count > quota.gpu + SLACK:
        return _quota(
            demand, gpus(quota.gpu, None), f"{held.gpu:g} in use, {shape.gpu * count:g} more asked"
        )
    if quota.cpu is not None and held.cpu + shape.cpu * count > quota.cpu + SLACK:
        used = f"{_round(held.cpu)} in use, {_round(shape.cpu * count)} more asked"
        return _quota(demand, f"{quota.cpu:g} cpu", used)
    if quota.memory is not None and held.memory + shape.memory * count > quota.memory:
        used = f"{gib(held.memory)} in use, {gib(shape.memory * count)} more asked"
        return _quota(demand, f"{gib(quota.memory)} of memory", used)
    return None


def _quota(demand: Demand, limit: str, used: str) -> Waiting:
    where = f"project {demand.project}" if demand.project else "its project"
    return Waiting(QUOTA_EXCEEDED, f"{where} may have {limit}: {used}")


@dataclass(frozen=True, slots=True)
class Short:
    """``room``: for how many replicas. ``need``: what is short. ``used``: how much of it is."""

    room: int
    need: str
    used: str
    users: Mapping[str, list[str]] = field(default_factory=dict)
    """Names of the work that uses it, by project."""
    aside: str = ""
    """What of it is set aside, where that is what binds."""


def waiting(
    lane: Lane,
    project: str,
    short: Short,
    ahead: Mapping[str, list[str]],
    gone: Mapping[str, list[str]],
    starts_by: float | None,
    now: float,
) -> Waiting:
    """The binding reason of a gang of a project that does not fit.

    ``ahead``: those whose place is kept; ``gone``: spot work that was told to go for it; both by project.
    What other projects run is counted, not named.
    """

    def said(reason: str, text: str) -> Waiting:
        tail = "" if starts_by is None else f"; it starts in at most {span(starts_by - now)}"
        return Waiting(reason, text + tail, starts_by)

    if gone:
        does = "ends" if sum(map(len, gone.values())) == 1 else "end"
        text = f"waits until {who(gone, project)} {does}, spot work that makes room for it"
        return said(NO_CAPACITY, text)
    if short.room >= lane.replicas:
        return said(
            NO_CAPACITY, f"waits for what is kept for {who(ahead, project)}, before it in the queue"
        )
    by = f" by {who(short.users, project)}" if short.users else ""
    used = f"{short.used}{by}{short.aside}"
    if lane.replicas > 1 and short.room:
        rest = lane.replicas - short.room
        text = f"waits for {lane.replicas} replicas at once: {short.room} of them "
        text += "fits now, the other" if short.room == 1 else "fit now, the other"
        text += f" {rest} wait for {short.need} each" if rest > 1 else f" waits for {short.need}"
        return said(RESERVED if short.aside else GANG_INCOMPLETE, f"{text}: {used}")
    times = f"{lane.replicas} replicas of " if lane.replicas > 1 else ""
    return said(RESERVED if short.aside else NO_CAPACITY, f"waits for {times}{short.need}: {used}")


def short(lane: Lane, free: Capacity, held: Sequence[Holding]) -> Short:
    """What keeps a lane from starting, on the machine that lacks the least of it.

    Raises:
        ValueError: no machine could hold it even when it is empty: see :func:`never_fits`.
    """
    shape = lane.shape
    counts = free.slots(lane)
    room = int(counts.sum())
    able = np.flatnonzero(free.able(lane))
    if not len(able):
        raise ValueError("no machine could ever hold this shape")
    after = free
    if 0 < room < lane.replicas:  # what the others lack, once those that fit have their places
        after = free.copy()
        after.take(lane, free.seats(lane, counts, room))
    lacks = _lacks(after, able, shape)
    kept = _kept_from(after, able, lane)
    kinds = [*lacks]
    missing = np.vstack([np.maximum(lacks[kind], kept[kind]) for kind in kinds])
    best = int(missing.max(axis=0).argmin())
    kind = kinds[int(missing[:, best].argmax())]
    binds = bool(0 < kept[kind][best] >= lacks[kind][best] - SLACK)
    at = able if kind == "gpu" or len(able) > 1 else able[[best]]
    total, used = _in_use(free, at, kind, shape, binds)
    users: Mapping[str, list[str]] = {}
    if len(at) <= _NAMED and (kind == "gpu" or len(able) == 1):
        here = {free.machines[i].name for i in at}
        users = _names(h for h in held if h.node in here and _of(h, kind) and (h.bound or not binds))
    aside = ""
    if binds:
        less = float(free.aside[_ROW[kind], at].sum())
        aside = f", {_amount(kind, less, None)} more {'is' if less == 1 else 'are'} {_ASIDE}"
    if len(able) > 1 and kind != "gpu" and room == 0 and not binds:
        return Short(room, *_cluster(kind, shape, free, able))
    need = _amount(kind, getattr(shape, kind), shape.gpu_name)
    return Short(room, need, f"{_of_total(kind, used, total)} in use", users, aside)


def _in_use(
    free: Capacity, at: NDArray[np.int64], kind: str, shape: Shape, bound: bool
) -> tuple[float, float]:
    """How much of a kind there is, less what is set aside where that binds, and what is in use of it."""
    if kind == "gpu":
        total = float(free.matching(shape.gpu_name)[at].sum())
        left = float(free.unused(shape.gpu_name)[at].sum())
    else:
        total = float((free.all_cpu if kind == "cpu" else free.all_memory)[at].sum())
        left = float((free.cpu if kind == "cpu" else free.memory)[at].sum())
    if bound and free.open is not None:
        total -= float(free.aside[_ROW[kind], at].sum())
        left = float(free.open[_ROW[kind], at].sum())
    return total, total - left


def _of(held: Holding, kind: str) -> float:
    return sum(held.gpus.values()) if kind == "gpu" else float(getattr(held, kind))


def _amount(kind: str, amount: float, gpu_name: str | None) -> str:
    if kind == "gpu":
        return gpus(amount, gpu_name)
    return f"{_round(amount)} cpu" if kind == "cpu" else f"{gib(amount)} of memory"


def _of_total(kind: str, used: float, total: float) -> str:
    if kind == "memory":
        return f"{gib(used)} of {gib(total)}"
    return f"{_round(used)} of {_round(total)}"


def _cluster(kind: str, shape: Shape, free: Capacity, able: NDArray[np.int64]) -> tuple[str, str]:
    """What is needed, and how it is with many machines."""
    cpu, memory = free.cpu[able], free.memory[able]
    if (cpu + SLACK >= shape.cpu).any() and (memory >= shape.memory).any():
        need = f"{shape.cpu:g} cpu with {gib(shape.memory)} of memory on one machine"
        return need, f"{_round(cpu.sum())} cpu and {gib(memory.sum())} are free, but nowhere together"
    if kind == "cpu":
        total = float(free.all_cpu[able].sum())
        used = f"{_round(total - cpu.sum())} of {_round(total)} in use"
        return f"{shape.cpu:g} cpu", f"no machine has more than {_round(max(0.0, cpu.max()))} free, {used}"
    size = float(free.all_memory[able].sum())
    used = f"{gib(size - memory.sum())} of {gib(size)} in use"
    need = f"{gib(shape.memory)} of memory"
    return need, f"no machine has more than {gib(max(0.0, memory.max()))} free, {used}"


def _kept_from(free: Capacity, able: NDArray[np.int64], lane: Lane) -> dict[str, Floats]:
    """Like :func:`_lacks`, of what it may take though something is set aside."""
    found = {kind: np.zeros(len(able)) for kind in _ROW}
    if free.open is not None and lane.bound:
        for kind, row in _ROW.items():
            need = getattr(lane.shape, kind)
            if need:
                found[kind] = np.clip((need - SLACK - free.open[row, able]) / need, 0, None)
    return found


def _lacks(free: Capacity, able: NDArray[np.int64], shape: Shape) -> dict[str, Floats]:
    """Of each kind, how much of the need is missing on each machine (0: nothing, 1: all)."""
    lacks = {"cpu": np.clip((shape.cpu - SLACK - free.cpu[able]) / shape.cpu, 0, None)}
    if shape.memory:
        lacks["memory"] = np.clip((shape.memory - free.memory[able]) / shape.memory, 0, None)
    if shape.gpu:
        whole = free.fitting(1.0 if shape.gpu >= 1 else shape.gpu, shape.gpu_name)[able]
        need = int(shape.gpu) if shape.gpu >= 1 else 1
        lacks["gpu"] = np.clip((need - whole) / need, 0, None)
    return lacks


def by_project(work: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names (each once, in their order) by project, from pairs of project and name."""
    found: dict[str, list[str]] = {}
    for project, name in dict.fromkeys(work):
        found.setdefault(project, []).append(name)
    return found


def _names(users: Iterable[Holding]) -> dict[str, list[str]]:
    return by_project((held.project, held.name) for held in users)


def who(work: Mapping[str, list[str]], project: str) -> str:
    """Work of the project by name, that of others as a number."""
    own = work.get(project, [])
    others = sum(map(len, work.values())) - len(own)
    if not others:
        return listed(own)
    foreign = "work of another project" if others == 1 else f"{others} pieces of work of other projects"
    return listed([*own[:2], foreign]) if len(own) < 3 else f"{listed(own)}, and {foreign}"


def span(seconds: float) -> str:
    """A time in one unit: ``40 s``, ``12 min``, ``3.5 h``, rounded up."""
    if seconds < 90:
        return f"{max(1, -int(-seconds // 1))} s"
    if seconds < 5400:
        return f"{-int(-seconds // 60)} min"
    return f"{-int(-seconds // 360) / 10:g} h"


def amounts(cpu: float, memory: float, gpu: float, gpu_name: str | None, *, total: bool = False) -> str:
    """An amount of a machine in words."""
    text = f"{cpu:g} cpu, {gib(memory)} of memory"
    if gpu or total:
        kind = f" ({gpu_name})" if gpu_name else ""
        text += f" and {f'{gpu:g}' if gpu else 'no'} GPU{'' if gpu == 1 else 's'}{kind}"
    return text


def gpus(count: float, name: str | None) -> str:
    """``1 GPU``, ``0.5 GPU``, ``2 H100 GPUs``."""
    return f"{count:g} {name or ''}".strip() + (" GPU" if count <= 1 else " GPUs")


def gib(size: float) -> str:
    """Bytes as GiB, with one digit."""
    return f"{size / _GIB:.1f}".removesuffix(".0") + " GiB"


def ordinal(number: int) -> str:
    """``1st``, ``2nd``, ``11th``."""
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def plural(count: float, noun: str) -> str:
    """``1 job``, ``2 jobs``."""
    return f"{count:g} {noun}{'' if count == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b, c and 4 more``."""
    shown = list(names[:3])
    if len(names) > 3:
        return f"{', '.join(shown)} and {len(names) - 3} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _round(amount: float) -> str:
    return f"{round(amount, 3):g}"


def _machines(machines: Sequence[Machine]) -> str:
    return f"the machine ({machines[0].name})" if len(machines) == 1 else f"the {len(machines)} machines"
