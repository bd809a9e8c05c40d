"""Turns between projects and people, quotas, and what one may see of the queue."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.projects import MemberRow, ProjectRow
from nacre.domain.identity import Caller, ProjectRef
from nacre.errors import InvalidSpec, NotFound
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.jobs import JobSpec, JobStop
from nacre.schema.queue import QuotaUpdate
from nacre.testing.jobs import JobsWorld

GIB = 2**30


@pytest.fixture
def world(database: Database, clock: FixedClock, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


@pytest.fixture
def rival(database: Database, clock: FixedClock, people: People) -> Caller:
    """The stranger in a project of their own."""
    project_id = new_id("prj")
    with database.write() as session:
        session.add(
            ProjectRow(id=project_id, number=2, name="speech", description="", created_at=clock.now())
        )
        session.flush()
        session.add(
            MemberRow(
                project_id=project_id,
                user_id=people.stranger.user_id,
                role=Role.EDITOR,
                created_at=clock.now(),
            )
        )
    return replace(people.stranger, project=ProjectRef(project_id, "speech", Role.EDITOR))


class TestTurns:
    def test_the_project_with_less_is_next_whoever_came_first(
        self, world: JobsWorld, people: People, rival: Caller, clock: FixedClock
    ) -> None:
        first = [world.submit(people.editor, resources={"cpu": 2, "memory": "1GB"}) for _ in range(3)]
        world.queue.advance()
        clock.advance(1)
        second = world.submit(rival, resources={"cpu": 2, "memory": "1GB"})
        states = [world.jobs.get(people.editor, job.id).state for job in first]
        assert states == ["preparing", "preparing", "queued"], "the machine has four cpus"
        world.exit(world.attempt(first[0]).id)
        world.queue.advance()
        assert world.jobs.get(rival, second.id).state == "preparing"
        assert world.jobs.get(people.editor, first[2].id).state == "queued"

    def test_what_was_used_of_late_counts_and_is_forgotten(
        self, world: JobsWorld, people: People, rival: Caller, clock: FixedClock
    ) -> None:
        job, attempt = world.running(people.editor, resources={"cpu": 4, "memory": "1GB"})
        clock.advance(4 * 3600)
        world.exit(attempt)
        assert world.jobs.get(people.editor, job.id).state == "succeeded"
        shares = {one.project: one for one in world.scheduling.shares(people.owner).items}
        assert shares["vision"].recent_share == pytest.approx(0.5, abs=0.01)
        assert shares["vision"].share == 0
        clock.advance(4 * 3600)
        shares = {one.project: one for one in world.scheduling.shares(people.owner).items}
        assert shares["vision"].recent_share == pytest.approx(0.25, abs=0.01)

    def test_a_short_job_goes_before_one_that_waits_for_more(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        world.running(people.editor, resources={"cpu": 3, "memory": "1GB"}, max_duration="1h")
        big = world.submit(people.editor, resources={"cpu": 4, "memory": "1GB"})
        clock.advance(1)
        long = world.submit(people.editor, resources={"cpu": 1, "memory": "1GB"})
        short = world.submit(people.editor, resources={"cpu": 1, "memory": "1GB"}, max_duration="10m")
        world.queue.advance()
        states = [world.jobs.get(people.editor, job.id).state for job in (big, long, short)]
        assert states == ["queued", "queued", "preparing"]
        message = world.jobs.get(people.editor, big.id).message
        assert message == "waits for 4 cpu: 3 of 4 in use by train-1; it starts in at most 61 min"
        waits = world.jobs.get(people.editor, long.id).message
        assert waits == "waits for what is kept for train-2, before it in the queue"

    def test_names_of_other_projects_are_not_told(
        self, world: JobsWorld, people: People, rival: Caller
    ) -> None:
        world.running(rival, name="secret-merger", resources={"cpu": 4, "memory": "1GB"})
        job = world.submit(people.editor)
        world.queue.advance()
        message = world.jobs.get(people.editor, job.id).message
        assert message == "waits for 1 cpu: 4 of 4 in use by work of another project"


class TestQuotas:
    def test_a_project_waits_at_its_quota_and_others_go_on(
        self, world: JobsWorld, people: People, rival: Caller
    ) -> None:
        world.quotas.update(people.owner, "vision", QuotaUpdate(running_jobs=1))
        mine = [world.submit(people.editor) for _ in range(2)]
        theirs = world.submit(rival)
        world.queue.advance()
        assert world.jobs.get(rival, theirs.id).state == "preparing"
        waiting = world.jobs.get(people.editor, mine[1].id)
        assert (waiting.state, waiting.reason) == ("queued", "quota_exceeded")
        assert waiting.message == "project vision may have 1 running job: 1 run"
        world.quotas.update(people.owner, "vision", QuotaUpdate(running_jobs=None))
        world.queue.advance()
        assert world.jobs.get(people.editor, mine[1].id).state == "preparing"

    def test_what_is_left_out_stays_and_null_takes_a_limit_away(
        self, world: JobsWorld, people: People
    ) -> None:
        world.quotas.update(people.owner, "vision", QuotaUpdate(cpu=3, memory=GIB, weight=2))
        changed = world.quotas.update(people.owner, people.project.id, QuotaUpdate(cpu=None))
        assert (changed.cpu, changed.memory, changed.weight) == (None, GIB, 2)
        assert world.quotas.get(people.viewer) == changed
        events = [event.verb for event in world.events.list(people.viewer).items]
        assert events.count("quotas.update") == 2
        with pytest.raises(NotFound, match="no project 'nothing'"):
            world.quotas.update(people.owner, "nothing", QuotaUpdate(cpu=1))

    def test_a_heavier_project_has_more_turns(
        self, world: JobsWorld, people: People, rival: Caller
    ) -> None:
        world.quotas.update(people.owner, "vision", QuotaUpdate(weight=3))
        mine = [world.submit(people.editor) for _ in range(4)]
        theirs = [world.submit(rival) for _ in range(4)]
        world.queue.advance()
        started = [world.jobs.get(people.editor, job.id).state for job in mine].count("preparing")
        assert started == 3
        assert [world.jobs.get(rival, job.id).state for job in theirs].count("preparing") == 1


class TestQueue:
    def test_the_order_is_that_of_turns_and_says_why(
        self, world: JobsWorld, people: People, rival: Caller, clock: FixedClock
    ) -> None:
        world.running(people.editor, resources={"cpu": 4, "memory": "1GB"}, max_duration="30m")
        mine = [world.submit(people.editor) for _ in range(2)]
        clock.advance(1)
        theirs = world.submit(rival)
        entries = world.scheduling.list(people.owner).items
        assert [entry.id for entry in entries] == [theirs.id, mine[0].id, mine[1].id]
        assert [entry.position for entry in entries] == [1, 2, 3]
        assert entries[0].user == "stranger"
        assert "in use by train-1; it starts in at most" in (entries[1].message or "")
        assert entries[1].starts_by is not None

    def test_others_see_that_something_waits_and_not_what(
        self, world: JobsWorld, people: People, rival: Caller
    ) -> None:
        world.running(people.editor, resources={"cpu": 4, "memory": "1GB"})
        world.submit(people.editor, name="secret")
        own = world.submit(rival)
        entries = world.scheduling.list(rival).items
        assert [entry.id for entry in entries] == [own.id, None]
        hidden = entries[1]
        assert (hidden.project, hidden.job, hidden.user, hidden.message) == (None, None, None, None)
        shares = world.scheduling.shares(rival).items
        assert [(one.project, one.running, one.waiting) for one in shares] == [
            ("speech", 0, 1),
            (None, 1, 1),
        ]
        limited = replace(people.owner, project_ids=frozenset({rival.project_id}))
        assert [entry.id for entry in world.scheduling.list(limited).items] == [own.id, None]


class TestPriorityAndSpot:
    def test_a_higher_class_is_first_where_the_quota_allows_it(
        self, world: JobsWorld, people: People
    ) -> None:
        with pytest.raises(InvalidSpec, match="nacre quota set vision --priority high"):
            world.submit(people.editor, priority="high")
        world.quotas.update(people.owner, "vision", QuotaUpdate(priority="high"))
        low = world.submit(people.editor, priority="low", resources={"cpu": 4, "memory": "1GB"})
        high = world.submit(people.editor, priority="high", resources={"cpu": 4, "memory": "1GB"})
        world.queue.advance()
        assert world.jobs.get(people.editor, high.id).state == "preparing"
        assert world.jobs.get(people.editor, low.id).state == "queued"
        assert world.scheduling.list(people.owner).items[0].priority == "low"

    def test_spot_costs_less_makes_room_and_comes_back(self, world: JobsWorld, people: People) -> None:
        usual = world.jobs.plan(people.editor, JobSpec(commands=["x"]))
        cheap = world.jobs.plan(people.editor, JobSpec(commands=["x"], spot=True))
        assert cheap.price_per_hour == usual.price_per_hour // 2
        spot, attempt = world.running(
            people.editor, spot=True, stop_duration=7, resources={"cpu": 4, "memory": "1GB"}
        )
        world.report(attempt, {"type": "state", "state": "running"})
        normal = world.submit(people.editor)
        world.queue.advance()
        waiting = world.jobs.get(people.editor, normal.id)
        assert waiting.message == (
            "waits until train-1 ends, spot work that makes room for it; it starts in at most 7 s"
        )
        world.queue.advance()  # nobody else goes, nothing starts
        assert world.jobs.get(people.editor, normal.id).state == "queued"
        told = world.report(attempt)
        assert (told.desired, told.reason) == ("stop", "preempted")
        world.exit(attempt, reason="preempted")
        back = world.jobs.get(people.editor, spot.id)
        assert (back.state, back.reason) == ("queued", "preempted")
        assert back.message == "attempt 1 made room for work that is not spot; it waits for its place again"
        world.queue.advance()
        assert world.jobs.get(people.editor, normal.id).state == "preparing"
        assert world.jobs.get(people.editor, spot.id).state == "queued"
        world.exit(world.attempt(normal).id)
        world.queue.advance()
        again = world.jobs.get(people.editor, spot.id)
        assert (again.state, [a.reason for a in again.attempts]) == ("preparing", ["preempted", None])

    def test_a_launcher_that_heard_only_the_signal_was_pre_empted_all_the_same(
        self, world: JobsWorld, people: People
    ) -> None:
        spot, attempt = world.running(people.editor, spot=True, resources={"cpu": 4, "memory": "1GB"})
        world.submit(people.editor)
        world.queue.advance()
        world.exit(attempt, reason="cancelled_by_user", exit_code=143)
        assert (found := world.jobs.get(people.editor, spot.id)).state == "queued"
        assert found.attempts[0].reason == "preempted"

    def test_a_spot_job_that_somebody_stops_does_not_come_back(
        self, world: JobsWorld, people: People
    ) -> None:
        spot, attempt = world.running(people.editor, spot=True, resources={"cpu": 4, "memory": "1GB"})
        world.submit(people.editor)
        world.queue.advance()
        world.jobs.stop(people.editor, spot.id, JobStop())
        world.exit(attempt, reason="preempted")
        assert world.jobs.get(people.editor, spot.id).state == "cancelled"

    def test_the_words_of_azure_are_read(self) -> None:
        spec = JobSpec.model_validate(
            {"command": "x", "queue_settings": {"job_tier": "Spot", "priority": "Medium"}}
        )
        assert (spec.spot, spec.priority) == (True, "normal")
        with pytest.raises(ValueError, match="queue_settings: unknown field 'pool'"):
            JobSpec.model_validate({"command": "x", "queue_settings": {"pool": "a"}})
