"""Lineage, read from what jobs, runs, models, evaluations and endpoints record of their making."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from nacre.db.connect import Database
from nacre.db.queries import lineage as links
from nacre.db.queries.lineage import Node
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.lineage import LineageGraph, LineageKind, LineageNode

MAX_NODES = 200
_FORM = "write data:NAME/3, job:NAME, run:ID, model:NAME/2, endpoint:NAME or environment:NAME"


class Lineages:
    """Operations of ``lineage``. It writes nothing."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def get(self, caller: Caller, subject: str) -> LineageGraph:
        """What the subject came from, and from that what it came from, and so on; and likewise what came of
        it. ``MAX_NODES`` nodes at most.

        Args:
            subject: ``KIND:NAME``; of data and models ``NAME/3`` is one version, ``NAME`` all of them.

        Raises:
            NotFound: no such thing.
            InvalidSpec: it is none of that form.
        """
        kind, _, name = subject.partition(":")
        if kind not in [str(one) for one in LineageKind] or not name:
            raise InvalidSpec(f"{subject[:200]!r} is no subject: {_FORM}", subject=subject[:200])
        with self._db.read() as session:
            nodes = links.find(session, caller.project_id, LineageKind(kind), name, MAX_NODES + 1)
            if not nodes:
                raise NotFound(f"there is no {kind} {name[:200]!r} in this project", subject=subject[:200])
            walk = _Walk(session, caller.project_id)
            walk.start(nodes)
            walk.back()
            walk.forth()
            walk.beside()
            labelled = links.describe(session, caller.project_id, walk.nodes.values())
        return LineageGraph(
            subject=walk.subject,
            nodes=[_wire(labelled[node]) for node in sorted(labelled)],
            edges=sorted(walk.edges),
            cut=walk.cut,
        )


@dataclass
class _Walk:
    """One breadth-first walk each way; a node once met is kept in both."""

    session: Session
    project_id: str
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: set[tuple[str, str]] = field(default_factory=set)
    subject: list[str] = field(default_factory=list)
    cut: bool = False

    def start(self, found: list[Node]) -> None:
        self.subject = [node.id for node in found if self._take(node)]

    def back(self) -> None:
        """To what things were made from."""
        reached = [self.nodes[one] for one in self.subject]
        done: set[str] = set()
        while reached:
            done |= {node.id for node in reached}
            pairs = links.sources(self.session, self.project_id, reached, self._limit())
            reached = self._join(pairs, new_first=True, done=done)

    def forth(self) -> None:
        """To what was made from things."""
        reached = [self.nodes[one] for one in self.subject]
        done: set[str] = set()
        while reached:
            done |= {node.id for node in reached}
            pairs = links.results(self.session, self.project_id, reached, self._limit())
            reached = self._join(pairs, new_first=False, done=done)

    def beside(self) -> None:
        """What evaluations were made on and of, though it be no ancestor."""
        mine = [node for node in self.nodes.values() if node.kind is LineageKind.EVALUATION]
        self._join(
            links.sources(self.session, self.project_id, mine, self._limit()), new_first=True, done=set()
        )

    def _limit(self) -> int:
        return MAX_NODES + 1

    def _join(self, pairs: Iterable[tuple[Node, Node]], *, new_first: bool, done: set[str]) -> list[Node]:
        """Add edges (from, to); the nodes that were reached by them and not walked from yet."""
        reached: dict[str, Node] = {}
        for first, second in pairs:
            new = first if new_first else second
            if not self._take(new):
                continue
            self.edges.add((first.id, second.id))
            if new.id not in done:
                reached[new.id] = new
        return list(reached.values())

    def _take(self, node: Node) -> bool:
        if node.id not in self.nodes and len(self.nodes) >= MAX_NODES:
            self.cut = True
            return False
        self.nodes.setdefault(node.id, node)
        return True


def _wire(node: Node) -> LineageNode:
    return LineageNode(
        id=node.id,
        kind=node.kind,
        name=node.name,
        version=node.version,
        label=node.label,
        state=node.state,
    )
