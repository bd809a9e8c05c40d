"""A share waits until its revision has the replicas for it, and not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from tests.conftest import People
from tests.replicas_kit import ReplicasWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointRow, RevisionRow
from nacre.services.endpoint_bills import EndpointBills
from nacre.services.endpoint_gathering import PATIENCE
from nacre.services.endpoint_traffic import EndpointTraffic, answering

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Stage:
    """An endpoint of replicas, and what gives revisions their shares."""

    def __init__(self, world: ReplicasWorld) -> None:
        self.world = world
        jobs = world.jobs
        self.traffic = EndpointTraffic(
            world.clock,
            EndpointBills(world.clock, jobs.prices, jobs.usage),
            world.replicas.ready_sockets,
        )

    def want(self, shares: dict[int, int]) -> None:
        with self.world.db.write() as session:
            row = session.get_one(EndpointRow, self.world.endpoint_id)
            self.traffic.want(session, row, shares, {}, back=False)

    def again(self) -> dict[int, int]:
        """Another look of the settling; the shares that are told then."""
        with self.world.db.write() as session:
            row = session.get_one(EndpointRow, self.world.endpoint_id)
            revisions = session.scalars(select(RevisionRow).order_by(RevisionRow.number)).all()
            self.traffic._advance(session, row, revisions)
            return answering(revisions)


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ReplicasWorld:
    made = ReplicasWorld(database, clock, people, tmp_path)
    made.started(min_replicas=1, max_replicas=4, target=4)
    made.load(1, 16.0, 15)
    assert made.revision().wanted == 4
    return made


@pytest.fixture
def stage(world: ReplicasWorld) -> Stage:
    return Stage(world)


def test_a_new_revision_answers_once_it_has_as_many_as_the_old_one(
    stage: Stage, world: ReplicasWorld
) -> None:
    world.revise(state="retired", traffic=0)
    stage.want({2: 100})
    world.greeting = False
    world.tick(1)
    assert world.states(2) == ["starting"] * 4
    first = world.replicas.starting(world.replicas.groups())[0]
    world.replicas.ready(first)
    world.change(2, state="ready")  # by the word of the model server: one is up
    assert stage.again() == {1: 100}
    world.tick(20)
    assert (world.states(2), world.revision(2).wanted) == (["ready", *["starting"] * 3], 4)
    assert stage.again() == {1: 100}
    world.greeting = True
    world.tick(1)
    assert stage.again() == {2: 100}


def test_it_does_not_wait_for_ever(stage: Stage, world: ReplicasWorld) -> None:
    world.revise(state="ready", traffic=0)
    stage.want({2: 100})
    world.clock.advance(PATIENCE.total_seconds())
    assert stage.again() == {1: 100}
    world.clock.advance(1)
    assert stage.again() == {2: 100}


def test_a_wait_that_was_given_up_is_not_counted_later(stage: Stage, world: ReplicasWorld) -> None:
    world.revise(state="ready", traffic=0)
    stage.want({2: 100})
    world.change(2, state="failed")
    assert stage.again() == {1: 100}
    world.clock.advance(PATIENCE.total_seconds() + 1)
    world.change(2, state="ready")
    assert stage.again() == {1: 100}


def test_a_canary_that_is_promoted_grows_first(stage: Stage, world: ReplicasWorld) -> None:
    world.revise(state="ready", traffic=10, served=10)
    world.change(1, traffic=90, served=90)
    world.tick(1)
    world.tick(1)
    assert world.states(2) == ["ready"]
    assert stage.again() == {1: 90, 2: 10}
    stage.want({2: 100})
    assert stage.again() == {1: 90, 2: 10}
    world.tick(1)
    world.tick(1)
    assert world.states(2) == ["ready"] * 4
    assert stage.again() == {2: 100}


def test_where_nothing_answers_nothing_is_waited_for(stage: Stage, world: ReplicasWorld) -> None:
    world.change(1, state="failed", traffic=0, served=0)
    world.revise(state="retired", traffic=0)
    stage.want({2: 100})
    world.change(2, state="ready")
    assert stage.again() == {2: 100}


def test_one_that_is_taken_back_keeps_its_replicas_while_it_answers(world: ReplicasWorld) -> None:
    world.revise()
    world.change(1, state="failed", reason="worse_errors", traffic=0)
    world.tick(1)
    assert world.states(1) == ["ready"] * 4
    world.change(1, served=0)
    world.tick(1)
    assert world.states(1) == ["draining"] * 4
