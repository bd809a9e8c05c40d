"""What the scheduler is told, and what it answers. Times are seconds since the epoch, memory is bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

NO_CAPACITY = "no_capacity"
GANG_INCOMPLETE = "gang_incomplete"
QUOTA_EXCEEDED = "quota_exceeded"
RESERVED = "reserved"


class Shape(NamedTuple):
    """What one replica needs of one machine.

    ``gpu`` is a count of whole devices, or a part of one device between 0 and 1. ``gpu_name`` is a part of
    the device's name, in any case.
    """

    cpu: float
    memory: int
    gpu: float = 0.0
    gpu_name: str | None = None


@dataclass(frozen=True, slots=True)
class Lane:
    """What jobs have in common that may stand for one another in a plan: one fails to fit, all do."""

    shape: Shape
    replicas: int = 1
    """The fewest that start together; all or nothing."""
    most: int = 1
    """As many as there is room for, up to this."""
    time_limit: float | None = None
    """Seconds it runs at most, when that is known."""
    spot: bool = False
    """Cheap work: whoever is not may have its place."""
    interactive: bool = False
    """An instance or an endpoint: it comes first, and may have what is set aside."""
    hashed: int = field(init=False, repr=False, compare=False)
    """Lanes are looked up for every job of a long queue: their hash is made once."""

    def __post_init__(self) -> None:
        made = hash((self.shape, self.replicas, self.most, self.time_limit, self.spot, self.interactive))
        object.__setattr__(self, "hashed", made)

    def __hash__(self) -> int:
        return self.hashed

    @property
    def bound(self) -> bool:
        """Whether what is set aside is not for it."""
        return not (self.spot or self.interactive)


@dataclass(frozen=True, slots=True)
class Demand:
    """Something that waits for a place: a job, an instance, a replica of an endpoint."""

    id: str
    name: str
    lane: Lane
    project: str = ""
    user: str = ""
    priority: int = 0
    """Classes: a higher one comes first, always."""
    queued_at: float = 0.0


class Aside(NamedTuple):
    """What of a machine is set aside for instances and endpoints; spot work may have it meanwhile."""

    cpu: float = 0.0
    memory: int = 0
    gpu: float = 0.0


NOTHING_ASIDE = Aside()


@dataclass(frozen=True, slots=True)
class Machine:
    """Totals of a node; ``gpus`` names each device, in index order."""

    name: str
    cpu: float
    memory: int
    gpus: Sequence[str] = ()
    aside: Aside = NOTHING_ASIDE


@dataclass(frozen=True, slots=True)
class Holding:
    """What one replica of an attempt that has not ended takes of a node.

    ``id`` is the attempt's, the same for all its replicas; ``name`` is what people call the work.
    ``gpus`` gives the part held of each device (1.0: all of it).
    """

    node: str
    name: str
    cpu: float
    memory: int
    gpus: Mapping[int, float] = field(default_factory=dict)
    id: str = ""
    project: str = ""
    user: str = ""
    spot: bool = False
    since: float = 0.0
    ends_by: float | None = None
    """When it has ended at the latest, where that is known."""
    grace: float = 30.0
    """Seconds that it has to save its state when it is told to go."""
    leaving: bool = False
    """It was told to go; ``ends_by`` says when it has."""
    job: bool = True
    """Whether it counts for a quota of running jobs; else it is interactive."""

    @property
    def bound(self) -> bool:
        """Whether what is set aside is not for it."""
        return self.job and not self.spot


@dataclass(frozen=True, slots=True)
class Quota:
    """The most that a project may hold at one moment; None: no limit."""

    cpu: float | None = None
    memory: int | None = None
    gpu: float | None = None
    running: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """How turns are taken.

    ``used`` and ``used_by`` are the recent use of a project, and of a user in a project, as a share of all
    there is (0 to 1), averaged over the past with exponential decay: see :mod:`.shares`.
    """

    quotas: Mapping[str, Quota] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=dict)
    used: Mapping[str, float] = field(default_factory=dict)
    used_by: Mapping[tuple[str, str], float] = field(default_factory=dict)
    preempt: bool = True


class Seat(NamedTuple):
    """Where one replica starts, and the part it gets of each device."""

    node: str
    gpus: Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why something cannot start yet: a word for machines, a sentence with numbers for people.

    ``starts_by``: the latest time it starts, where limits on time tell; None when nobody knows.
    """

    reason: str
    message: str
    starts_by: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An answer for each demand of the queue: in ``placed`` (a seat per replica) or in ``waiting``.

    ``preempted``: attempts that have to go, each with the id of the demand that it goes for.
    """

    placed: dict[str, list[Seat]] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    preempted: dict[str, str] = field(default_factory=dict)


def occupied(demand: Demand, seats: Sequence[Seat], since: float, ends_by: float | None) -> list[Holding]:
    """What something takes of the machines once it has its seats."""
    shape = demand.lane.shape
    return [
        Holding(
            node=seat.node,
            name=demand.name,
            cpu=shape.cpu,
            memory=shape.memory,
            gpus=seat.gpus,
            id=demand.id,
            project=demand.project,
            user=demand.user,
            spot=demand.lane.spot,
            since=since,
            ends_by=ends_by,
            job=not demand.lane.interactive,
        )
        for seat in seats
    ]
