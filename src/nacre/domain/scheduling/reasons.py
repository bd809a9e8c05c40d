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


def never_fits(lane: Lane, machines: Sequence[Machine], empty: Capacity | None = None) -> str | None:
    """Why these machines could not hold this even when they are empty; None when they could.

    ``empty``: their capacity, where that was made already.
    """
    shape = lane.shape
    room = (empty or Capacity(machines)).slots(shape)
    if len(machines) and room.sum() >= lane.replicas:
        return None
    asked = amounts(shape.cpu, shape.memory, shape.gpu, shape.gpu_name)
    if not machines:
        return f"this needs {asked}, and there is no machine: see 'nacre node ls'"
    if lane.replicas > 1 and room.sum() > 0:
        return (
            f"this needs {lane.replicas} replicas of {asked}; {_machines(machines)} could hold "
            f"{room.sum()} when nothing else runs: ask for fewer replicas, or for less in each"
        )
    largest = max(
        machines, key=lambda m: (sum(is_kind(n, shape.gpu_name) for n in m.gpus), m.cpu, m.memory)
    )
    names = sorted(set(largest.gpus))
    has = amounts(largest.cpu, largest.memory, len(largest.gpus), ", ".join(names) or None, total=True)
    return f"this needs {asked}; the largest machine ({largest.name}) has {has}: ask for less"


def over_quota(
    demand: Demand, policy: Policy, shares: Shares, replicas: int | None = None
) -> Waiting | None:
    """Which limit of its project it would break now, with so many replicas or its fewest; None: none."""
    quota = policy.quotas.get(demand.project)
    if quota is None:
        return None
    held, lane = shares.of(demand.project), demand.lane
    shape, count = lane.shape, replicas or lane.replicas
    if quota.running is not None and len(held.jobs) >= quota.running:
        return _quota(demand, f"{plural(quota.running, 'running job')}", f"{len(held.jobs)} run")
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
    tail = "" if starts_by is None else f"; it starts in at most {span(starts_by - now)}"
    if gone:
        does = "ends" if sum(map(len, gone.values())) == 1 else "end"
        text = f"waits until {who(gone, project)} {does}, spot work that makes room for it{tail}"
        return Waiting(NO_CAPACITY, text, starts_by)
    if short.room >= lane.replicas:
        text = f"waits for what is kept for {who(ahead, project)}, before it in the queue{tail}"
        return Waiting(NO_CAPACITY, text, starts_by)
    by = f" by {who(short.users, project)}" if short.users else ""
    used = f"{short.used}{by}{tail}"
    if lane.replicas > 1 and short.room:
        text = f"waits for {lane.replicas} replicas of {short.need}: room for {short.room} now, {used}"
        return Waiting(GANG_INCOMPLETE, text, starts_by)
    times = f"{lane.replicas} replicas of " if lane.replicas > 1 else ""
    return Waiting(NO_CAPACITY, f"waits for {times}{short.need}: {used}", starts_by)


def short(shape: Shape, free: Capacity, held: Sequence[Holding]) -> Short:
    """What keeps a shape from starting, on the machine that lacks the least of it.

    Raises:
        ValueError: no machine could hold it even when it is empty: see :func:`never_fits`.
    """
    room = int(free.slots(shape).sum())
    able = np.flatnonzero(free.able(shape))
    if not len(able):
        raise ValueError("no machine could ever hold this shape")
    lacks = _lacks(free, able, shape)
    kinds = [*lacks]
    missing = np.vstack([lacks[kind] for kind in kinds])
    best = int(missing.max(axis=0).argmin())
    kind = kinds[int(missing[:, best].argmax())]
    machine = free.machines[able[best]]
    if kind == "gpu":
        here = {free.machines[at].name for at in able}
        total = sum(free.matching(int(at), shape) for at in able)
        users = [h for h in held if h.gpus and h.node in here]
        used = sum(sum(h.gpus.values()) for h in users)
        return Short(
            room, gpus(shape.gpu, shape.gpu_name), f"{_round(used)} of {total} in use", _names(users)
        )
    if len(able) > 1:
        return Short(room, *_cluster(kind, shape, free, able))
    users = [h for h in held if h.node == machine.name and getattr(h, kind)]
    used = sum(getattr(h, kind) for h in users)
    if kind == "cpu":
        amount = f"{_round(used)} of {machine.cpu:g} in use"
        return Short(room, f"{shape.cpu:g} cpu", amount, _names(users))
    amount = f"{gib(used)} of {gib(machine.memory)} in use"
    return Short(room, f"{gib(shape.memory)} of memory", amount, _names(users))


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
