"""What is free on each machine, and how many replicas of a shape fit: arrays, one entry per machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nacre.domain.scheduling.model import Holding, Lane, Machine, Seat, Shape

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
    """Free cpu, memory and devices of machines, in the order of their names. Changes in place.

    ``open`` is there when something is set aside: how much cpu, memory and devices work that is bound by
    that may take yet (3 rows, one entry per machine). What is free bounds it as well.
    """

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = sorted(machines, key=lambda m: m.name)
        self.index = {machine.name: at for at, machine in enumerate(self.machines)}
        self.all_cpu: Floats = np.array([m.cpu for m in self.machines], dtype=np.float64)
        self.all_memory: Floats = np.array([m.memory for m in self.machines], dtype=np.float64)
        self.cpu, self.memory = self.all_cpu.copy(), self.all_memory.copy()
        self.devices: list[list[float]] = [[1.0] * len(m.gpus) for m in self.machines]
        self.has_gpu = np.array([bool(m.gpus) for m in self.machines], dtype=bool)
        self.aside = np.array([m.aside for m in self.machines], dtype=np.float64).reshape(-1, 3).T
        self.open: Floats | None = None
        if self.aside.any():
            count = [float(len(m.gpus)) for m in self.machines]
            self.open = np.array([self.all_cpu, self.all_memory, count]) - self.aside
        self._matching: dict[str | None, Counts] = {}
        """Of each kind that was asked about, the devices of each machine. Shared by copies."""
        self._which: dict[tuple[int, str | None], list[int]] = {}
        """The devices of a machine that are of a kind, where that was asked. Shared by copies."""
        self._fitting: dict[tuple[float, str | None], Counts] = {}
        """For how many replicas there are devices, per machine, for the needs that were asked about."""
        self._unused: dict[str | None, Floats] = {}
        """What is free of each kind that was asked about, until something changes."""
        self._stale: set[int] = set()
        """Machines of which that has to be counted anew."""

    def copy(self) -> Capacity:
        """An independent one that starts from here."""
        twin = Capacity.__new__(Capacity)
        twin.machines, twin.index, twin.has_gpu = self.machines, self.index, self.has_gpu
        twin.all_cpu, twin.all_memory = self.all_cpu, self.all_memory
        twin.cpu, twin.memory = self.cpu.copy(), self.memory.copy()
        twin.devices = [d.copy() if d else d for d in self.devices]
        twin._matching, twin._which = self._matching, self._which
        twin.aside, twin.open = self.aside, None if self.open is None else self.open.copy()
        twin._fitting = {need: counts.copy() for need, counts in self._fitting.items()}
        twin._unused, twin._stale = {}, self._stale.copy()
        return twin

    # ---- changes

    def _change(
        self, at: int, cpu: float, memory: float, gpus: Mapping[int, float], bound: bool, sign: int
    ) -> None:
        self.cpu[at] += sign * cpu
        self.memory[at] += sign * memory
        if gpus:
            devices = self.devices[at]
            for device, part in gpus.items():
                if device < len(devices):
                    devices[device] = min(1.0, devices[device] + sign * part)
            self._stale.add(at)
            self._unused = {}
        if bound and self.open is not None:
            self.open[:, at] += (sign * cpu, sign * memory, sign * sum(gpus.values()))

    def hold(self, holdings: Iterable[Holding], sign: int = -1) -> None:
        """Take what is held, or give it back. A machine that is not known here is passed over."""
        for held in holdings:
            at = self.index.get(held.node)
            if at is not None:
                self._change(at, held.cpu, held.memory, held.gpus, held.bound, sign)

    def take(self, lane: Lane, seats: Iterable[Seat]) -> None:
        """Take one replica's need at each seat."""
        shape = lane.shape
        for seat in seats:
            self._change(self.index[seat.node], shape.cpu, shape.memory, seat.gpus, lane.bound, -1)

    def limit(self, others: Sequence[Capacity]) -> None:
        """Be no more than the least of the others anywhere."""
        for other in others:
            np.minimum(self.cpu, other.cpu, out=self.cpu)
            np.minimum(self.memory, other.memory, out=self.memory)
            if self.open is not None and other.open is not None:
                np.minimum(self.open, other.open, out=self.open)
        for at in np.flatnonzero(self.has_gpu):
            mine = self.devices[at]
            self.devices[at] = [
                min(parts) for parts in zip(mine, *(o.devices[at] for o in others), strict=True)
            ]
        self._fitting, self._unused, self._stale = {}, {}, set()

    def follow(self, free: Capacity, others: Sequence[Capacity], touched: Sequence[int]) -> None:
        """Be the least of ``free`` and the others again on the machines that were changed."""
        every = [free, *others]
        opens = [one.open for one in every if one.open is not None]
        for at in touched:
            self.cpu[at] = min(one.cpu[at] for one in every)
            self.memory[at] = min(one.memory[at] for one in every)
            if self.open is not None:
                self.open[:, at] = np.min([one[:, at] for one in opens], axis=0)
            if self.has_gpu[at]:
                self.devices[at] = [min(p) for p in zip(*(o.devices[at] for o in every), strict=True)]
                self._stale.add(at)
        self._unused = {}

    # ---- questions

    def _count(self, at: int, gpu: float, kind: str | None) -> int:
        """For how many replicas a machine has devices."""
        parts = self.devices[at]
        which = self._which.get((at, kind))
        if which is None:
            which = [device for device, name in enumerate(self.machines[at].gpus) if is_kind(name, kind)]
            self._which[at, kind] = which
        if gpu >= 1:
            return len([1 for device in which if parts[device] > 1 - SLACK]) // int(gpu)
        return sum([int((parts[device] + SLACK) // gpu) for device in which])

    def fitting(self, gpu: float, kind: str | None) -> Counts:
        """For how many replicas that need so much of this kind there are devices, per machine."""
        for stale in self._stale:
            for (part, name), known in self._fitting.items():
                known[stale] = self._count(stale, part, name)
        self._stale.clear()
        counts = self._fitting.get((gpu, kind))
        if counts is None:
            counts = np.zeros(len(self.machines), dtype=np.int64)
            for at in np.flatnonzero(self.has_gpu):
                counts[at] = self._count(int(at), gpu, kind)
            self._fitting[gpu, kind] = counts
        return counts

    def able(self, lane: Lane) -> NDArray[np.bool_]:
        """The machines that could hold one replica when they are empty."""
        shape = lane.shape
        aside = self.aside if lane.bound else np.zeros_like(self.aside)
        good: NDArray[np.bool_] = self.all_cpu - aside[0] + SLACK >= shape.cpu
        good &= self.all_memory - aside[1] >= shape.memory
        if shape.gpu:
            good &= self.matching(shape.gpu_name) + SLACK >= shape.gpu
            good &= self.matching(None) - aside[2] + SLACK >= shape.gpu
        return good

    def matching(self, kind: str | None) -> Counts:
        """How many devices of a kind each machine has."""
        counts = self._matching.get(kind)
        if counts is None:
            counts = self._matching[kind] = np.array(
                [sum(is_kind(name, kind) for name in m.gpus) for m in self.machines], dtype=np.int64
            )
        return counts

    def unused(self, kind: str | None) -> Floats:
        """How much is free of each machine's devices of a kind, all together."""
        found = self._unused.get(kind)
        if found is None:
            found = self._unused[kind] = np.zeros(len(self.machines))
            for at in np.flatnonzero(self.has_gpu):
                parts = zip(self.devices[at], self.machines[at].gpus, strict=True)
                found[at] = sum(part for part, name in parts if is_kind(name, kind))
        return found

    def slots(self, lane: Lane, at: Sequence[int] | None = None) -> Counts:
        """How many replicas of a lane each machine has room for now; or only these machines."""
        shape, some = lane.shape, slice(None) if at is None else at
        room: Any = _MANY
        if shape.cpu > 0:
            room = (self.cpu[some] + SLACK) // shape.cpu
        if shape.memory > 0:
            room = np.minimum(room, self.memory[some] // shape.memory)
        if shape.gpu > 0:
            room = np.minimum(room, self.fitting(shape.gpu, shape.gpu_name)[some])
        if self.open is not None and lane.bound:
            for left, need in zip(self.open, shape[:3], strict=True):
                if need > 0:
                    room = np.minimum(room, (left[some] + SLACK) // need)
        counts: Counts = np.zeros(len(self.cpu[some]), dtype=np.int64)
        np.maximum(room, 0, out=counts, casting="unsafe")
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

    def seats(self, lane: Lane, counts: Counts, replicas: int) -> list[Seat]:
        """Places for that many replicas among machines that have so much room (``counts``).

        One machine if one can hold all, the fullest such; else as few as possible. Machines without GPUs
        come first for work without, those where something is set aside for whom it is. Nothing is taken.
        """
        order = self._order(lane, counts, replicas)
        seats: list[Seat] = []
        for at in order:
            here = min(int(counts[at]), replicas - len(seats))
            seats.extend(self._here(int(at), lane.shape, here))
            if len(seats) == replicas:
                break
        return seats

    def _order(self, lane: Lane, counts: Counts, replicas: int) -> Sequence[int]:
        rank = np.where(self.has_gpu & (lane.shape.gpu == 0), 1, 0)
        if self.open is not None and not lane.bound:
            rank = rank + np.where(self.aside.any(axis=0), 0, 2)
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
