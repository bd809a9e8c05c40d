"""Endpoints whose replicas are processes, over the world of jobs: a fake engine, a model server that says
what a test sets, replicas that greet when a test lets them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import select
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.control.endpoint_replicas import EndpointReplicaLoop
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.endpoints import EndpointReplicaRow, EndpointRow, RevisionRow
from nacre.db.tables.models import ModelRow, ModelVersionRow
from nacre.db.tables.usage import UsageRow
from nacre.ids import new_id
from nacre.ports.engines import NodeFacts
from nacre.schema.endpoints import EndpointReplica, EndpointState, Scaling
from nacre.schema.launch import SandboxMode
from nacre.schema.serving import ServedRevisionState, ServedState, ServingStatus
from nacre.testing.engines import GIB, FakeEngine
from nacre.testing.jobs import JobsWorld

MANIFEST = "ab" * 32
KEY = "vision/digits"


class ReplicasWorld:
    """One server's services. ``greeting``: whether replicas that run answer; ``listening``: whether those
    of before a restart still listen; ``told`` is what the model server says of each revision, null when it
    is away."""

    def __init__(
        self,
        database: Database,
        clock: FixedClock,
        people: People,
        folder: Path,
        engine: FakeEngine | None = None,
    ) -> None:
        machine = NodeFacts("local", 8.0, 32 * GIB, gpus=["NVIDIA H200"], sandbox=SandboxMode.BWRAP_USER)
        self.jobs = JobsWorld(database, clock, folder, engine or FakeEngine([machine]))
        self.db, self.clock, self.people, self.engine = database, clock, people, self.jobs.engine
        self.replicas = self.jobs.endpoint_replicas
        self.greeting = True
        self.listening = True
        self.told: dict[int, ServedRevisionState] | None = {}
        self.loop = EndpointReplicaLoop(
            self.replicas,
            self.jobs.endpoint_queue,
            self.observe,
            clock,
            lambda: self.jobs.seconds,
            lambda _: self.greeting,
            lambda _: self.listening,
        )

    def restarted(self) -> ReplicasWorld:
        """The server after it was killed."""
        world = ReplicasWorld(self.db, self.clock, self.people, self.jobs.folder, self.engine)
        world.told, world.endpoint_id = self.told, self.endpoint_id
        return world

    def observe(self) -> ServingStatus | None:
        if self.told is None:
            return None
        states = [*self.told.values()]
        return ServingStatus(generation=1, pid=1, endpoints={KEY: ServedState(revisions=states)})

    # What users do

    def deploy(self, environment: str = "base", **scaling: Any) -> str:
        """An endpoint with a first revision that starts; its id."""
        caller = self.people.editor
        with self.db.write() as session:
            environment_id = self.jobs.environments.ensure(session, caller.project_id, environment)
            model = ModelRow(
                id=new_id("mdl"),
                project_id=caller.project_id,
                name="digits",
                last_number=1,
                created_at=self.clock.now(),
            )
            session.add(model)
            session.flush()
            session.add(
                ModelVersionRow(
                    id="mdv_1",
                    model_id=model.id,
                    number=1,
                    framework="sklearn",
                    entry="model.joblib",
                    manifest=MANIFEST,
                    files=1,
                    size=10,
                    user_id=caller.user_id,
                    lineage={},
                    environment_id=environment_id,
                    conversion="failed",
                    created_at=self.clock.now(),
                )
            )
            row = EndpointRow(
                id=new_id("end"),
                project_id=caller.project_id,
                name="digits",
                user_id=caller.user_id,
                state=EndpointState.STARTING,
                revision=0,
                type="cpu.small",
                price_per_hour=0,
                allocation_id="",
                scaling=Scaling.model_validate(scaling).model_dump(),
                created_at=self.clock.now(),
            )
            session.add(row)
            self.endpoint_id = row.id
        self.revise()
        return self.endpoint_id

    def revise(self, **fields: Any) -> int:
        """A further revision that starts; its number."""
        with self.db.write() as session:
            endpoint = session.get_one(EndpointRow, self.endpoint_id)
            endpoint.revision += 1
            given = {"traffic": 100, "type": "cpu.small", "state": "starting", **fields}
            session.add(
                RevisionRow(
                    endpoint_id=endpoint.id,
                    number=endpoint.revision,
                    version_id="mdv_1",
                    runtime="replicas",
                    created_at=self.clock.now(),
                    **given,
                )
            )
            return endpoint.revision

    def change(self, number: int = 1, **fields: Any) -> None:
        """What the service of endpoints writes of a revision."""
        with self.db.write() as session:
            row = session.get_one(RevisionRow, (self.endpoint_id, number))
            for name, value in fields.items():
                setattr(row, name, value)

    def delete(self) -> None:
        with self.db.write() as session:
            session.delete(session.get_one(EndpointRow, self.endpoint_id))

    # What the server does

    def tick(self, seconds: float = 0.0) -> None:
        """One pass of the loops, so much later."""
        self.clock.advance(seconds)
        self.jobs.seconds += seconds
        self.loop.run_once()
        self.jobs.loop.run_once()

    def started(self, **scaling: Any) -> None:
        """An endpoint that answers with as many as it has at least."""
        self.deploy(**scaling)
        self.jobs.build_environments()
        self.tick()  # placed
        self.tick(1)  # ready
        self.change(state="ready", served=100)
        assert {one.state for one in self.shown()} == {"ready"}

    def load(self, number: int, under_way: float, seconds: int = 1) -> None:
        """So many requests under way at each moment of some seconds, each of 10 ms."""
        for _ in range(seconds):
            assert self.told is not None
            before = self.told.get(number) or ServedRevisionState(revision=number, state="ready")
            ups = {row.id: "up" for row in self.rows(number) if row.state == "ready"}
            self.told[number] = before.model_copy(
                update={
                    "requests": before.requests + round(100 * under_way),
                    "seconds": before.seconds + under_way,
                    "in_flight": round(under_way),
                    "replicas": ups,
                }
            )
            self.tick(1)

    # What there is

    def revision(self, number: int = 1) -> RevisionRow:
        with self.db.read() as session:
            return session.get_one(RevisionRow, (self.endpoint_id, number))

    def rows(self, number: int = 1) -> list[EndpointReplicaRow]:
        """All replicas that a revision has a row of, oldest first."""
        with self.db.read() as session:
            return [
                *session.scalars(
                    select(EndpointReplicaRow)
                    .where(EndpointReplicaRow.revision == number)
                    .order_by(EndpointReplicaRow.id)
                )
            ]

    def states(self, number: int = 1) -> list[str]:
        return sorted(row.state for row in self.rows(number))

    def shown(self, number: int = 1) -> list[EndpointReplica]:
        with self.db.read() as session:
            return self.replicas.shown(session, self.endpoint_id).get(number, [])

    def sockets(self, number: int = 1) -> list[str]:
        with self.db.read() as session:
            return [one.id for one in self.replicas.ready_sockets(session, self.endpoint_id, number)]

    def attempts(self) -> Sequence[AttemptRow]:
        """Of endpoints, oldest first."""
        with self.db.read() as session:
            return session.scalars(
                select(AttemptRow).where(AttemptRow.kind == "endpoint").order_by(AttemptRow.id)
            ).all()

    def usage(self) -> Sequence[UsageRow]:
        with self.db.read() as session:
            return session.scalars(select(UsageRow).order_by(UsageRow.started_at, UsageRow.id)).all()

    def stopped(self) -> int:
        """The launchers of attempts that were told to stop report their end; how many did."""
        told = [row for row in self.attempts() if row.desired == "stop" and row.ended_at is None]
        for row in told:
            self.jobs.exit(row.id, "cancelled_by_user", None)
        return len(told)

    def die(self, replica: EndpointReplicaRow, reason: str = "exit_nonzero") -> None:
        """A replica's process ends by itself."""
        assert replica.attempt_id is not None
        self.jobs.exit(replica.attempt_id, reason, 1)
