"""The loop over gangs, with an engine that fails on command."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.control.attempts import BARRIER_S
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.db.tables.usage import UsageRow
from nacre.errors import Unavailable
from nacre.schema.jobs import Job
from nacre.schema.launch import ChannelAck
from nacre.testing.jobs import JobsWorld


class Stage:
    """One job of a few replicas, and what its launchers do."""

    def __init__(self, world: JobsWorld, people: People) -> None:
        self.world, self.people = world, people
        self.engine = world.engine

    def start(self, size: int = 2, **fields: object) -> str:
        """A gang that was launched; the attempt's id."""
        self.first, attempt = self.world.running(self.people.editor, replicas=size, **fields)
        return attempt

    @property
    def job(self) -> Job:
        return self.world.jobs.get(self.people.viewer, self.first.id)

    def attempt(self, attempt_id: str) -> AttemptRow:
        with self.world.db.read() as session:
            return session.get_one(AttemptRow, attempt_id)

    def replicas(self, attempt_id: str) -> list[ReplicaRow]:
        with self.world.db.read() as session:
            found = select(ReplicaRow).where(ReplicaRow.attempt_id == attempt_id).order_by(ReplicaRow.rank)
            return [*session.scalars(found)]

    def states(self, attempt_id: str) -> list[str]:
        return [one.state for one in self.replicas(attempt_id)]

    def reasons(self, attempt_id: str) -> list[str | None]:
        return [one.reason for one in self.replicas(attempt_id)]

    def ready(self, attempt_id: str, rank: int) -> ChannelAck:
        event = {
            "type": "ready",
            "address": "127.0.0.1",
            "ports": [20000 + 10 * rank + i for i in range(4)],
        }
        return self.world.report(attempt_id, {"type": "state", "state": "preparing"}, event, rank=rank)

    def run(self, attempt_id: str, size: int = 2) -> None:
        """All replicas meet and run."""
        for rank in range(size):
            self.ready(attempt_id, rank)
        for rank in range(size):
            self.world.report(attempt_id, {"type": "state", "state": "running"}, rank=rank)

    def exit(self, attempt_id: str, rank: int, reason: str = "succeeded", code: int | None = 0) -> None:
        """The launcher reports the end, and is done."""
        event = {"type": "exit", "reason": reason, "message": f"it {reason}", "exit_code": code}
        self.world.report(attempt_id, event, rank=rank)
        self.engine.see(attempt_id, rank, launcher=False, work=False, exited=True, done=True)

    def usage(self) -> list[UsageRow]:
        with self.world.db.read() as session:
            return [*session.scalars(select(UsageRow).order_by(UsageRow.started_at))]

    def loop(self, times: int = 1) -> None:
        for _ in range(times):
            self.world.loop.run_once()


