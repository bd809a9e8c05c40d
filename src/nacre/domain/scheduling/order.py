"""The queue as turns: priority class, then the project with the least, then its user, then age.

Spot work comes after all that is not: else it would start only to be sent away.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from nacre.domain.scheduling.model import Demand, Holding, Lane, Machine, Policy
from nacre.domain.scheduling.shares import Shares, Totals


class _User:
    """What one user of a project waits for, in lanes; each lane in order of age."""

    __slots__ = ("heap", "lanes", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.lanes: dict[Lane, deque[Demand]] = {}
        self.heap: list[tuple[float, str, Lane]] = []

    def add(self, demand: Demand) -> None:
        self.lanes.setdefault(demand.lane, deque()).append(demand)

    def ready(self) -> None:
        self.heap = [(row[0].queued_at, row[0].id, lane) for lane, row in self.lanes.items()]
        heapq.heapify(self.heap)

    def oldest(self) -> Demand | None:
        return self.lanes[self.heap[0][2]][0] if self.heap else None

    def drop(self) -> deque[Demand]:
        """Take the whole lane of the oldest out."""
        _, _, lane = heapq.heappop(self.heap)
        return self.lanes.pop(lane)

    def drop_where(self, full: Callable[[Lane], bool]) -> list[tuple[Lane, deque[Demand]]]:
        """Take every lane out of which that holds."""
        gone = [(lane, self.lanes.pop(lane)) for _, _, lane in self.heap if full(lane)]
        if gone:
            self.heap = [entry for entry in self.heap if entry[2] in self.lanes]
            heapq.heapify(self.heap)
        return gone

    def pop(self) -> None:
        """Take the oldest out."""
        _, _, lane = self.heap[0]
        row = self.lanes[lane]
        row.popleft()
        if row:
            heapq.heapreplace(self.heap, (row[0].queued_at, row[0].id, lane))
        else:
            heapq.heappop(self.heap)
            del self.lanes[lane]


class _Project:
    __slots__ = ("heap", "name", "users")

    def __init__(self, name: str) -> None:
        self.name = name
        self.users: dict[str, _User] = {}
        self.heap: list[tuple[float, float, str]] = []

    def add(self, demand: Demand) -> None:
        user = self.users.get(demand.user)
        if user is None:
            user = self.users[demand.user] = _User(demand.user)
        user.add(demand)


class Turns:
    """Hands out, one after the other, the demand whose turn it is, and hears what became of it.

    A turn ends with one of ``started`` (the next turn is by the new shares), ``skipped`` (it waits; the
    user's next is looked at) and ``passed`` (all in the lane of that user wait).
    """

    def __init__(self, queue: Iterable[Demand], shares: Shares) -> None:
        self._shares = shares
        self._classes: dict[tuple[bool, int], dict[str, _Project]] = {}
        for demand in sorted(queue, key=_age):
            projects = self._classes.setdefault((not demand.lane.spot, demand.priority), {})
            project = projects.get(demand.project)
            if project is None:
                project = projects[demand.project] = _Project(demand.project)
            project.add(demand)
        self._priorities = sorted(self._classes, reverse=True)
        self._heap: list[tuple[float, float, str]] = []
        self._projects: dict[str, _Project] = {}
        self._current: tuple[_Project, _User] | None = None

    def __iter__(self) -> Iterator[Demand]:
        for priority in self._priorities:
            self._projects = self._classes[priority]
            for project in self._projects.values():
                for user in project.users.values():
                    user.ready()
                    self._push_user(project, user)
                self._push(project)
            while self._heap:
                project = self._projects[self._heap[0][2]]
                user = project.users[project.heap[0][2]]
                self._current = (project, user)
                oldest = user.oldest()
                assert oldest is not None
                yield oldest

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
        user.pop()
        heapq.heappop(project.heap)
        self._push_user(project, user)
        heapq.heappop(self._heap)
        self._push(project)

    def skipped(self) -> None:
        """It waits; the next like it may have another fate."""
        project, user = self._taken()
        user.pop()
        self._next(project, user)

    def passed(self) -> list[str]:
        """It waits, and so do all like it of this user: their ids."""
        project, user = self._taken()
        waiting = [demand.id for demand in user.drop()]
        self._next(project, user)
        return waiting

    def passed_where(self, full: Callable[[Lane], bool]) -> list[tuple[Lane, list[str]]]:
        """All of this user wait that are in a lane of which that holds: the lanes, and the ids in them."""
        project, user = self._taken()
        gone = [(lane, [demand.id for demand in row]) for lane, row in user.drop_where(full)]
        self._next(project, user)
        return gone

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
    queue: Iterable[Demand], machines: Sequence[Machine], holdings: Iterable[Holding], policy: Policy
) -> list[Demand]:
    """The queue in the order of turns, as if each started when its turn comes and none ended."""
    shares = Shares(Totals(machines), policy, holdings)
    turns = Turns(queue, shares)
    order = []
    for demand in turns:
        order.append(demand)
        lane = demand.lane
        shares.start(demand.project, demand.user, demand.id, lane.shape, lane.replicas)
        turns.started()
    return order


def _age(demand: Demand) -> tuple[float, str]:
    return demand.queued_at, demand.id
