"""Jobs and instances in one plan: who is first, what is set aside, what is written of those who wait."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.instances import InstanceRow
from nacre.domain.identity import Caller
from nacre.domain.scheduling import Aside, Machine
from nacre.errors import InvalidSpec
from nacre.ids import new_id
from nacre.schema.instances import InstanceState
from nacre.schema.queue import QuotaUpdate
from nacre.schema.users import Reserved, SettingsUpdate
from nacre.services.scheduling import set_aside
from nacre.services.settings import ServerSettings
from nacre.testing.jobs import JobsWorld

GIB = 2**30


@pytest.fixture
def world(database: Database, clock: FixedClock, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


def waits(world: JobsWorld, caller: Caller, name: str = "lab", cpu: float = 1.0, **more: Any) -> str:
    """An instance that waits for its place; its id."""
    ident, now = new_id("ins"), world.clock.now()
    with world.db.write() as session:
        session.add(
            InstanceRow(
                id=ident,
                project_id=caller.project_id,
                user_id=caller.user_id,
                name=name,
                type="cpu.small",
                environment="base",
                idle_timeout=3600.0,
                state=InstanceState.QUEUED,
                cpu=cpu,
                memory=GIB,
                gpu=0,
                price_per_hour=0,
                created_at=now,
                queued_at=now,
                **more,
            )
        )
    return ident


def reserve(world: JobsWorld, people: People, **amounts: float) -> None:
    settings = ServerSettings(world.db, world.events)
    settings.update(people.owner, SettingsUpdate(reserved=Reserved.model_validate(amounts)))


@contextmanager
def counted(database: Database) -> Iterator[list[int]]:
    """How many rows of jobs are written."""
    found: list[int] = []

    def seen(_c: Any, _cursor: Any, statement: str, parameters: Any, _x: Any, many: bool) -> None:
        if statement.startswith("UPDATE jobs"):
            found.append(len(parameters) if many else 1)

    event.listen(database.engine, "before_cursor_execute", seen)
    yield found
    event.remove(database.engine, "before_cursor_execute", seen)


class TestInstances:
    def test_one_that_waits_has_its_place_before_jobs(self, world: JobsWorld, people: People) -> None:
        job = world.submit(people.editor)
        waits(world, people.viewer, cpu=4)
        world.queue.advance()
        found = world.jobs.get(people.editor, job.id)
        assert found.state == "queued"
        assert found.message == "waits for 1 cpu: 4 of 4 in use by instance lab"

    def test_one_whose_environment_is_built_takes_no_place_yet(
        self, world: JobsWorld, people: People
    ) -> None:
        job = world.submit(people.editor)
        waits(world, people.viewer, cpu=4, lab_environment_id="env_that_is_not_there")
        world.queue.advance()
        assert world.jobs.get(people.editor, job.id).state == "preparing"

    def test_spot_work_makes_room_and_quotas_hold(self, world: JobsWorld, people: People) -> None:
        _, attempt = world.running(people.editor, spot=True, resources={"cpu": 4, "memory": "1GB"})
        lab = waits(world, people.viewer)
        assert world.scheduling.plan(()).preempted == {attempt: lab}
        world.quotas.update(people.owner, "vision", QuotaUpdate(cpu=4))
        made = world.scheduling.plan(())
        assert made.preempted == {}
        assert made.waiting[lab].reason == "quota_exceeded"

    def test_the_queue_shows_them_first(self, world: JobsWorld, people: People, clock: FixedClock) -> None:
        world.running(people.editor, resources={"cpu": 4, "memory": "1GB"})
        job = world.submit(people.editor, replicas="1..3", resources={"cpu": 0.5, "memory": "1GB"})
        clock.advance(1)
        lab = waits(world, people.viewer)
        first, second = world.scheduling.list(people.owner).items
        assert (first.kind, first.job, first.id) == ("instance", "lab", lab)
        assert first.message == "waits for 1 cpu: 4 of 4 in use by train-1"
        assert (second.kind, second.id, second.replicas, second.most_replicas) == ("job", job.id, 1, 3)
        assert next(share.waiting for share in world.scheduling.shares(people.owner).items) == 2


class TestReserved:
    def test_jobs_leave_what_is_set_aside(self, world: JobsWorld, people: People) -> None:
        reserve(world, people, cpu=2)
        with pytest.raises(InvalidSpec, match="of which 2 cpu are set aside for instances and endpoints"):
            world.submit(people.editor, resources={"cpu": 3, "memory": "1GB"})
        job, _ = world.running(people.editor, resources={"cpu": 2, "memory": "1GB"})
        waiting = world.submit(people.editor)
        cheap = world.submit(people.editor, spot=True)
        world.queue.advance()
        found = world.jobs.get(people.editor, waiting.id)
        assert (found.state, found.reason) == ("queued", "reserved")
        assert found.message == (
            f"waits for 1 cpu: 2 of 2 in use by {job.name}, 2 cpu more are set aside for instances and "
            "endpoints"
        )
        assert world.jobs.get(people.editor, cheap.id).state == "preparing"
        reserve(world, people, cpu=0)
        world.queue.advance()
        assert world.jobs.get(people.editor, waiting.id).state == "preparing"

    def test_an_elastic_job_does_not_start_again_for_what_is_set_aside(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        reserve(world, people, cpu=2)
        job, attempt = world.running(people.editor, replicas="1..4", resources={"cpu": 1, "memory": "1GB"})
        for rank in range(2):
            world.report(attempt, {"type": "state", "state": "running"}, rank=rank)
        assert len(world.jobs.get(people.editor, job.id).attempts[-1].replicas) == 2
        clock.advance(61)
        assert world.elastic.advance() == 0
        waits(world, people.viewer, cpu=3)
        assert world.elastic.advance() == 1, "it makes room for an instance"

    def test_it_is_taken_from_the_first_machines_that_have_it(self) -> None:
        there = [Machine("b", 4, 8 * GIB, ("A",)), Machine("a", 4, 8 * GIB)]
        a, b = set_aside(there, Aside(6, GIB))
        assert (a.aside, b.aside) == (Aside(4, GIB), Aside(2, 0))
        a, b = set_aside(there, Aside(2, GIB, 3))
        assert (a.aside, b.aside) == (Aside(), Aside(2, GIB, 1))


class TestWhatIsWritten:
    def test_numbers_that_change_are_not_written_for_everybody(
        self, world: JobsWorld, people: People
    ) -> None:
        _, attempt = world.running(people.editor, resources={"cpu": 4, "memory": "1GB"})
        jobs = [world.submit(people.editor, resources={"cpu": 1, "memory": "1GB"}) for _ in range(80)]
        with counted(world.db) as written:
            world.queue.advance()
        assert sum(written) == 80
        with counted(world.db) as written:
            world.queue.advance()
        assert written == []
        world.exit(attempt)
        with counted(world.db) as written:
            world.queue.advance()
        # four start, one row each; of the others only names changed
        assert sum(written) <= 4 * 3 + 50
        assert sum(written) > 4
        last = world.jobs.get(people.editor, jobs[-1].id)
        assert last.message == "waits for 1 cpu: 4 of 4 in use by train-2, train-3, train-4 and 1 more"
        world.scheduling.say({})  # as after a restart, before the first pass
        stored = world.jobs.get(people.editor, jobs[-1].id).message
        assert stored == "waits for 1 cpu: 4 of 4 in use by train-1"

    def test_a_job_that_failed_says_when_it_starts_again(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, attempt = world.running(people.editor, max_restarts=3)
        world.exit(attempt, reason="exit_nonzero", exit_code=1)
        world.queue.advance()  # at once after the first failure
        world.exit(world.attempt(job).id, reason="exit_nonzero", exit_code=1)
        world.queue.advance()
        found = world.jobs.get(people.editor, job.id)
        assert (found.state, found.reason) == ("queued", "backing_off")
        assert found.message == "starts again in 1 s, after its 2nd failure"
        (entry,) = world.scheduling.list(people.editor).items
        assert (entry.reason, entry.starts_by) == ("backing_off", found.retry_at)
        clock.advance(2)
        assert world.queue.advance() == 1
