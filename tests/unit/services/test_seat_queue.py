"""What instances and replicas of endpoints are told to do alike by their queues, and whom each tells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from tests.conftest import People
from tests.replicas_kit import ReplicasWorld
from tests.unit.services.instance_house import House

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.schema.endpoints import ReplicaState
from nacre.schema.instances import InstanceState
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.seat_queue import FAILED, QUEUED, STARTING
from nacre.services.signals import Signals
from nacre.testing.environments import FakeEnvironments


@pytest.fixture
def house(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> House:
    house = House(database, clock, people, tmp_path)
    house.create()
    return house


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ReplicasWorld:
    world = ReplicasWorld(database, clock, people, tmp_path)
    world.deploy()
    [group] = world.replicas.groups()
    assert world.replicas.reconcile(group, 1)
    return world


@contextmanager
def told(signals: Signals, *topics: str) -> Iterator[list[str]]:
    """Which of the topics were told of, once it is left."""
    found: list[str] = []
    with ExitStack() as stack:
        events: list[Event] = [stack.enter_context(signals.listen(topic)) for topic in topics]
        yield found
        found += [topic for topic, event in zip(topics, events, strict=True) if event.is_set()]


def meanwhile(spec: Callable[..., Any], happens: Callable[[], object]) -> Callable[..., Any]:
    """A maker of specs while which something happens."""

    def slow(*args: Any) -> Any:
        happens()
        return spec(*args)

    return slow


def forget(environments: EnvironmentCatalogue, builder: FakeEnvironments, people: People) -> None:
    """What was built is not there any more."""
    for found in environments.list(people.editor).items:
        if found.digest is not None:
            builder.delete(found.digest)


def test_both_have_the_states_of_the_queue() -> None:
    for state in (QUEUED, STARTING, FAILED):
        assert (InstanceState(state).value, ReplicaState(state).value) == (state, state)


class TestInstance:
    @contextmanager
    def told(self, house: House) -> Iterator[list[str]]:
        with told(house.signals, f"instance:{house.get().id}", "instances") as found:
            yield found
        found[:] = [topic.partition(":")[0] for topic in found]

    def test_those_who_look_at_it_are_told_why_it_waits_once(self, house: House) -> None:
        with self.told(house) as found:
            assert house.queue.advance() == 0
        assert (house.get().reason, found) == ("environment_building", ["instance"])
        with self.told(house) as found:
            assert house.queue.advance() == 0
        assert found == []

    def test_those_who_look_at_it_are_told_of_its_start(self, house: House) -> None:
        house.build()
        with self.told(house) as found:
            assert house.queue.advance() == 1
        assert (house.get().state, found) == (InstanceState.STARTING, ["instance"])
        [usage] = house.usage_rows()
        assert (usage.subject_id, usage.user_id) == (house.get().id, house.people.editor.user_id)

    def test_one_that_cannot_be_launched_has_failed(
        self, house: House, caplog: pytest.LogCaptureFixture
    ) -> None:
        house.build()
        forget(house.environments, house.builder, house.people)
        with self.told(house) as found:
            assert house.queue.advance() == 0
        lab = house.get()
        assert (lab.state, lab.reason, found) == (InstanceState.FAILED, "launch_failed", ["instance"])
        assert "start the instance again" in (lab.message or "")
        assert f"instance {lab.id} cannot be launched" in caplog.text

    def test_one_that_is_stopped_while_it_is_prepared_is_not_launched(
        self, house: House, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        house.build()
        stop = meanwhile(house.launches.spec, lambda: house.instances.stop(house.people.editor, "lab"))
        monkeypatch.setattr(house.launches, "spec", stop)
        with self.told(house) as found:
            assert house.queue.advance() == 0
        assert house.get().state is InstanceState.STOPPED
        assert "instances" in found  # its loop looks again
        assert not house.engine.launched
        assert not house.usage_rows()


class TestReplica:
    @contextmanager
    def told(self, world: ReplicasWorld) -> Iterator[list[str]]:
        with told(world.jobs.signals, "serving", "endpoints") as found:
            yield found

    def test_those_who_look_at_endpoints_are_told_why_it_waits_once(self, world: ReplicasWorld) -> None:
        with self.told(world) as found:
            assert world.jobs.endpoint_queue.advance() == 0
        [row] = world.rows()
        assert (row.reason, found) == ("environment_building", ["serving"])
        with self.told(world) as found:
            assert world.jobs.endpoint_queue.advance() == 0
        assert found == []

    def test_those_who_look_at_endpoints_are_told_of_its_start(self, world: ReplicasWorld) -> None:
        world.jobs.build_environments()
        with self.told(world) as found:
            assert world.jobs.endpoint_queue.advance() == 1
        assert (world.states(), found) == (["starting"], ["serving"])
        [usage] = world.usage()
        assert (usage.subject_id, usage.user_id) == (world.endpoint_id, world.people.editor.user_id)

    def test_one_that_cannot_be_launched_has_ended_and_its_loop_makes_another(
        self, world: ReplicasWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.jobs.build_environments()
        forget(world.jobs.environments, world.jobs.builder, world.people)
        with self.told(world) as found:
            assert world.jobs.endpoint_queue.advance() == 0
        [row] = world.rows()
        assert (row.state, row.reason, found) == ("failed", "launch_failed", ["endpoints"])
        assert (row.ended_at, row.queued_at) == (world.clock.now(), None)
        assert "a replica of endpoint digits cannot be launched" in caplog.text

    def test_one_that_is_gone_when_it_is_prepared_is_not_launched(
        self, world: ReplicasWorld, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.jobs.build_environments()
        launches = world.jobs.endpoint_launches
        monkeypatch.setattr(launches, "spec", meanwhile(launches.spec, world.delete))
        with self.told(world) as found:
            assert world.jobs.endpoint_queue.advance() == 0
        assert (world.rows(), found) == ([], ["endpoints"])  # its loop looks again
        assert not world.engine.launched
        assert not world.usage()
