"""What is free on each machine, and how many replicas of a shape fit: arrays, one entry per machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacre.domain.scheduling.model import Holding, Machine, Seat, Shape

SLACK = 1e-9
"""Sums of fractional cpus and devices are not exact."""
_MANY = 1 << 30

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


def is_kind(device: str, wanted: str | None) -> bool:
    """Whether a device with this name is what was asked for."""
    return wanted is None or wanted.lower() in device.lower()


def still_free(machine: Machine, shape: Shape, gpus: Mapping[int, float], held: Iterable[Holding]) -> bool:
    """Whether one replica has its place on a machine now, with these very devices."""
    free = Capacity([machine])
    free.hold(held)
    parts = free.devices[0]
    return (
        bool(free.cpu[0] + SLACK >= shape.cpu)
        and bool(free.memory[0] >= shape.memory)
        and all(device < len(parts) and parts[device] + SLACK >= part for device, part in gpus.items())
    )


class Capacity:
    """Free cpu, memory and devices of machines, in the order of their names. Changes in place."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = sorted(machines, key=lambda m: m.name)
        self.index = {machine.name: at for at, machine in enumerate(self.machines)}
        self.all_cpu: Floats = np.array([m.cpu for m in self.machines], dtype=np.float64)
        self.all_memory: Floats = np.array([m.memory for m in self.machines], dtype=np.float64)
        self.cpu, self.memory = self.all_cpu.copy(), self.all_memory.copy()
        self.devices: list[list[float]] = [[1.0] * len(m.gpus) for m in self.machines]
        self.has_gpu = np.array([bool(m.gpus) for m in self.machines], dtype=bool)
        self._fitting: dict[tuple[float, str | None], Counts] = {}
        """For how many replicas there are devices, per machine, for the needs that were asked about."""

    def copy(self) -> Capacity:
        """An independent one that starts from here."""
        twin = Capacity.__new__(Capacity)
        twin.machines, twin.index, twin.has_gpu = self.machines, self.index, self.has_gpu
        twin.all_cpu, twin.all_memory = self.all_cpu, self.all_memory
        twin.cpu, twin.memory = self.cpu.copy(), self.memory.copy()
        twin.devices = [d.copy() if d else d for d in self.devices]
        twin._fitting = {need: counts.copy() for need, counts in self._fitting.items()}
        return twin

    # ---- changes

    def change(self, at: int, cpu: float, memory: float, gpus: Mapping[int, float], sign: int) -> None:
        """Give back (+1) or take (-1) an amount of one machine."""
        self.cpu[at] += sign * cpu
        self.memory[at] += sign * memory
        if gpus:
            devices = self.devices[at]
            for device, part in gpus.items():
                if device < len(devices):
                    devices[device] = min(1.0, devices[device] + sign * part)
            self._recount(at)

    def hold(self, holdings: Iterable[Holding], sign: int = -1) -> None:
        """Take what is held, or give it back. A machine that is not known here is passed over."""
        for held in holdings:
            at = self.index.get(held.node)
            if at is not None:
                self.change(at, held.cpu, held.memory, held.gpus, sign)

    def take(self, shape: Shape, seats: Iterable[Seat]) -> None:
        """Take the places of replicas."""
        for seat in seats:
            self.change(self.index[seat.node], shape.cpu, shape.memory, seat.gpus, -1)

    def limit(self, others: Sequence[Capacity]) -> None:
        """Keep no more of anything than each of the others has."""
        for other in others:
            np.minimum(self.cpu, other.cpu, out=self.cpu)
            np.minimum(self.memory, other.memory, out=self.memory)
        for at in np.flatnonzero(self.has_gpu):
            mine = self.devices[at]
            self.devices[at] = [
                min(parts) for parts in zip(mine, *(o.devices[at] for o in others), strict=True)
            ]
        self._fitting = {}

    def follow(self, free: Capacity, others: Sequence[Capacity], touched: Sequence[int]) -> None:
        """Be the least of ``free`` and the others again on the machines that were changed."""
        every = [free, *others]
        for at in touched:
            self.cpu[at] = min(one.cpu[at] for one in every)
            self.memory[at] = min(one.memory[at] for one in every)
            if self.has_gpu[at]:
                self.devices[at] = [min(p) for p in zip(*(o.devices[at] for o in every), strict=True)]
                self._recount(at)

    # ---- questions

    def _count(self, at: int, gpu: float, kind: str | None) -> int:
        """For how many replicas a machine has devices."""
        free = [
            part
            for part, name in zip(self.devices[at], self.machines[at].gpus, strict=True)
            if is_kind(name, kind)
        ]
        if gpu >= 1:
            return sum(part > 1 - SLACK for part in free) // int(gpu)
        return sum(int((part + SLACK) // gpu) for part in free)

    def _recount(self, at: int) -> None:
        for (gpu, kind), counts in self._fitting.items():
            counts[at] = self._count(at, gpu, kind)

    def fitting(self, gpu: float, kind: str | None) -> Counts:
        """For how many replicas that need so much of this kind there are devices, per machine."""
        counts = self._fitting.get((gpu, kind))
        if counts is None:
            counts = np.zeros(len(self.machines), dtype=np.int64)
            for at in np.flatnonzero(self.has_gpu):
                counts[at] = self._count(int(at), gpu, kind)
            self._fitting[gpu, kind] = counts
        return counts

    def able(self, shape: Shape) -> NDArray[np.bool_]:
        """The machines that could hold one replica when they are empty."""
        good = (self.all_cpu + SLACK >= shape.cpu) & (self.all_memory >= shape.memory)
        if shape.gpu:
            for at in np.flatnonzero(good):
                good[at] = self.matching(int(at), shape) >= shape.gpu
        return good

    def matching(self, at: int, shape: Shape) -> int:
        """How many devices of the shape's kind a machine has."""
        return sum(is_kind(name, shape.gpu_name) for name in self.machines[at].gpus)

    def slots(self, shape: Shape) -> Counts:
        """How many replicas of a shape each machine has room for now."""
        room: Any = np.full(len(self.machines), _MANY, dtype=np.int64)
        if shape.cpu > 0:
            room = np.minimum(room, ((self.cpu + SLACK) // shape.cpu).astype(np.int64))
        if shape.memory > 0:
            room = np.minimum(room, (self.memory // shape.memory).astype(np.int64))
        if shape.gpu > 0:
            room = np.minimum(room, self.fitting(shape.gpu, shape.gpu_name))
        counts: Counts = np.maximum(room, 0)
        return counts

    def pick(self, at: int, shape: Shape) -> dict[int, float]:
        """Devices for one replica on a machine that has them: whole ones, or the fullest that fits."""
        if not shape.gpu:
            return {}
        names = self.machines[at].gpus
        free = [
            (part, device)
            for device, part in enumerate(self.devices[at])
            if is_kind(names[device], shape.gpu_name)
        ]
        if shape.gpu < 1:
            _, device = min(item for item in free if item[0] >= shape.gpu - SLACK)
            return {device: shape.gpu}
        unused = [device for part, device in free if part > 1 - SLACK]
        return dict.fromkeys(unused[: int(shape.gpu)], 1.0)

    def seats(self, shape: Shape, counts: Counts, replicas: int) -> list[Seat]:
        """Places for that many replicas among machines that have so much room (``counts``).

        One machine if one can hold all, the fullest such; else as few as possible. Machines without GPUs
        come first for work without. Nothing is taken.
        """
        order = self._order(shape, counts, replicas)
        seats: list[Seat] = []
        for at in order:
            here = min(int(counts[at]), replicas - len(seats))
            seats.extend(self._here(int(at), shape, here))
            if len(seats) == replicas:
                break
        return seats

    def _order(self, shape: Shape, counts: Counts, replicas: int) -> Sequence[int]:
        rank = np.where(self.has_gpu & (shape.gpu == 0), 1, 0)
        able = np.flatnonzero(counts >= replicas)
        if len(able):
            best = np.lexsort((self.memory[able], self.cpu[able], rank[able]))[:1]
            return [int(able[best[0]])]
        some = np.flatnonzero(counts > 0)
        order = np.lexsort((self.memory[some], self.cpu[some], rank[some], -counts[some]))
        return [int(at) for at in some[order]]

    def _here(self, at: int, shape: Shape, replicas: int) -> list[Seat]:
        name = self.machines[at].name
        if not shape.gpu:
            return [Seat(name, {})] * replicas
        before = self.devices[at].copy()
        found = []
        for _ in range(replicas):
            gpus = self.pick(at, shape)
            for device, part in gpus.items():
                self.devices[at][device] -= part
            found.append(Seat(name, gpus))
        self.devices[at] = before
        return found
