"""The replicas of endpoints: how many a revision has, which of them answer, and how each comes and goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.endpoints import EndpointReplicaRow, EndpointRow, RevisionRow
from nacre.db.tables.environments import EnvironmentRow
from nacre.db.tables.models import ModelVersionRow
from nacre.db.tables.projects import ProjectRow
from nacre.domain.autoscaling import MOST_FAILURES
from nacre.domain.traffic import WORSE
from nacre.errors import NacreError, NotFound
from nacre.ids import new_id
from nacre.schema.endpoints import EndpointReplica, EndpointSettings, ReplicaState, Scaling
from nacre.schema.environments import EnvironmentState
from nacre.schema.serving import ServedReplica
from nacre.services.attempts import Attempts
from nacre.services.endpoint_launch import TIMEOUT_S, EndpointLaunches, grace_s
from nacre.services.endpoint_leftovers import EndpointLeftovers
from nacre.services.endpoint_steps import GIVEN_UP, HUNG, Steps, ended_at, failures
from nacre.services.endpoint_steps import steps as steps_of
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.prices import Prices
from nacre.services.signals import Signals

TOPIC = "endpoints"
STARTING, READY, FAILED = "starting", "ready", "failed"
"""States of a revision; the fourth is ``retired``."""
SCALED_DOWN, REPLACED, NOT_READY = "scaled_down", "replaced", "not_ready"
REPLICAS_FAILED = "replicas_failed"
_HUNG_GRACE_S = 2.0
"""From SIGTERM to SIGKILL: what a hung replica has under way is lost in any case."""


@dataclass(frozen=True)
class Group:
    """A revision of runtime ``replicas`` and its replicas, as the loop needs them.

    ``key``: ``project/endpoint``. ``used``: whether requests or copies of them go to it, or shall.
    ``traffic``: the share of the requests that it shall have, ``served``: the one that it has.
    ``rows``: those that live or failed.
    """

    endpoint_id: str
    key: str
    number: int
    state: str
    traffic: int
    served: int
    used: bool
    wanted: int
    idle_since: datetime | None
    scaling: Scaling
    timeout_s: float
    rows: Sequence[EndpointReplicaRow]

    def of(self, *states: ReplicaState) -> list[EndpointReplicaRow]:
        """Replicas in these states, oldest first."""
        return [row for row in self.rows if row.state in states]


@dataclass(frozen=True)
class Starting:
    """A replica that was launched and does not answer yet."""

    id: str
    attempt_id: str
    socket: str
    placed_at: datetime


class EndpointReplicas:
    """The only writer of replicas, but for their placement (``EndpointQueue``) and their end
    (``EndpointLaunches``). Topics after commits: ``endpoints``, ``attempts``."""

    def __init__(
        self,
        *,
        db: Database,
        clock: Clock,
        signals: Signals,
        attempts: Attempts,
        launches: EndpointLaunches,
        environments: EnvironmentCatalogue,
        prices: Prices,
    ) -> None:
        self._db = db
        self._clock = clock
        self._signals = signals
        self._attempts = attempts
        self._launches = launches
        self._environments = environments
        self._prices = prices
        self.leftovers = EndpointLeftovers(db, clock, signals, attempts)
        environments.guard(_uses)

    # What there is

    def ready_sockets(self, session: Session, endpoint_id: str, revision: int) -> list[ServedReplica]:
        """The replicas of a revision that answer, and where; what drains is not among them."""
        rows = session.execute(
            select(EndpointReplicaRow.id, ReplicaRow.handle)
            .join(ReplicaRow, ReplicaRow.attempt_id == EndpointReplicaRow.attempt_id)
            .where(
                EndpointReplicaRow.endpoint_id == endpoint_id,
                EndpointReplicaRow.revision == revision,
                EndpointReplicaRow.state == ReplicaState.READY,
            )
            .order_by(EndpointReplicaRow.id)
        )
        return [ServedReplica(id=name, socket=self._launches.socket(handle)) for name, handle in rows]

    def shown(self, session: Session, endpoint_id: str) -> dict[int, list[EndpointReplica]]:
        """By revision: the replicas that live, oldest first, and then the one that failed last."""
        rows = session.execute(
            select(EndpointReplicaRow, ReplicaRow.node)
            .outerjoin(ReplicaRow, ReplicaRow.attempt_id == EndpointReplicaRow.attempt_id)
            .where(
                EndpointReplicaRow.endpoint_id == endpoint_id,
                EndpointReplicaRow.state != ReplicaState.STOPPED,
            )
            .order_by(EndpointReplicaRow.id)
        )
        found: dict[int, list[EndpointReplica]] = {}
        failed: dict[int, EndpointReplica] = {}
        for row, node in rows:
            wire = replica_wire(row, node)
            if row.state == ReplicaState.FAILED:
                failed[row.revision] = wire
            else:
                found.setdefault(row.revision, []).append(wire)
        for number, last in failed.items():
            found.setdefault(number, []).append(last)
        return found

    def groups(self) -> list[Group]:
        """Every revision of replicas that is not over, or of which something is left."""
        living = select(EndpointReplicaRow.endpoint_id).where(EndpointReplicaRow.ended_at.is_(None))
        with self._db.read() as session:
            revisions = session.execute(
                select(RevisionRow, EndpointRow, ProjectRow.name)
                .join(EndpointRow, EndpointRow.id == RevisionRow.endpoint_id)
                .join(ProjectRow, ProjectRow.id == EndpointRow.project_id)
                .where(
                    RevisionRow.runtime == "replicas",
                    or_(RevisionRow.state.in_((STARTING, READY)), RevisionRow.endpoint_id.in_(living)),
                )
                .order_by(RevisionRow.endpoint_id, RevisionRow.number)
            ).all()
            rows = _replicas(session, {found[0].endpoint_id for found in revisions})
        found = []
        for revision, endpoint, project in revisions:
            mine = rows.get((revision.endpoint_id, revision.number), [])
            over = revision.state not in (STARTING, READY)
            if over and all(row.ended_at for row in mine):
                continue
            settings = EndpointSettings.model_validate(endpoint.settings)
            found.append(
                Group(
                    endpoint_id=endpoint.id,
                    key=f"{project}/{endpoint.name}",
                    number=revision.number,
                    state=revision.state,
                    traffic=revision.traffic,
                    served=revision.served,
                    used=_used(revision),
                    wanted=revision.wanted,
                    idle_since=revision.idle_since,
                    scaling=Scaling.model_validate(endpoint.scaling),
                    timeout_s=settings.timeout_s or TIMEOUT_S,
                    rows=mine,
                )
            )
        return found

    def starting(
        self, groups: Sequence[Group], state: ReplicaState = ReplicaState.STARTING
    ) -> list[Starting]:
        """Those that were launched and do not answer yet, or are in another state, and live."""
        ids = [row.attempt_id for group in groups for row in group.of(state)]
        with self._db.read() as session:
            rows = session.execute(
                select(AttemptRow.subject_id, AttemptRow.id, AttemptRow.allocated_at, ReplicaRow.handle)
                .join(ReplicaRow, ReplicaRow.attempt_id == AttemptRow.id)
                .where(AttemptRow.id.in_(ids), AttemptRow.ended_at.is_(None))
            ).all()
        return [
            Starting(row.subject_id, row.id, self._launches.socket(row.handle), row.allocated_at)
            for row in rows
        ]

    # How many

    def scale(self, group: Group, wanted: int, idle_since: datetime | None) -> None:
        """Keep how many replicas a revision shall have, and since when nobody has asked it."""
        if (wanted, idle_since) == (group.wanted, group.idle_since):
            return
        with self._db.write() as session:
            row = session.get(RevisionRow, (group.endpoint_id, group.number), with_for_update=True)
            if row is not None and row.state == group.state:
                row.wanted, row.idle_since = wanted, idle_since
        if wanted != group.wanted:
            self._signals.notify("serving")

    def reconcile(self, group: Group, wanted: int) -> bool:
        """Make replicas, or begin to end them, until there are as many as wanted; whether any was to be."""
        if steps_of(group.rows, wanted, self._clock.now()) == Steps():
            return False
        with self._db.write() as session:
            revision = session.get(RevisionRow, (group.endpoint_id, group.number), with_for_update=True)
            if revision is None or revision.state != group.state:
                return False
            rows = _replicas(session, {group.endpoint_id}).get((group.endpoint_id, group.number), [])
            steps = steps_of(rows, wanted, self._clock.now())
            if steps.give_up:
                failed = max(failures(rows), key=ended_at)
                message = f"{MOST_FAILURES} replicas in a row did not start; the last one: {failed.message}"
                self._give_up(revision, rows, failed.reason or REPLICAS_FAILED, message)
            else:
                try:
                    self._make(session, revision, steps.make)
                except NacreError as error:  # no such type, no such environment: trying again is no use
                    self._give_up(revision, rows, REPLICAS_FAILED, error.detail)
            for row in steps.drop:
                self._drop(session, row, REPLACED if not group.used else SCALED_DOWN)
        self._signals.notify(TOPIC, "attempts")
        return True

    def _make(self, session: Session, revision: RevisionRow, count: int) -> None:
        if count <= 0:
            return
        now = self._clock.now()
        endpoint = session.get_one(EndpointRow, revision.endpoint_id)
        version = session.get_one(ModelVersionRow, revision.version_id)
        shape = self._prices.type(revision.type or endpoint.type)
        environment = self._environment(session, endpoint.project_id, version)
        for _ in range(count):
            session.add(
                EndpointReplicaRow(
                    id=new_id("epr"),
                    project_id=endpoint.project_id,
                    endpoint_id=endpoint.id,
                    revision=revision.number,
                    state=ReplicaState.QUEUED,
                    cpu=shape.cpu,
                    memory=shape.memory,
                    gpu=shape.gpu,
                    gpu_name=shape.gpu_name,
                    price_per_hour=shape.price_per_hour,
                    environment_id=environment,
                    created_at=now,
                    queued_at=now,
                )
            )

    def _environment(self, session: Session, project_id: str, version: ModelVersionRow) -> str:
        """The one that the version was converted in, or else the one that it was trained in."""
        known = session.get(EnvironmentRow, version.environment_id) if version.environment_id else None
        if known is None:
            trained = version.lineage.get("environment")
            if not trained:
                raise NotFound("nothing tells the model's environment: register it with --environment NAME")
            return self._environments.ensure(session, project_id, trained)
        if known.state == EnvironmentState.FAILED and known.base_id is not None:
            return self._environments.ensure(session, project_id, known.base_id)
        return self._environments.ensure(session, project_id, known.id)

    def _drop(self, session: Session, row: EndpointReplicaRow, reason: str) -> None:
        """Take it out of the routes; it is stopped once they are known."""
        now = self._clock.now()
        if row.state == ReplicaState.QUEUED:
            session.delete(row)  # nothing of it was ever anywhere
            return
        if row.state == ReplicaState.STARTING and row.attempt_id is not None:
            self._attempts.stop(session, row.attempt_id, reason)
        row.state, row.stop_reason, row.drained_at = ReplicaState.DRAINING, reason, now
        row.reason, row.message = reason, None

    def _give_up(
        self, revision: RevisionRow, rows: Sequence[EndpointReplicaRow], reason: str, message: str
    ) -> None:
        """The revision has failed; another start of it begins to count anew."""
        revision.state, revision.reason, revision.message, revision.wanted = FAILED, reason, message, 0
        for row in rows:
            if row.state == ReplicaState.FAILED:
                row.stop_reason = GIVEN_UP

    # Each replica

    def ready(self, found: Starting) -> None:
        """It answers: from now on it is among :meth:`ready_sockets`."""
        with self._db.write() as session:
            row = self._same(session, found)
            if row is None:
                return
            row.state, row.reason, row.message = ReplicaState.READY, None, None
            row.ready_at = row.ready_at or self._clock.now()
        self._signals.notify(TOPIC)

    def missing(self, found: Starting) -> None:
        """Nobody listens where it answered: it leaves the routes until it does, or has ended."""
        with self._db.write() as session:
            row = session.get(EndpointReplicaRow, found.id, with_for_update=True)
            if row is None or row.state != ReplicaState.READY or row.attempt_id != found.attempt_id:
                return
            row.state, row.message = ReplicaState.STARTING, "it is looked for"
        self._signals.notify(TOPIC)

    def not_ready(self, found: Starting, message: str) -> None:
        """It did not come up: it is stopped, and will have failed."""
        with self._db.write() as session:
            row = self._same(session, found)
            if row is None or row.stop_reason is not None:
                return
            row.stop_reason, row.message = NOT_READY, message
            self._attempts.stop(session, found.attempt_id, NOT_READY)
        self._signals.notify("attempts")

    def hung(self, found: EndpointReplicaRow, message: str) -> None:
        """It answers nothing any more: it leaves the routes, is ended, and will have failed."""
        with self._db.write() as session:
            row = session.get(EndpointReplicaRow, found.id, with_for_update=True)
            if row is None or row.state != ReplicaState.READY or row.attempt_id is None:
                return
            row.state, row.stop_reason, row.drained_at = ReplicaState.DRAINING, HUNG, self._clock.now()
            row.reason, row.message = HUNG, f"the replica hung: {message}"
            self._attempts.stop(session, row.attempt_id, HUNG, grace_s=_HUNG_GRACE_S)
        self._signals.notify(TOPIC, "attempts")

    def _same(self, session: Session, found: Starting) -> EndpointReplicaRow | None:
        """The row, if it still starts with that attempt."""
        row = session.get(EndpointReplicaRow, found.id, with_for_update=True)
        if row is None or row.state != ReplicaState.STARTING or row.attempt_id != found.attempt_id:
            return None
        return row

    def end(self, group: Group, drained: Sequence[EndpointReplicaRow]) -> None:
        """Stop replicas that get nothing new any more: they finish what is under way."""
        if not drained:
            return
        grace = grace_s(group.timeout_s)
        with self._db.write() as session:
            told = [
                self._attempts.stop(session, row.attempt_id, row.stop_reason or SCALED_DOWN, grace_s=grace)
                for row in drained
                if row.attempt_id is not None
            ]
        if any(told):
            self._signals.notify("attempts")


def _replicas(session: Session, endpoint_ids: set[str]) -> dict[tuple[str, int], list[EndpointReplicaRow]]:
    """Those that live or have failed, by endpoint and revision, oldest first."""
    found: dict[tuple[str, int], list[EndpointReplicaRow]] = {}
    for row in session.scalars(
        select(EndpointReplicaRow)
        .where(
            EndpointReplicaRow.endpoint_id.in_(endpoint_ids),
            or_(EndpointReplicaRow.ended_at.is_(None), EndpointReplicaRow.state == ReplicaState.FAILED),
        )
        .order_by(EndpointReplicaRow.created_at, EndpointReplicaRow.id)
    ):
        found.setdefault((row.endpoint_id, row.revision), []).append(row)
    return found


def _used(revision: RevisionRow) -> bool:
    if revision.state == STARTING:
        return True
    if revision.state == FAILED and revision.reason in WORSE:
        return revision.served > 0  # it answers until others do
    return revision.state == READY and max(revision.traffic, revision.shadow, revision.served) > 0


def _uses(session: Session, environment_id: str) -> str | None:
    """Which endpoint a living replica of this environment belongs to."""
    name = session.scalars(
        select(EndpointRow.name)
        .join(EndpointReplicaRow, EndpointReplicaRow.endpoint_id == EndpointRow.id)
        .where(EndpointReplicaRow.environment_id == environment_id, EndpointReplicaRow.ended_at.is_(None))
        .limit(1)
    ).first()
    return None if name is None else f"endpoint {name}"


def replica_wire(row: EndpointReplicaRow, node: str | None) -> EndpointReplica:
    """A replica as the API shows it."""
    cold = None if row.ready_at is None else (row.ready_at - row.created_at).total_seconds()
    return EndpointReplica(
        id=row.id,
        revision=row.revision,
        state=ReplicaState(row.state),
        reason=row.reason,
        message=row.message,
        node=node,
        created_at=row.created_at,
        ready_at=row.ready_at,
        ended_at=row.ended_at,
        cold_start_s=cold,
    )
