"""Nodes and instance types: what the machines have, what is taken, which shapes fit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.usage import UsageRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller
from nacre.ports.engines import NodeFacts
from nacre.schema.base import Page
from nacre.schema.resources import InstanceType, Node, NodeWork
from nacre.services.prices import Prices
from nacre.services.usage import visible


class Holding(Protocol):
    """What one attempt holds of a node. ``gpus``: the part of each device, by its index."""

    @property
    def node(self) -> str: ...
    @property
    def cpu(self) -> float: ...
    @property
    def memory(self) -> int: ...
    @property
    def gpus(self) -> Mapping[int, float]: ...


@dataclass
class _Taken:
    cpu: float = 0.0
    memory: int = 0
    gpus: dict[int, float] = field(default_factory=dict)


class Nodes:
    """``nodes`` tells the machines with their totals, ``capacity`` what attempts hold of them."""

    def __init__(
        self,
        db: Database,
        nodes: Callable[[], list[NodeFacts]],
        capacity: Callable[[Session], Iterable[Holding]],
        prices: Prices,
    ) -> None:
        self._db = db
        self._nodes = nodes
        self._capacity = capacity
        self._prices = prices

    def list(self, caller: Caller) -> Page[Node]:
        """Every machine. One on which attempts still count, but which the engine lost, is not alive."""
        there = {facts.name: facts for facts in self._nodes()}
        with self._db.read() as session:
            taken = _by_node(self._capacity(session))
            work = _work(session, caller)
        items = [_node(facts, taken.get(name, _Taken())) for name, facts in there.items()]
        items += [_lost(name, held) for name, held in taken.items() if name not in there]
        items = [node.model_copy(update={"work": work.get(node.name, [])}) for node in items]
        return Page(items=sorted(items, key=lambda node: node.name))

    def instance_types(self, caller: Caller) -> Page[InstanceType]:
        """Every named shape with its price, and whether any of the machines could ever hold it."""
        there = self._nodes()
        return Page(
            items=[
                shape.model_copy(update={"available": any(fits(shape, facts) for facts in there)})
                for shape in self._prices.types()
            ]
        )


def fits(shape: InstanceType, facts: NodeFacts) -> bool:
    """Whether a machine could hold the shape if it were empty."""
    gpus = [name for name in facts.gpus if not shape.gpu_name or shape.gpu_name.lower() in name.lower()]
    return shape.cpu <= facts.cpu and shape.memory <= facts.memory and shape.gpu <= len(gpus)


def _by_node(holdings: Iterable[Holding]) -> dict[str, _Taken]:
    taken: dict[str, _Taken] = {}
    for holding in holdings:
        node = taken.setdefault(holding.node, _Taken())
        node.cpu += holding.cpu
        node.memory += holding.memory
        for index, part in holding.gpus.items():
            node.gpus[index] = round(node.gpus.get(index, 0.0) + part, 6)
    return taken


def _work(session: Session, caller: Caller) -> dict[str, list[NodeWork]]:
    """By node, what holds something of it and the caller may see; what holds it longest is first."""
    rows = session.execute(
        select(AttemptRow, ReplicaRow, UsageRow, ProjectRow.name, UserRow.name)
        .join(ReplicaRow, ReplicaRow.attempt_id == AttemptRow.id)
        .join(UsageRow, UsageRow.allocation_id == AttemptRow.id)
        .join(ProjectRow, ProjectRow.id == UsageRow.project_id)
        .outerjoin(UserRow, UserRow.id == UsageRow.user_id)
        .where(AttemptRow.ended_at.is_(None), *visible(caller))
        .options(selectinload(AttemptRow.replicas))
        .order_by(AttemptRow.id, ReplicaRow.rank)
    )
    found: dict[str, list[NodeWork]] = {}
    for attempt, replica, usage, project, user in rows:
        work = NodeWork(
            project=project,
            kind=attempt.kind,
            name=usage.subject_name,
            user=user or usage.user_id,
            cpu=attempt.cpu,
            memory=attempt.memory,
            gpus={int(index): part for index, part in replica.gpus.items()},
            price_per_hour=usage.price_per_hour // len(attempt.replicas),
            since=usage.started_at,
        )
        found.setdefault(replica.node, []).append(work)
    return found


def _node(facts: NodeFacts, held: _Taken) -> Node:
    return Node(
        name=facts.name,
        cpu=facts.cpu,
        memory=facts.memory,
        gpus=facts.gpus,
        cpu_used=held.cpu,
        memory_used=held.memory,
        gpus_used=held.gpus,
        isolation=facts.isolation,
    )


def _lost(name: str, held: _Taken) -> Node:
    return Node(
        name=name,
        cpu=0,
        memory=0,
        cpu_used=held.cpu,
        memory_used=held.memory,
        gpus_used=held.gpus,
        isolation="unknown",
        alive=False,
    )
