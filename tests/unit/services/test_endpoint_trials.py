"""A new revision that fails or is slow is taken back; one that does as the others do is left."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.modelserver.stats import Stats
from nacre.schema.endpoints import Endpoint
from nacre.schema.serving import ServedRevisionState, ServedState, ServingStatus
from nacre.services.endpoint_trials import EndpointTrials

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


class Load:
    """Requests to the revisions of an endpoint, as a model server counts them, two seconds at a time."""

    def __init__(self, world: ModelsWorld, people: People, clock: FixedClock) -> None:
        self.world, self.people, self.clock = world, people, clock
        self.stats: dict[int, Stats] = {}
        self.trials = EndpointTrials(clock, world.endpoints.settling)

    def restart(self) -> None:
        """The control plane after it was killed: what was seen is forgotten."""
        self.trials = EndpointTrials(self.clock, self.world.endpoints.settling)

    def run(self, seconds: int, **per_s: tuple[int, float, int]) -> Endpoint:
        """Each second so many requests of a revision, of such a length, of which so many in a hundred fail
        (``r2=(5, 0.01, 20)``). What is the case afterwards."""
        for _ in range(seconds // 2):
            for name, (count, length, failing) in per_s.items():
                stats = self.stats.setdefault(int(name[1:]), Stats())
                for _ in range(count * 2):
                    stats.add(length, 500 if stats.requests * failing % 100 < failing else 200)
            self.clock.advance(2)
            self.trials.look(self.status())
            self.world.serve()
        return self.world.endpoints.get(self.people.viewer, "ask")

    def status(self) -> ServingStatus:
        routes = self.world.endpoints.settling.wanted_routes()
        served = {one.revision for one in routes.endpoints["vision/ask"].revisions}
        told = [
            ServedRevisionState(
                revision=number,
                state="ready",
                requests=stats.requests,
                errors={str(status): count for status, count in stats.by_status.items()},
                buckets=stats.buckets,
            )
            for number, stats in self.stats.items()
            if number in served
        ]
        return ServingStatus(generation=1, pid=1, endpoints={"vision/ask": ServedState(revisions=told)})


FAST, SLOW, BAD = (10, 0.002, 0), (10, 0.02, 0), (10, 0.002, 30)


@pytest.fixture
def load(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Load:
    world = models_kit.world(database, clock, tmp_path)
    world.ready(people.editor)
    world.deploy(people.editor)
    world.serve()
    found = Load(world, people, clock)
    found.run(20, r1=FAST)
    return found


def states(found: Endpoint) -> list[tuple[str, str | None, int]]:
    return [(one.state, one.reason, one.answering) for one in reversed(found.revisions)]


def canary(load: Load) -> None:
    load.world.deploy(load.people.editor, traffic=50)
    load.world.serve()


def replacement(load: Load) -> None:
    load.world.deploy(load.people.editor)
    load.world.serve()


class TestCanary:
    def test_one_that_fails_is_taken_back(self, load: Load) -> None:
        canary(load)
        found = load.run(20, r1=FAST, r2=BAD)
        assert states(found) == [("ready", None, 100), ("failed", "worse_errors", 0)]
        assert (found.state, found.reason) == ("ready", "rolled_back")
        assert "of its " in (found.revisions[0].message or "")

    def test_one_that_is_slow_is_taken_back(self, load: Load) -> None:
        canary(load)
        found = load.run(20, r1=FAST, r2=SLOW)
        assert states(found) == [("ready", None, 100), ("failed", "worse_latency", 0)]

    def test_one_that_does_as_the_other_is_left(self, load: Load) -> None:
        canary(load)
        assert states(load.run(120, r1=BAD, r2=BAD)) == [("ready", None, 50), ("ready", None, 50)]
        assert states(load.run(60, r1=SLOW, r2=SLOW)) == [("ready", None, 50), ("ready", None, 50)]

    @pytest.mark.parametrize(("bad", "reason"), [(BAD, "worse_errors"), (SLOW, "worse_latency")])
    def test_a_restart_of_the_server_costs_what_was_counted_until_then(
        self, load: Load, bad: tuple[int, float, int], reason: str
    ) -> None:
        canary(load)
        load.run(4, r1=FAST, r2=bad)
        load.restart()
        load.run(4, r1=FAST, r2=bad)
        assert states(load.run(2, r1=FAST, r2=bad))[1] == ("ready", None, 50), "40 requests tell nothing"
        assert states(load.run(10, r1=FAST, r2=bad))[1] == ("failed", reason, 0)

    def test_after_a_restart_of_the_server_one_that_does_as_the_other_is_left(self, load: Load) -> None:
        canary(load)
        load.run(4, r1=BAD, r2=BAD)
        load.restart()
        assert states(load.run(120, r1=BAD, r2=BAD))[1] == ("ready", None, 50)

    def test_it_is_never_too_late(self, load: Load) -> None:
        canary(load)
        load.run(60, r1=FAST, r2=FAST)
        load.clock.advance(86_400)
        load.run(20, r1=FAST, r2=FAST)
        assert states(load.run(60, r1=FAST, r2=BAD))[1] == ("failed", "worse_errors", 0)


class TestReplacement:
    def test_it_is_compared_with_what_answered_before(self, load: Load) -> None:
        replacement(load)
        found = load.run(20, r2=SLOW)
        assert states(found) == [("ready", None, 100), ("failed", "worse_latency", 0)]

    def test_one_that_is_no_worse_is_left(self, load: Load) -> None:
        replacement(load)
        assert states(load.run(60, r2=FAST)) == [("retired", None, 0), ("ready", None, 100)]

    def test_after_some_time_it_is_its_own_measure(self, load: Load) -> None:
        replacement(load)
        load.run(60, r2=FAST)
        load.clock.advance(700)
        assert states(load.run(60, r2=SLOW)) == [("retired", None, 0), ("ready", None, 100)]

    @pytest.mark.parametrize(("bad", "reason"), [(BAD, "worse_errors"), (SLOW, "worse_latency")])
    def test_a_restart_of_the_server_forgets_nothing_of_those_before(
        self, load: Load, bad: tuple[int, float, int], reason: str
    ) -> None:
        replacement(load)
        load.run(2, r2=FAST)
        load.restart()
        assert states(load.run(20, r2=bad)) == [("ready", None, 100), ("failed", reason, 0)]

    def test_one_that_is_no_worse_is_left_also_after_a_restart(self, load: Load) -> None:
        load.run(80, r1=BAD)
        replacement(load)
        load.run(2, r2=BAD)
        load.restart()
        assert states(load.run(60, r2=BAD)) == [("retired", None, 0), ("ready", None, 100)]

    def test_another_replacement_is_compared_with_the_latest(self, load: Load) -> None:
        replacement(load)
        load.run(20, r2=FAST)
        replacement(load)
        load.run(2, r3=FAST)
        load.restart()
        found = load.run(20, r3=SLOW)
        assert states(found)[1:] == [("ready", None, 100), ("failed", "worse_latency", 0)]

    def test_after_a_restart_in_the_moment_of_the_change_errors_are_enough(self, load: Load) -> None:
        replacement(load)
        load.restart()
        load.run(2, r2=FAST)
        assert states(load.run(20, r2=SLOW))[1] == ("ready", None, 100)
        assert states(load.run(20, r2=BAD)) == [
            ("ready", None, 100),
            ("failed", "worse_errors", 0),
        ]

    def test_the_first_one_has_nothing_to_go_back_to(self, load: Load) -> None:
        assert states(load.run(60, r1=BAD)) == [("ready", None, 100)]

    def test_gone_back_to_it_is_on_trial_no_more(self, load: Load) -> None:
        replacement(load)
        load.run(20, r2=BAD)
        assert states(load.run(60, r1=SLOW))[0] == ("ready", None, 100)


def test_what_is_remembered_is_bounded(load: Load) -> None:
    for _ in range(3):
        replacement(load)
        load.run(4, r1=FAST)
    load.run(200, r4=FAST)
    assert set(load.trials._windows) >= {("vision/ask", 4)}
    load.clock.advance(3600)
    load.run(2, r4=FAST)
    assert set(load.trials._windows) == {("vision/ask", 4)}
