"""The queue as turns: what is interactive, then the priority class, then the project with the least, then
its user, then age.

Spot work comes after all that is not: else it would start only to be sent away.
"""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterable, Iterator, Sequence, Set
from operator import attrgetter

from nacre.domain.scheduling.model import Demand, Holding, Lane, Machine, Policy
from nacre.domain.scheduling.shares import Shares, Totals


class _User:
    """What one user of a project waits for, in order of age, and the place up to which turns were taken.

    ``lanes``: of each, the number that stands for its lane.
    """

    __slots__ = ("at", "lanes", "name", "row")

    def __init__(self, name: str) -> None:
        self.name = name
        self.row: list[Demand] = []
        self.lanes: list[int] = []
        self.at = 0

    def oldest(self) -> Demand | None:
        return self.row[self.at] if self.at < len(self.row) else None


class _Project:
    """``shut``: the lanes of which no more starts now."""

    __slots__ = ("heap", "name", "shut", "users")

    def __init__(self, name: str) -> None:
        self.name = name
        self.users: dict[str, _User] = {}
        self.heap: list[tuple[float, float, str]] = []
        self.shut: set[int] = set()


class Turns:
    """Hands out, one after the other, the demand whose turn it is, and hears what became of it.

    A turn ends with one of ``started`` (the next turn is by the new shares), ``skipped`` (it waits; the
    user's next is looked at) and ``passed`` (nothing in that lane of that project starts any more).
    """

    def __init__(self, queue: Iterable[Demand], shares: Shares, limited: Container[str] = ()) -> None:
        self._shares = shares
        self._limited = limited
        self._classes: dict[tuple[bool, bool, int], dict[str, _Project]] = {}
        self._numbers: dict[Lane, int] = {}
        """Of the lanes. A long queue is gone through by these: numbers are compared faster."""
        users: dict[tuple[bool, bool, int, str, str], _User] = {}
        # two sorts by plain values: pairs as keys would be a heap of objects, and work for the collector
        for demand in sorted(sorted(queue, key=attrgetter("id")), key=attrgetter("queued_at")):
            lane = demand.lane
            number = self._numbers.get(lane)
            if number is None:
                number = self._numbers[lane] = len(self._numbers)
            key = (lane.interactive, not lane.spot, demand.priority, demand.project, demand.user)
            user = users.get(key)
            if user is None:
                user = users[key] = self._user(*key)
            user.row.append(demand)
            user.lanes.append(number)
        self._heap: list[tuple[float, float, str]] = []
        self._projects: dict[str, _Project] = {}
        self._current: tuple[_Project, _User] | None = None
        self._closed: set[int] = set()

    def _user(self, interactive: bool, lasting: bool, priority: int, project: str, user: str) -> _User:
        projects = self._classes.setdefault((interactive, lasting, priority), {})
        found = projects.get(project)
        if found is None:
            found = projects[project] = _Project(project)
        return found.users.setdefault(user, _User(user))

    def __iter__(self) -> Iterator[Demand]:
        for priority in sorted(self._classes, reverse=True):
            self._projects = self._classes[priority]
            for project in self._projects.values():
                for user in project.users.values():
                    self._push_user(project, user)
                self._push(project)
            while self._heap:
                project = self._projects[self._heap[0][2]]
                user = project.users[project.heap[0][2]]
                oldest = user.oldest()
                if oldest is None or not self._open(project, user.lanes[user.at]):
                    self._advance(project, user)
                    self._next(project, user)
                    continue
                self._current = (project, user)
                yield oldest

    def close(self, lane: Lane) -> None:
        """Nothing in this lane starts any more, of any project that has no limit of its own."""
        self._closed.add(self._numbers[lane])

    def _open(self, project: _Project, lane: int) -> bool:
        return lane not in project.shut and (lane not in self._closed or project.name in self._limited)

    def _advance(self, project: _Project, user: _User) -> None:
        """Go on to the user's next in a lane that is open."""
        lanes, at, shut = user.lanes, user.at, project.shut
        closed: Set[int] = frozenset() if project.name in self._limited else self._closed
        while at < len(lanes) and (lanes[at] in closed or lanes[at] in shut):
            at += 1
        user.at = at

    def _push(self, project: _Project) -> None:
        if project.heap:
            turn = self._shares.project_turn(project.name)
            heapq.heappush(self._heap, (turn, project.heap[0][1], project.name))

    def _push_user(self, project: _Project, user: _User) -> None:
        oldest = user.oldest()
        if oldest is not None:
            turn = self._shares.user_turn(project.name, user.name)
            heapq.heappush(project.heap, (turn, oldest.queued_at, user.name))

    def started(self) -> None:
        """It starts, and counts in the shares already."""
        project, user = self._taken()
        user.at += 1
        self._advance(project, user)
        heapq.heappop(project.heap)
        self._push_user(project, user)
        heapq.heappop(self._heap)
        self._push(project)

    def skipped(self) -> None:
        """It waits; the next like it may have another fate."""
        project, user = self._taken()
        user.at += 1
        self._advance(project, user)
        self._next(project, user)

    def passed(self) -> None:
        """It waits, and so do all like it of this project."""
        project, user = self._taken()
        project.shut.add(user.lanes[user.at])
        self._advance(project, user)
        self._next(project, user)

    def _taken(self) -> tuple[_Project, _User]:
        assert self._current is not None
        return self._current

    def _next(self, project: _Project, user: _User) -> None:
        """The shares are as before; the ages behind them are not."""
        oldest = user.oldest()
        if oldest is None:
            heapq.heappop(project.heap)
        else:
            heapq.heapreplace(project.heap, (project.heap[0][0], oldest.queued_at, user.name))
        if project.heap:
            heapq.heapreplace(self._heap, (self._heap[0][0], project.heap[0][1], project.name))
        else:
            heapq.heappop(self._heap)


def line(
    queue: Iterable[Demand],
    machines: Sequence[Machine],
    holdings: Iterable[Holding],
    policy: Policy,
    most: int | None = None,
) -> list[Demand]:
    """The queue in the order of turns, as if each started when its turn comes and none ended.

    ``most``: only the first ones.
    """
    shares = Shares(Totals(machines), policy, holdings)
    turns = Turns(queue, shares)
    order: list[Demand] = []
    for demand in turns:
        if len(order) == most:
            break
        order.append(demand)
        shares.start(demand, demand.lane.replicas)
        turns.started()
    return order
