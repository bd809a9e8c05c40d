"""Whatever fails in whatever order: what a job was charged, its attempts and its end stay right."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select
from sqlalchemy.orm import Session
from tests.database_kit import sqlite_in

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.jobs import JobRow
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.db.tables.usage import UsageRow
from nacre.db.tables.users import UserRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import NotFound, Unavailable
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.jobs import FINAL_STATES
from nacre.schema.launch import ChannelAck
from nacre.testing.engines import Key
from nacre.testing.jobs import JobsWorld, lines

CPUS = 4.0
MOST_JOBS = 3
ENDS = ["succeeded", "exit_nonzero", "out_of_memory", "timed_out"]
METHODS = ["nodes", "launch", "observe", "adopt", "stop", "forget", "leftovers"]


class Killed(BaseException):
    """The server dies here."""


@dataclass
class Launcher:
    """The launchers of one replica: what they have said so far. It outlives each of them."""

    said: bytes = b""
    ready: bool = False
    running: bool = False
    ended: bool = False


def _editor(database: Database, clock: FixedClock) -> Caller:
    with database.write() as session:
        user = UserRow(id=new_id("usr"), name="editor", admin=False, created_at=clock.now())
        project = ProjectRow(
            id=new_id("prj"), number=1, name="vision", description="", created_at=clock.now()
        )
        session.add_all([user, project])
        session.flush()
        session.add(
            MemberRow(project_id=project.id, user_id=user.id, role=Role.EDITOR, created_at=clock.now())
        )
    return Caller(user.id, "editor", admin=False, project=ProjectRef(project.id, "vision", Role.EDITOR))


class Trouble(RuleBasedStateMachine):
    """Jobs and gangs on a machine where everything fails now and then."""

    @initialize(shapes=st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2)), min_size=1, max_size=2))
    def begin(self, shapes: list[tuple[int, int]]) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="nacre-trouble-"))
        self.database = sqlite_in(self.folder)
        clock = FixedClock()
        self.editor = _editor(self.database, clock)
        self.world = JobsWorld(self.database, clock, self.folder)
        self.engine = self.world.engine
        self.launchers: dict[Key, Launcher] = {}
        self.final: dict[str, tuple[str, str | None, datetime | None]] = {}
        self.billed: dict[str, datetime] = {}
        self.ended: dict[Key, tuple[str | None, datetime]] = {}
        for replicas, restarts in shapes:
            self.submit(replicas, restarts)
        self.place()

    # The server

    @precondition(lambda self: len(self.jobs()) < MOST_JOBS)
    @rule(replicas=st.integers(1, 3), restarts=st.integers(0, 2))
    def submit(self, replicas: int, restarts: int) -> None:
        self.server(lambda: self.world.submit(self.editor, replicas=replicas, max_restarts=restarts))

    @rule(data=st.data())
    def stop(self, data: st.DataObject) -> None:
        if jobs := self.jobs():
            self.world.jobs.stop(self.editor, data.draw(st.sampled_from(jobs)).id)

    @rule(reason=st.sampled_from(ENDS))
    def go_on(self, reason: str) -> None:
        """Everything takes one step."""
        self.place()
        self.look()
        for key in sorted(key for key, launch in self.engine.replicas.items() if launch.seen.launcher):
            self.act(key, reason)

    @rule()
    def look(self) -> None:
        self.server(self.world.loop.run_once)

    @rule()
    def place(self) -> None:
        self.server(self.world.queue.advance)

    @rule(seconds=st.sampled_from([1, 10, 70, 400]))
    def wait(self, seconds: int) -> None:
        self.world.clock.advance(seconds)
        self.world.seconds += seconds

    @rule()
    def restart(self) -> None:
        seconds = self.world.seconds
        self.world = self.world.restarted()
        self.world.seconds = seconds

    @rule(method=st.sampled_from(METHODS), rank=st.sampled_from([None, 0, 1]))
    def die(self, method: str, rank: int | None) -> None:
        """The server is killed when it calls the engine the next time."""
        self.engine.fail(method, Killed(), rank=rank)
        self.look()
        self.place()

    def server(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Unavailable:
            return
        except Killed:
            self.restart()

    # The engine

    @rule(
        method=st.sampled_from(METHODS),
        times=st.integers(1, 4),
        rank=st.sampled_from([None, 0, 1]),
    )
    def away(self, method: str, times: int, rank: int | None) -> None:
        self.engine.fail(method, Unavailable("away"), times, rank)

    @rule(times=st.integers(1, 3), rank=st.sampled_from([None, 0, 1]))
    def nothing_left(self, times: int, rank: int | None) -> None:
        """The engine says that there is nothing to adopt, be it true or not."""
        self.engine.fail("adopt", NotFound("nothing is left of it"), times, rank)

    @precondition(lambda self: self.engine.replicas)
    @rule(data=st.data())
    def cut_off(self, data: st.DataObject) -> None:
        """A launcher dies, and the engine says that nothing is left, though the work goes on."""
        attempt, rank = data.draw(st.sampled_from(sorted(self.engine.replicas)))
        self.engine.see(attempt, rank, launcher=False)
        self.engine.fail("adopt", NotFound("nothing is left of it"), rank=rank)

    @rule(rank=st.sampled_from([None, 0, 1]))
    def refuse(self, rank: int | None) -> None:
        self.engine.fail("launch", ValueError("no such program"), rank=rank)

    @rule()
    def down(self) -> None:
        self.engine.down = not self.engine.down

    # What runs

    @precondition(lambda self: self.engine.replicas)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        """A launcher dies, or also its work, or all that there is of it."""
        attempt, rank = data.draw(st.sampled_from(sorted(self.engine.replicas)))
        match data.draw(st.sampled_from(["launcher", "work", "both", "all"])):
            case "launcher":
                self.engine.see(attempt, rank, launcher=False)
            case "work":
                self.engine.see(attempt, rank, work=False)
            case "both":
                self.engine.see(attempt, rank, launcher=False, work=False)
            case _:
                self.engine.lose(attempt, rank)

    @rule(data=st.data(), reason=st.sampled_from(ENDS), further=st.booleans())
    def report(self, data: st.DataObject, reason: str, further: bool) -> None:
        """A launcher tells what is new, once or twice."""
        alive = sorted(key for key, launch in self.engine.replicas.items() if launch.seen.launcher)
        if alive:
            key = data.draw(st.sampled_from(alive))
            self.act(key, reason)
            if further and key in self.engine.replicas and self.engine.replicas[key].seen.launcher:
                self.act(key, reason)

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """An answer was lost, or another launcher begins where the last one had no answer."""
        if said := sorted(key for key, known in self.launchers.items() if known.said):
            key = data.draw(st.sampled_from(said))
            self.send(key, 0, self.launchers[key].said)

    def act(self, key: Key, reason: str) -> None:
        """What a real launcher does with the next answer."""
        known, launch = self.launchers.setdefault(key, Launcher()), self.engine.replicas[key]
        ack = self.send(key, len(known.said), b"")
        if ack.desired == "fence":
            self.engine.see(*key, launcher=False, work=False, done=True)
        elif known.ended:
            self.engine.see(*key, launcher=False, work=False, exited=True, done=True)
        elif not launch.seen.work:
            self.exit(key, "exit_nonzero", None)
        elif ack.desired == "stop":
            self.exit(key, ack.reason or "cancelled_by_user", None)
        elif not known.ready:
            known.ready = True
            ports = [20000 + 10 * key[1] + number for number in range(4)]
            event = {"type": "ready", "address": "127.0.0.1", "ports": ports}
            self.say(key, {"type": "state", "state": "preparing"}, event)
        elif not known.running:
            if launch.spec.replicas == 1 or ack.rendezvous is not None:
                known.running = True
                self.say(key, {"type": "state", "state": "running"})
        else:
            self.exit(key, reason, 0 if reason == "succeeded" else 1)

    def exit(self, key: Key, reason: str, code: int | None) -> None:
        self.launchers[key].ended = True
        self.engine.see(*key, work=False, exited=True)
        self.say(key, {"type": "exit", "reason": reason, "message": f"it {reason}", "exit_code": code})

    def say(self, key: Key, *events: dict[str, object]) -> None:
        known = self.launchers[key]
        body = lines(self.world.clock, *events)
        ack = self.send(key, len(known.said), body)
        if ack.desired != "fence":
            assert ack.offset == len(known.said) + len(body)
        known.said += body

    def send(self, key: Key, offset: int, body: bytes) -> ChannelAck:
        attempt, rank = key
        return self.world.attempts.report(attempt, rank, "events", offset=offset, body=body)

    # What always holds

    def jobs(self) -> list[JobRow]:
        with self.database.read() as session:
            return [*session.scalars(select(JobRow).order_by(JobRow.created_at, JobRow.id))]

    @invariant()
    def the_books_are_right(self) -> None:
        with self.database.read() as session:
            attempts = [*session.scalars(select(AttemptRow).order_by(AttemptRow.number))]
            self._check_usage(session, attempts)
            self._check_attempts(session, attempts)
            for job in session.scalars(select(JobRow)):
                self._check_job(job, [one for one in attempts if one.subject_id == job.id])

    def _check_usage(self, session: Session, attempts: list[AttemptRow]) -> None:
        bills = {row.allocation_id: row for row in session.scalars(select(UsageRow))}
        assert bills.keys() == {one.id for one in attempts}
        for one in attempts:
            assert bills[one.id].ended_at == one.ended_at
            if one.ended_at is not None:
                assert self.billed.setdefault(one.id, one.ended_at) == one.ended_at

    def _check_attempts(self, session: Session, attempts: list[AttemptRow]) -> None:
        replicas = [*session.scalars(select(ReplicaRow))]
        taken = 0.0
        for one in attempts:
            own = [replica for replica in replicas if replica.attempt_id == one.id]
            taken += 0 if one.ended_at is not None else one.cpu * len(own)
            assert (one.ended_at is not None) == all(each.ended_at is not None for each in own)
            if one.state == "closed":
                assert not any(key[0] == one.id for key in self.engine.replicas)
        assert taken <= CPUS
        for replica in replicas:
            if replica.ended_at is not None:
                end = (replica.reason, replica.ended_at)
                assert self.ended.setdefault((replica.attempt_id, replica.rank), end) == end

    def _check_job(self, job: JobRow, attempts: list[AttemptRow]) -> None:
        open_ones = [one for one in attempts if one.ended_at is None]
        assert len(open_ones) <= 1
        assert [one.number for one in attempts] == list(range(1, len(attempts) + 1))
        own = {one.id for one in attempts}
        at_work = {key[0] for key, launch in self.engine.replicas.items() if launch.seen.work}
        assert len(at_work & own) <= 1, "two attempts write beside each other"
        if job.state in FINAL_STATES:
            assert not open_ones
            end = (job.state, job.reason, job.ended_at)
            assert self.final.setdefault(job.id, end) == end
        else:
            assert job.ended_at is None
            assert bool(open_ones) == (job.state != "queued")

    # In the end

    def teardown(self) -> None:
        """When nothing fails any more, everything comes to its end."""
        if not hasattr(self, "world"):
            return
        try:
            self._calm_down()
        finally:
            self.database.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _calm_down(self) -> None:
        self.engine.heal()
        for _ in range(120):
            self.world.loop.run_once()
            self.world.queue.advance()
            self.the_books_are_right()
            if self._over():
                break
            for key, launch in list(self.engine.replicas.items()):
                if launch.seen.launcher:
                    self.act(key, "succeeded")
            self.wait(30)
        assert self._over(), [(job.state, job.reason, job.message) for job in self.jobs()]
        assert self.engine.replicas == {}

    def _over(self) -> bool:
        with self.database.read() as session:
            states = {*session.scalars(select(AttemptRow.state))}
        return states <= {"closed"} and all(job.state in FINAL_STATES for job in self.jobs())


Trouble.TestCase.settings = settings(
    max_examples=50,
    stateful_step_count=35,
    suppress_health_check=[HealthCheck.too_slow],
)


@pytest.mark.slow
class TestTrouble(Trouble.TestCase):
    """The machine, run by pytest."""
