"""Placement: a pure function of the queue, the machines and what is taken. First come, first served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NO_CAPACITY = "no_capacity"
_GIB = 2**30
_SLACK = 1e-9  # sums of fractional cpus are not exact


@dataclass(frozen=True)
class Demand:
    """What a job or instance needs, on one machine. ``memory`` in bytes."""

    id: str
    name: str
    cpu: float
    memory: int
    gpu: int = 0
    gpu_name: str | None = None


@dataclass(frozen=True)
class Machine:
    """Totals of a node; ``gpus`` names each device, in index order."""

    name: str
    cpu: float
    memory: int
    gpus: Sequence[str] = ()


@dataclass(frozen=True)
class Holding:
    """What an attempt that has not ended takes of a node. ``name`` is what people call it."""

    node: str
    name: str
    cpu: float
    memory: int
    gpus: Sequence[int] = ()


@dataclass(frozen=True)
class Taken:
    """Sums of what is held on one node; ``gpus``: the indices of the devices."""

    cpu: float = 0.0
    memory: int = 0
    gpus: frozenset[int] = frozenset()


def taken(holdings: Iterable[Holding]) -> dict[str, Taken]:
    """What is held on each node, by its name."""
    sums: dict[str, Taken] = {}
    for held in holdings:
        before = sums.get(held.node, Taken())
        sums[held.node] = Taken(
            before.cpu + held.cpu, before.memory + held.memory, before.gpus | set(held.gpus)
        )
    return sums


@dataclass(frozen=True)
class Placement:
    """Where something starts, on which devices."""

    node: str
    gpus: list[int]


@dataclass(frozen=True)
class Waiting:
    """Why something cannot start yet: a word for machines, a sentence with numbers for people."""

    reason: str
    message: str


@dataclass(frozen=True)
class Plan:
    """An answer for each demand of the queue: in ``placed`` or in ``waiting``."""

    placed: dict[str, Placement] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)


@dataclass
class _Free:
    machine: Machine
    cpu: float
    memory: float
    gpus: dict[int, str]
    holders: list[Holding]
    promised: list[str] = field(default_factory=list)

    def take(self, cpu: float, memory: float, gpus: Iterable[int]) -> None:
        self.cpu -= cpu
        self.memory -= memory
        for index in gpus:
            self.gpus.pop(index, None)

    def matching(self, demand: Demand) -> list[int]:
        return [i for i, name in sorted(self.gpus.items()) if _is_kind(name, demand.gpu_name)]


def _is_kind(device: str, wanted: str | None) -> bool:
    return wanted is None or wanted.lower() in device.lower()


def place(queue: Sequence[Demand], machines: Sequence[Machine], holdings: Sequence[Holding]) -> Plan:
    """Where each of the queue starts, or why it waits.

    In order. One that must wait has its whole need set aside, so a later one starts only out of what
    no earlier one needs: a GPU job that waits does not hold up a CPU job for which there is room beside
    it, and is never overtaken into starvation.
    """
    plan = Plan()
    frees = [_free(machine, holdings) for machine in machines]
    for demand in queue:
        fitting = [free for free in frees if not _lacks(demand, free)]
        if fitting:
            free = min(fitting, key=lambda f: (f.cpu, f.memory, f.machine.name))  # the fullest: fewer gaps
            gpus = free.matching(demand)[: demand.gpu]
            free.take(demand.cpu, demand.memory, gpus)
            free.holders.append(Holding(free.machine.name, demand.name, demand.cpu, demand.memory, gpus))
            plan.placed[demand.id] = Placement(free.machine.name, gpus)
            continue
        able = [free for free in frees if _could(demand, free.machine)]
        if not able:
            plan.waiting[demand.id] = Waiting(NO_CAPACITY, never_fits(demand, machines) or "no machine")
            continue
        free = min(able, key=lambda f: max(_lacks(demand, f).values(), default=0.0))
        plan.waiting[demand.id] = Waiting(NO_CAPACITY, _sentence(demand, free))
        free.take(demand.cpu, demand.memory, free.matching(demand)[: demand.gpu])
        free.promised.append(demand.name)
    return plan


def never_fits(demand: Demand, machines: Sequence[Machine]) -> str | None:
    """Why no machine could hold this even when it is empty, naming the largest; None when one could."""
    if any(_could(demand, machine) for machine in machines):
        return None
    asked = _amounts(demand.cpu, demand.memory, demand.gpu, demand.gpu_name)
    if not machines:
        return f"this needs {asked}, and there is no machine: see 'nacre node ls'"
    largest = max(machines, key=lambda m: (_matching_count(m, demand), m.cpu, m.memory))
    names = sorted(set(largest.gpus))
    has = _amounts(largest.cpu, largest.memory, len(largest.gpus), ", ".join(names) or None, total=True)
    return f"this needs {asked}; the largest machine ({largest.name}) has {has}: ask for less"


def _matching_count(machine: Machine, demand: Demand) -> int:
    return sum(_is_kind(name, demand.gpu_name) for name in machine.gpus)


def _could(demand: Demand, machine: Machine) -> bool:
    return (
        demand.cpu <= machine.cpu + _SLACK
        and demand.memory <= machine.memory
        and demand.gpu <= _matching_count(machine, demand)
    )


def _free(machine: Machine, holdings: Sequence[Holding]) -> _Free:
    here = [h for h in holdings if h.node == machine.name]
    free = _Free(machine, machine.cpu, machine.memory, dict(enumerate(machine.gpus)), here)
    for holding in here:
        free.take(holding.cpu, holding.memory, holding.gpus)
    return free


def _lacks(demand: Demand, free: _Free) -> dict[str, float]:
    """The kinds that are short, each with how much of the need is missing (1: all of it)."""
    lacks: dict[str, float] = {}
    if demand.gpu > len(free.matching(demand)):
        lacks["gpu"] = (demand.gpu - len(free.matching(demand))) / demand.gpu
    if demand.cpu > free.cpu + _SLACK:
        lacks["cpu"] = (demand.cpu - free.cpu) / demand.cpu
    if demand.memory > free.memory:
        lacks["memory"] = (demand.memory - free.memory) / max(1, demand.memory)
    return lacks


def _sentence(demand: Demand, free: _Free) -> str:
    lacks = _lacks(demand, free)
    kind = max(lacks, key=lambda k: lacks[k])
    machine = free.machine
    users = [h.name for h in free.holders if (h.gpus if kind == "gpu" else getattr(h, kind))]
    if kind == "gpu":
        used = sum(len(h.gpus) for h in free.holders)
        need = f"{demand.gpu} {demand.gpu_name or ''}".strip() + (" GPU" if demand.gpu == 1 else " GPUs")
        amount = f"{used} of {len(machine.gpus)} in use"
    elif kind == "cpu":
        used_cpu = sum(h.cpu for h in free.holders)
        need, amount = f"{demand.cpu:g} cpu", f"{round(used_cpu, 3):g} of {machine.cpu:g} in use"
    else:
        used_bytes = sum(h.memory for h in free.holders)
        need = f"{_gib(demand.memory)} of memory"
        amount = f"{_gib(used_bytes)} of {_gib(machine.memory)} in use"
    by = f" by {_list(users)}" if users else ""
    ahead = ""
    if free.promised:
        verb = "is" if len(free.promised) == 1 else "are"
        ahead = f"; {_list(free.promised)} {verb} before it in the queue"
    return f"waits for {need}: {amount}{by}{ahead}"


def _amounts(cpu: float, memory: int, gpu: int, gpu_name: str | None, *, total: bool = False) -> str:
    text = f"{cpu:g} cpu, {_gib(memory)} of memory"
    if gpu or total:
        kind = f" ({gpu_name})" if gpu_name else ""
        text += f" and {gpu or 'no'} GPU{'' if gpu == 1 else 's'}{kind}"
    return text


def _gib(size: float) -> str:
    return f"{size / _GIB:.1f}".removesuffix(".0") + " GiB"


def _list(names: list[str]) -> str:
    shown = names[:3]
    if len(names) > 3:
        return f"{', '.join(shown)} and {len(names) - 3} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