@pytest.fixture
def stage(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Stage:
    return Stage(JobsWorld(database, clock, tmp_path), people)


def test_a_gang_is_launched_meets_runs_and_ends(stage: Stage) -> None:
    attempt = stage.start(3)
    assert sorted(stage.engine.replicas) == [(attempt, rank) for rank in range(3)]
    assert [stage.engine.replicas[attempt, rank].spec.rank for rank in range(3)] == [0, 1, 2]
    assert stage.ready(attempt, 0).rendezvous is None
    assert stage.ready(attempt, 1).rendezvous is None
    members = stage.ready(attempt, 2).rendezvous
    assert members is not None
    assert [(one.rank, one.ports[0]) for one in members] == [(0, 20000), (1, 20010), (2, 20020)]
    for rank in range(3):
        assert stage.job.state != "running"
        stage.world.report(attempt, {"type": "state", "state": "running"}, rank=rank)
    assert stage.job.state == "running"
    stage.exit(attempt, 0)
    stage.exit(attempt, 2)
    stage.loop()
    assert stage.job.state == "running"
    assert {launch.stops for launch in stage.engine.replicas.values()} == {0}
    stage.exit(attempt, 1)
    assert stage.job.state == "succeeded"
    stage.loop()
    assert stage.engine.replicas == {}
    assert stage.attempt(attempt).state == "closed"


def test_the_first_replica_that_fails_stops_the_others(stage: Stage) -> None:
    attempt = stage.start(3)
    stage.run(attempt, 3)
    stage.world.attempts.report(attempt, 1, "log", offset=0, body=b"epoch 1\nloss is nan\n")
    stage.exit(attempt, 1, "exit_nonzero", 3)
    stage.loop()
    assert [stage.engine.replicas[attempt, rank].stops for rank in range(3)] == [1, 0, 1]
    ack = stage.world.attempts.report(attempt, 0, "log", offset=0, body=b"")
    assert (ack.desired, ack.reason) == ("stop", "gang_stopped")
    assert stage.job.state not in ("failed", "queued")
    stage.exit(attempt, 0, "gang_stopped", None)
    stage.exit(attempt, 2, "gang_stopped", None)
    job = stage.job
    assert (job.state, job.reason, job.exit_code) == ("failed", "exit_nonzero", 3)
    assert job.message is not None
    assert job.message.startswith("replica 1 of 3: ")
    assert "loss is nan" in job.message
    assert stage.reasons(attempt) == ["gang_stopped", "exit_nonzero", "gang_stopped"]


def test_one_replica_lost_stops_the_others_and_the_job_comes_back(stage: Stage) -> None:
    attempt = stage.start(2)
    stage.run(attempt)
    stage.engine.lose(attempt, 1)
    stage.loop(2)
    assert stage.engine.replicas[attempt, 0].stops >= 1
    assert stage.attempt(attempt).ended_at is None
    assert stage.world.attempts.report(attempt, 1, "log", offset=0, body=b"").desired == "fence"
    stage.exit(attempt, 0, "gang_stopped", None)
    assert (stage.job.state, stage.job.reason) == ("queued", "node_lost")
    assert stage.world.queue.advance() == 0  # nothing of the old one may be left
    assert stage.job.reason == "fencing"
    stage.loop()
    assert stage.world.queue.advance() == 1
    second = stage.world.attempt(stage.first).id
    assert sorted(stage.engine.replicas) == [(second, 0), (second, 1)]
    stage.run(second)
    for rank in range(2):
        stage.exit(second, rank)
    job = stage.job
    assert job.state == "succeeded"
    assert [one.reason for one in job.attempts] == ["node_lost", "succeeded"]
    assert [row.ended_at is not None for row in stage.usage()] == [True, True]


def test_while_the_engine_cannot_tell_nothing_changes(stage: Stage) -> None:
    attempt = stage.start(2)
    stage.run(attempt)
    before = stage.attempt(attempt).state, stage.states(attempt), stage.job.state, stage.job.reason
    stage.engine.see(attempt, launcher=False, work=False)
    stage.engine.down = True
    for _ in range(20):
        stage.world.clock.advance(300)
        stage.world.seconds += 300
        stage.loop()
        after = stage.attempt(attempt).state, stage.states(attempt), stage.job.state, stage.job.reason
        assert after == before
    assert [row.ended_at for row in stage.usage()] == [None]
    stage.engine.down = False
    stage.loop()
    assert [stage.engine.replicas[attempt, rank].adoptions for rank in range(2)] == [1, 1]
    for rank in range(2):
        stage.exit(attempt, rank)
    assert stage.job.state == "succeeded"


def test_one_replica_that_nobody_can_tell_of_does_not_end_its_gang(stage: Stage) -> None:
    attempt = stage.start(2)
    stage.run(attempt)
    stage.engine.see(attempt, 1, launcher=False)
    stage.engine.fail("observe", Unavailable("away"), times=3, rank=1)
    stage.loop(3)
    assert stage.states(attempt) == ["running", "running"]
    stage.loop()
    assert stage.engine.replicas[attempt, 1].adoptions == 1


def test_a_launcher_that_keeps_dying_is_given_up_with_its_gang(stage: Stage) -> None:
    attempt = stage.start(2)
    stage.run(attempt)
    for _ in range(6):
        assert stage.states(attempt)[1] == "running"
        stage.engine.see(attempt, 1, launcher=False, work=False)
        stage.world.seconds += 1
        stage.loop()
    assert stage.states(attempt)[1] == "lost"
    stage.loop()
    assert stage.engine.replicas[attempt, 0].stops >= 1
    stage.exit(attempt, 0, "gang_stopped", None)
    assert stage.job.reason == "node_lost"


def test_launchers_that_die_now_and_then_are_replaced_for_ever(stage: Stage) -> None:
    attempt = stage.start(2)
    stage.run(attempt)
    for count in range(1, 13):
        stage.engine.see(attempt, 1, launcher=False)
        stage.world.seconds += 20
        stage.loop()
        assert stage.engine.replicas[attempt, 1].adoptions == count
    assert stage.states(attempt) == ["running", "running"]


def test_a_barrier_that_does_not_open_in_time_is_broken(stage: Stage) -> None:
    attempt = stage.start(2, max_restarts=0)
    stage.ready(attempt, 0)
    stage.loop()
    stage.world.seconds += BARRIER_S - 1
    stage.loop()
    assert stage.attempt(attempt).desired == "run"
    stage.world.seconds += 2
    stage.loop(2)
    assert [stage.engine.replicas[attempt, rank].stops > 0 for rank in range(2)] == [True, True]
    ack = stage.world.attempts.report(attempt, 0, "log", offset=0, body=b"")
    assert (ack.desired, ack.reason, ack.rendezvous) == ("stop", "rendezvous_timeout", None)
    for rank in range(2):
        stage.exit(attempt, rank, "rendezvous_timeout", None)
    job = stage.job
    assert (job.state, job.reason) == ("failed", "rendezvous_timeout")
    assert job.message is not None
    assert "1 of 2 replicas did not get ready" in job.message
    assert "1 (launched)" in job.message


def test_a_barrier_waits_for_all_while_none_is_ready(stage: Stage) -> None:
    """Preparing a large environment or its data may take long."""
    attempt = stage.start(2)
    stage.loop()
    stage.world.seconds += 10 * BARRIER_S
    stage.loop()
    assert stage.attempt(attempt).desired == "run"


def test_a_server_that_was_away_does_not_break_a_barrier_at_once(stage: Stage) -> None:
    attempt = stage.start(2)
    stage.ready(attempt, 0)
    stage.loop()
    stage.world.clock.advance(7200)
    later = stage.world.restarted()
    later.seconds = stage.world.seconds + 7200
    later.loop.run_once()
    assert stage.attempt(attempt).desired == "run"
    assert stage.ready(attempt, 1).rendezvous is not None


def test_a_server_killed_between_two_launches_launches_the_rest(stage: Stage) -> None:
    stage.engine.fail("launch", KeyboardInterrupt(), rank=1)
    with pytest.raises(KeyboardInterrupt):
        stage.start(2)
    assert [rank for _, rank in stage.engine.replicas] == [0]
    stage.world = stage.world.restarted()
    [stage.first] = stage.world.jobs.list(stage.people.viewer).items
    attempt = stage.world.attempt(stage.first).id
    stage.loop()
    assert sorted(stage.engine.replicas) == [(attempt, 0), (attempt, 1)]
    tokens = [stage.engine.replicas[attempt, rank].spec.token for rank in range(2)]
    for token in tokens:  # the first launch had another one, and both are good
        caller = stage.world.tokens.resolve(token)
        assert caller is not None
        assert caller.attempt_id == attempt
    stage.run(attempt)
    for rank in range(2):
        stage.exit(attempt, rank)
    assert stage.job.state == "succeeded"
    assert len(stage.usage()) == 1


def test_replicas_that_cannot_be_launched_now_are_launched_later(stage: Stage) -> None:
    stage.engine.fail("launch", Unavailable("away"), times=3, rank=1)
    attempt = stage.start(2)
    assert [rank for _, rank in stage.engine.replicas] == [0]
    stage.loop(2)
    assert [rank for _, rank in stage.engine.replicas] == [0]
    stage.loop()
    assert [rank for _, rank in stage.engine.replicas] == [0, 1]
    assert stage.engine.replicas[attempt, 0].launches == 1
    stage.run(attempt)
    assert stage.job.state == "running"


def test_a_replica_that_can_never_be_launched_ends_its_gang(stage: Stage) -> None:
    stage.engine.fail("launch", ValueError("no such program"), rank=1)
    attempt = stage.start(2)
    job = stage.job
    assert (job.state, job.reason) == ("failed", "launch_failed")
    assert stage.world.attempts.report(attempt, 0, "log", offset=0, body=b"").desired == "fence"
    stage.engine.see(attempt, 0, launcher=False, work=False, done=True)  # as fenced launchers do
    stage.loop()
    assert stage.engine.replicas == {}
    assert stage.attempt(attempt).state == "closed"


def test_a_stop_before_all_are_launched_launches_no_more(stage: Stage) -> None:
    stage.engine.fail("launch", Unavailable("away"), times=1, rank=1)
    attempt = stage.start(2)
    stage.world.jobs.stop(stage.people.editor, stage.first.id)
    stage.loop()
    assert [rank for _, rank in stage.engine.replicas] == [0]
    assert stage.engine.replicas[attempt, 0].stops == 1
    stage.exit(attempt, 0, "cancelled_by_user", None)
    stage.loop()
    assert stage.job.state == "cancelled"
    assert stage.engine.replicas == {}


def test_a_stop_while_the_server_died_after_the_launch_reaches_all(stage: Stage) -> None:
    """The engine has both; the database says that only the first was launched."""
    attempt = stage.start(2)
    with stage.world.db.write() as session:
        session.get_one(ReplicaRow, (attempt, 1)).state = "placed"
    stage.world.jobs.stop(stage.people.editor, stage.first.id)
    stage.loop()
    assert [stage.engine.replicas[attempt, rank].stops for rank in range(2)] == [1, 1]
    for rank in range(2):
        stage.exit(attempt, rank, "cancelled_by_user", None)
    assert stage.job.state == "cancelled"


def test_an_attempt_is_not_placed_beside_one_that_may_still_write(stage: Stage) -> None:
    """Its launchers never said that it ended, and the engine cannot clear it yet."""
    attempt = stage.start(2)
    stage.run(attempt)
    stage.engine.lose(attempt)
    stage.loop()
    assert stage.job.state == "queued"
    stage.engine.fail("forget", Unavailable("away"), times=4)
    for _ in range(4):
        stage.loop()
        assert stage.world.queue.advance() == 0
        assert stage.job.reason == "fencing"
        assert stage.attempt(attempt).state == "ended"
    stage.loop()
    assert stage.attempt(attempt).state == "closed"
    assert stage.world.queue.advance() == 1


def test_an_attempt_that_ended_by_its_launchers_word_is_not_waited_for(stage: Stage) -> None:
    attempt = stage.start(2, max_restarts=1)
    stage.run(attempt)
    stage.exit(attempt, 0, "exit_nonzero", 1)
    stage.exit(attempt, 1, "exit_nonzero", 1)
    stage.engine.fail("forget", Unavailable("away"), times=9)
    stage.world.clock.advance(2)  # the rest after a failure
    assert stage.world.queue.advance() == 1


def test_times_of_launchers_with_wrong_clocks_stay_within_the_attempts_life(stage: Stage) -> None:
    attempt = stage.start(2)
    begun = stage.world.clock.now()
    hour_ms = 3_600_000
    now_ms = int(begun.timestamp() * 1000)
    stage.run(attempt)
    stage.world.clock.advance(30)
    for rank, off in ((0, -hour_ms), (1, hour_ms)):
        event = {"type": "exit", "reason": "succeeded", "exit_code": 0, "time_ms": now_ms + off}
        stage.world.report(attempt, event, rank=rank)
    ends = [one.ended_at for one in stage.replicas(attempt)]
    assert ends == [begun, begun + timedelta(seconds=30)]
    job = stage.job
    assert job.state == "succeeded"
    assert job.ended_at == begun + timedelta(seconds=30)
    assert [row.ended_at for row in stage.usage()] == [begun + timedelta(seconds=30)]


def test_what_a_crash_left_of_a_gang_is_swept_replica_by_replica(stage: Stage) -> None:
    attempt = stage.start(2)
    stage.run(attempt)
    kept = dict(stage.engine.replicas)
    for rank in range(2):
        stage.exit(attempt, rank)
    stage.loop()
    assert stage.engine.replicas == {}
    stage.engine.replicas.update(kept)  # the disk of before
    stage.engine.fail("forget", Unavailable("away"), rank=0)
    stage.world = stage.world.restarted()
    stage.loop()
    assert [rank for _, rank in stage.engine.replicas] == [0]
    stage.world.restarted().loop.run_once()
    assert stage.engine.replicas == {}
