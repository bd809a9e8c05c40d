"""An engine for tests whose machines and launchers exist only in memory, and which fails on command."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, replace

from nacre.errors import NotFound, Unavailable
from nacre.ports.engines import Engine, Handle, NodeFacts, Observed
from nacre.schema.launch import LaunchSpec

GIB = 2**30

NOTHING = Observed(launcher=False, work=False, exited=False, done=False)
GOING = Observed(launcher=True, work=True, exited=False, done=False)

Key = tuple[str, int]
"""Attempt and rank."""


@dataclass
class FakeLaunch:
    """What the fake engine knows of one replica."""

    spec: LaunchSpec
    seen: Observed = GOING
    launches: int = 0
    """How often the engine was asked to launch it."""
    adoptions: int = 0
    stops: int = 0
    output_kept: bool = False


class FirstReplicas(MutableMapping[str, FakeLaunch]):
    """The replicas of rank 0, by attempt: all that there is of attempts without a gang."""

    def __init__(self, replicas: dict[Key, FakeLaunch]) -> None:
        self._replicas = replicas

    def __getitem__(self, attempt: str) -> FakeLaunch:
        return self._replicas[attempt, 0]

    def __setitem__(self, attempt: str, launch: FakeLaunch) -> None:
        self._replicas[attempt, 0] = launch

    def __delitem__(self, attempt: str) -> None:
        del self._replicas[attempt, 0]

    def __iter__(self) -> Iterator[str]:
        return (attempt for attempt, rank in list(self._replicas) if rank == 0)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class FakeEngine(Engine):
    """Machines and launchers that exist only in memory.

    ``replicas`` has what is there by attempt and rank, ``launched`` the first of each attempt.
    ``fail(method, error)`` makes the next call of a method raise; ``down`` makes every call raise;
    ``see(attempt_id, …)`` changes what is observed; ``lose(attempt_id)`` takes away everything that there
    is. The latter two are for all replicas of the attempt unless a rank is given.
    """

    def __init__(self, nodes: list[NodeFacts] | None = None) -> None:
        self.machines = nodes if nodes is not None else [NodeFacts("local", 4.0, 8 * GIB)]
        self.replicas: dict[Key, FakeLaunch] = {}
        self.launched = FirstReplicas(self.replicas)
        self.forgotten: list[str] = []
        self.down = False
        self._failures: list[tuple[str, int | None, BaseException]] = []

    def fail(self, method: str, error: BaseException, times: int = 1, rank: int | None = None) -> None:
        """Make the next ``times`` calls of ``method``, or those for one rank, raise ``error``."""
        self._failures += [(method, rank, error)] * times

    def heal(self) -> None:
        """Nothing fails any more."""
        self.down = False
        self._failures.clear()

    def see(self, attempt_id: str, rank: int | None = None, **fields: bool) -> None:
        """Change what is observed of an attempt: launcher, work, exited, done."""
        for launch in self.of(attempt_id, rank).values():
            launch.seen = replace(launch.seen, **fields)

    def lose(self, attempt_id: str, rank: int | None = None) -> None:
        """Nothing is left of the attempt."""
        for key in self.of(attempt_id, rank):
            del self.replicas[key]

    def of(self, attempt_id: str, rank: int | None = None) -> dict[Key, FakeLaunch]:
        """The replicas of an attempt. Raises KeyError when there is none."""
        found = {
            key: launch
            for key, launch in self.replicas.items()
            if key[0] == attempt_id and rank in (None, key[1])
        }
        if not found:
            raise KeyError(attempt_id)
        return found

    def _call(self, method: str, handle: Handle | None = None) -> None:
        if self.down:
            raise unavailable()
        for at, (failing, rank, error) in enumerate(self._failures):
            if failing == method and rank in (None, (handle or {}).get("rank")):
                del self._failures[at]
                raise error

    def _find(self, handle: Handle) -> FakeLaunch | None:
        return self.replicas.get(_key(handle))

    def nodes(self) -> list[NodeFacts]:
        self._call("nodes")
        return self.machines

    def handle(self, spec: LaunchSpec) -> Handle:
        return {"attempt": spec.attempt_id, "rank": spec.rank}

    def launch(self, spec: LaunchSpec, handle: Handle) -> None:
        self._call("launch", handle)
        self.replicas.setdefault(_key(handle), FakeLaunch(spec)).launches += 1

    def observe(self, handle: Handle) -> Observed:
        self._call("observe", handle)
        launch = self._find(handle)
        return launch.seen if launch else NOTHING

    def adopt(self, handle: Handle) -> None:
        self._call("adopt", handle)
        launch = self._find(handle)
        if launch is None:
            raise NotFound("nothing is left of it")
        if not launch.seen.launcher:
            launch.adoptions += 1
            launch.seen = replace(launch.seen, launcher=True)

    def stop(self, handle: Handle) -> None:
        self._call("stop", handle)
        launch = self._find(handle)
        if launch is not None:
            launch.stops += 1

    def forget(self, handle: Handle, *, everything: bool = False) -> None:
        self._call("forget", handle)
        launch = self._find(handle)
        if launch is not None and launch.output_kept and not everything:
            return
        self.replicas.pop(_key(handle), None)
        self.forgotten.append(handle["attempt"])

    def leftovers(self) -> list[tuple[str, Handle]]:
        self._call("leftovers")
        return [(launch.spec.attempt_id, self.handle(launch.spec)) for launch in self.replicas.values()]

    def socket(self, handle: Handle, name: str) -> str:
        return f"/fake/{handle['attempt']}/{handle['rank']}/{name}"


def _key(handle: Handle) -> Key:
    return handle["attempt"], handle["rank"]


def unavailable(what: str = "the engine") -> Unavailable:
    """An error for :meth:`FakeEngine.fail`: nobody can tell now."""
    return Unavailable(f"{what} cannot tell now")
