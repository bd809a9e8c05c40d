"""Jobs of several replicas: their price, logs and output; resuming; growing and shrinking."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from blake3 import blake3
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.jobs import Job, JobSpec, JobState, JobStop
from nacre.schema.launch import FileEntry, Manifest
from nacre.testing.jobs import JobsWorld


@pytest.fixture
def world(database: Database, clock: FixedClock, tmp_path: Path, people: People) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


def output(world: JobsWorld, caller: Caller, **files: str) -> str:
    """A manifest of these files, sent to the project."""
    entries = []
    for path, text in files.items():
        data = text.encode()
        digest = blake3(data).hexdigest()
        world.ledger.put(caller, digest, io.BytesIO(data))
        entries.append(FileEntry(path=path, size=len(data), digest=digest))
    assert caller.project is not None
    return world.ledger.write_manifest(caller.project.id, Manifest(files=entries))


def now(world: JobsWorld, people: People, job: Job) -> Job:
    return world.jobs.get(people.viewer, job.id)


def test_everything_of_a_gang_is_counted_for_each_replica(world: JobsWorld, people: People) -> None:
    one = world.submit(people.editor, resources={"cpu": 1})
    job, attempt = world.running(people.editor, resources={"cpu": 1}, replicas=2)
    assert job.price_per_hour == 2 * one.price_per_hour
    assert [(r.rank, r.node, r.state) for r in job.attempts[0].replicas] == [
        (0, "local", "launched"),
        (1, "local", "launched"),
    ]
    with world.db.read() as session:
        held = [h for h in world.attempts.holdings(session) if h.id == attempt]
    assert [h.cpu for h in held] == [1.0, 1.0]


def test_a_gang_that_no_machine_could_hold_is_refused_saying_what_there_is(
    world: JobsWorld, people: People
) -> None:
    with pytest.raises(InvalidSpec, match=r"5 replicas|4 cpu"):
        world.jobs.submit(people.editor, spec(replicas=5))


def test_each_replica_has_its_own_log(world: JobsWorld, people: People) -> None:
    job, attempt = world.running(people.editor, replicas=2)
    for rank in (0, 1):
        world.attempts.report(attempt, rank, "log", offset=0, body=f"I am {rank}\n".encode())
    assert world.jobs.logs.read(job.id, 0) == (b"I am 0\n", False)
    assert world.jobs.logs.read(job.id, 0, replica=1) == (b"I am 1\n", False)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_output_of_all_replicas_is_kept(
    world: JobsWorld, people: People, order: tuple[int, int]
) -> None:
    job, attempt = world.running(people.editor, replicas=2)
    left = {0: output(world, people.editor, model="m"), 1: output(world, people.editor, shard="s")}
    for rank in order:
        world.report(attempt, {"type": "artifacts", "manifest": left[rank]}, rank=rank)
    files = world.runs.artifacts(people.viewer, job.run).files
    assert sorted(file.path for file in files) == ["model", "replicas/1/shard"]


def test_a_stop_may_give_more_time(world: JobsWorld, people: People) -> None:
    job, attempt = world.running(people.editor)
    world.jobs.stop(people.editor, job.id, JobStop.model_validate({"grace": "10m"}))
    ack = world.report(attempt)
    assert (ack.desired, ack.reason, ack.grace_s) == ("stop", "cancelled_by_user", 600)


class TestResume:
    def test_the_launcher_is_told_where_the_checkpoints_are(self, world: JobsWorld, people: People) -> None:
        first, attempt = world.running(people.editor)
        world.exit(attempt, "exit_nonzero", 1)
        second, _ = world.running(people.editor, resume_from=first.name)
        launched = world.engine.launched[world.attempt(second).id].spec
        assert launched.checkpoints_from == str(world.place.checkpoints / first.id)
        assert launched.checkpoints == str(world.place.checkpoints / second.id)

    def test_only_from_what_has_ended_and_is_the_projects_own(
        self, world: JobsWorld, people: People
    ) -> None:
        first, _ = world.running(people.editor)
        with pytest.raises(InvalidSpec, match="nacre stop --checkpoint train-1"):
            world.jobs.submit(people.editor, spec(resume_from=first.name))
        with pytest.raises(NotFound, match="no job 'nobody' in this project"):
            world.jobs.submit(people.editor, spec(resume_from="nobody"))


class TestElastic:
    """The machine has 4 cores."""

    def started(self, world: JobsWorld, people: People, **fields: object) -> tuple[Job, str]:
        job, attempt = world.running(people.editor, **fields)
        for rank in range(len(job.attempts[-1].replicas)):
            world.report(attempt, {"type": "state", "state": "running"}, rank=rank)
        return job, attempt

    def finish(self, world: JobsWorld, attempt: str, ranks: int, reason: str) -> None:
        for rank in range(ranks):
            world.report(attempt, {"type": "exit", "reason": reason, "message": reason}, rank=rank)

    def size(self, world: JobsWorld, people: People, job: Job) -> int:
        return len(now(world, people, job).attempts[-1].replicas)

    def test_it_takes_what_there_is_and_grows_when_there_is_more(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        other, holder = self.started(world, people, resources={"cpu": 3})
        job, attempt = self.started(world, people, resources={"cpu": 1}, replicas="1..4")
        assert self.size(world, people, job) == 1
        clock.advance(61)
        assert world.elastic.advance() == 0, "there is no more room"
        self.finish(world, holder, 1, "succeeded")
        assert world.elastic.advance() == 1
        assert now(world, people, job).state is JobState.STOPPING
        self.finish(world, attempt, 1, "resized")
        world.queue.advance()
        assert self.size(world, people, job) == 4
        assert now(world, people, other).state is JobState.SUCCEEDED

    def test_it_does_not_grow_before_it_has_run_for_a_while(self, world: JobsWorld, people: People) -> None:
        _, holder = self.started(world, people, resources={"cpu": 3})
        self.started(world, people, resources={"cpu": 1}, replicas="1..4")
        self.finish(world, holder, 1, "succeeded")
        assert world.elastic.advance() == 0

    def test_it_shrinks_for_those_who_wait(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, attempt = self.started(world, people, resources={"cpu": 1}, replicas="1..4")
        assert self.size(world, people, job) == 4
        waits = world.submit(people.editor, resources={"cpu": 2})
        world.queue.advance()
        assert world.elastic.advance() == 0, "it has only just begun"
        clock.advance(61)
        assert world.elastic.advance() == 1
        self.finish(world, attempt, 4, "resized")
        world.queue.advance()
        assert now(world, people, waits).state is JobState.PREPARING
        assert self.size(world, people, job) == 2

    def test_it_does_not_shrink_for_what_would_not_fit_even_so(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        self.started(world, people, resources={"cpu": 1}, replicas="3..4")
        world.submit(people.editor, resources={"cpu": 2})
        world.queue.advance()
        clock.advance(61)
        assert world.elastic.advance() == 0


def spec(**fields: object) -> JobSpec:
    return JobSpec.model_validate({"commands": ["python train.py"], **fields})
