"""The replicas of endpoints: placed, ready, scaled, drained, replaced, given up, billed."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import People
from tests.replicas_kit import MANIFEST, ReplicasWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.errors import Conflict, PluginError
from nacre.schema.queue import QuotaUpdate
from nacre.schema.serving import ServedRevisionState


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> ReplicasWorld:
    return ReplicasWorld(database, clock, people, tmp_path)


def hang(world: ReplicasWorld, number: int = 1) -> str:
    """The model server tells that the oldest replica that answers hangs; its id."""
    ready = [row.id for row in world.rows(number) if row.state == "ready"]
    states = dict.fromkeys(ready, "up") | {ready[0]: "hung: it has answered nothing for 92 s"}
    world.told = {number: ServedRevisionState(revision=number, state="ready", replicas=states)}
    return ready[0]


class TestHung:
    def test_it_leaves_the_routes_is_ended_and_another_comes(self, world: ReplicasWorld) -> None:
        world.started(min_replicas=2, max_replicas=2)
        hung = hang(world)
        world.tick(1)
        row = next(row for row in world.rows() if row.id == hung)
        assert (row.state, row.reason) == ("draining", "hung")
        assert row.message == "the replica hung: it has answered nothing for 92 s"
        assert hung not in world.sockets()
        [stopping] = [one for one in world.attempts() if one.desired == "stop"]
        assert (stopping.subject_id, stopping.desired_reason, stopping.desired_grace) == (hung, "hung", 2)
        world.tick(1)  # it hangs still, and is not ended twice
        world.tick(1)
        assert world.states() == ["draining", "ready", "ready"]
        assert world.stopped() == 1
        world.tick(1)
        row = next(row for row in world.rows() if row.id == hung)
        assert (row.state, row.reason) == ("failed", "hung")
        assert row.message is not None
        assert row.message.startswith("the replica hung: it has answered nothing for 92 s")
        assert world.states() == ["failed", "ready", "ready"]

    def test_those_that_hang_again_and_again_are_tried_ever_less(self, world: ReplicasWorld) -> None:
        world.started()
        waits = []
        for _ in range(5):
            hang(world)
            world.tick(1)
            since, count = world.clock.now(), len(world.rows())
            while len(world.rows()) == count:
                world.tick(0.25)
                world.stopped()
            waits.append((world.rows()[-1].created_at - since).total_seconds())
            while not world.sockets():
                world.tick(0.1)
        assert waits == [0.25, 1, 2, 4, 8]
        assert world.revision().state == "ready"

    def test_what_is_only_away_is_left_alone(self, world: ReplicasWorld) -> None:
        world.started()
        [row] = world.rows()
        for said in ("it has closed the connection", "it has answered nothing for 61 s", "up"):
            replicas = {row.id: said}
            world.told = {1: ServedRevisionState(revision=1, state="ready", replicas=replicas)}
            world.tick(1)
            assert world.states() == ["ready"]


class TestStart:
    def test_from_a_wish_to_an_answer(self, world: ReplicasWorld) -> None:
        world.deploy(min_replicas=2)
        world.tick()
        assert world.states() == ["queued", "queued"]
        assert {row.reason for row in world.rows()} == {"environment_building"}
        assert world.rows()[0].message == "waits for the environment base: waiting to be built"
        world.jobs.build_environments()
        world.greeting = False
        world.tick(30)
        assert world.states() == ["starting", "starting"]
        assert world.sockets() == []
        world.greeting = True
        world.tick(4)
        assert world.states() == ["ready", "ready"]
        assert len(world.sockets()) == 2
        assert [one.cold_start_s for one in world.shown()] == [34, 34]
        assert {one.node for one in world.shown()} == {"local"}
        assert world.revision().wanted == 2

    def test_what_is_launched_has_the_model_and_nothing_else(self, world: ReplicasWorld) -> None:
        world.started()
        [row] = world.attempts()
        spec = world.engine.launched[row.id].spec
        assert (spec.kind, spec.subject_name, spec.network) == ("endpoint", "digits", "none")
        assert [item.manifest for item in spec.inputs] == [MANIFEST]
        assert spec.command[4:] == ["--model", "${{inputs.model}}/model.joblib", "--grace", "60"]
        assert spec.limits.grace_s == 65
        assert "nacre.modelserver.replica" in spec.command[2]
        assert (spec.work_token, spec.api_socket_folder, spec.api_url, spec.packages) == (
            "",
            None,
            None,
            None,
        )
        assert (spec.run_id, spec.capture, spec.secrets) == (None, False, {})
        assert (spec.limits.cpu, spec.limits.memory_bytes, spec.limits.gpus) == (1, 2 * 2**30, [])
        with world.db.read() as session:
            assert world.jobs.endpoint_launches.manifests(session, row.subject_id) == [MANIFEST]

    def test_a_type_with_a_gpu_gets_a_device(self, world: ReplicasWorld) -> None:
        world.deploy()
        world.change(type="gpu.small")
        world.jobs.build_environments()
        world.tick()
        [row] = world.attempts()
        assert world.engine.launched[row.id].spec.limits.gpus == [0]
        assert world.usage()[0].gpu == 1

    def test_it_waits_for_room_and_says_what_for(self, world: ReplicasWorld, people: People) -> None:
        world.jobs.running(people.editor, resources={"cpu": 7.5, "memory": "1GB"})
        world.deploy(environment="base")
        world.tick()
        [row] = world.rows()
        assert (row.state, row.reason) == ("queued", "no_capacity")
        assert row.message == "waits for 1 cpu: 7.5 of 8 in use by train-1"
        [entry] = world.jobs.scheduling.list(people.owner).items
        assert (entry.kind, entry.job, entry.id, entry.message) == (
            "endpoint",
            "digits",
            row.id,
            row.message,
        )
        [share] = world.jobs.scheduling.shares(people.owner).items
        assert (share.running, share.waiting) == (1, 1)

    def test_it_has_its_turn_before_jobs_and_within_quotas(
        self, world: ReplicasWorld, people: People
    ) -> None:
        world.jobs.quotas.update(people.owner, "vision", QuotaUpdate(cpu=1))
        job = world.jobs.submit(people.editor)
        world.deploy()
        world.tick()
        world.jobs.queue.advance()
        assert world.states() == ["ready"]
        assert world.jobs.jobs.get(people.editor, job.id).reason == "quota_exceeded"

    def test_one_that_does_not_answer_is_stopped_in_the_end(self, world: ReplicasWorld) -> None:
        world.deploy()
        world.jobs.build_environments()
        world.greeting = False
        world.tick()
        world.tick(599)
        assert world.stopped() == 0
        world.tick(2)
        assert world.stopped() == 1
        row = world.rows()[0]
        assert (row.state, row.reason) == ("failed", "not_ready")
        assert row.message == "it did not answer within 600 seconds"

    def test_an_environment_in_use_is_not_deleted(self, world: ReplicasWorld, people: People) -> None:
        from nacre.schema.environments import EnvironmentCreate

        environments = world.jobs.environments
        environments.create(people.editor, EnvironmentCreate(name="mine", requirements="six"))
        world.deploy(environment="mine")
        world.tick()
        with pytest.raises(Conflict, match="endpoint digits uses the environment mine"):
            environments.delete(people.editor, "mine")

    def test_an_environment_that_is_gone_is_built_again(self, world: ReplicasWorld) -> None:
        world.started()
        told = world.jobs.endpoint_launches
        [row] = world.rows()
        with world.db.read() as session:
            found = told.told(session, row.id)
            assert found is not None
            digest = world.jobs.environments.status(session, row.environment_id or "").digest
        world.jobs.builder.delete(digest or "")
        with pytest.raises(PluginError, match="built again"):
            told.spec(found, "att_x", world.engine.machines[0], [])


class TestScale:
    def test_one_to_four_to_one(self, world: ReplicasWorld) -> None:
        world.started(max_replicas=4, target=4)
        world.load(1, 3.0, 45)
        assert world.states() == ["ready"]
        world.load(1, 16.0, 12)
        assert world.states() == ["ready"] * 4
        first = world.sockets()[0]
        world.load(1, 2.0, 25)
        assert len(world.sockets()) == 4, "a moment of quiet is none yet"
        world.load(1, 2.0, 20)
        assert world.sockets() == [first], "the youngest go"
        assert world.states() == ["draining"] * 3 + ["ready"]
        world.load(1, 2.0)
        world.load(1, 2.0)
        assert world.stopped() == 3
        assert world.states() == ["ready", *["stopped"] * 3]
        assert {row.reason for row in world.rows()} == {None, "scaled_down"}
        assert len(world.shown()) == 1

    def test_what_drains_ends_once_nothing_is_sent_to_it(self, world: ReplicasWorld) -> None:
        world.started(max_replicas=2, target=4)
        world.load(1, 8.0, 12)
        one, two = world.sockets()
        while "draining" not in world.states():
            world.load(1, 1.0)
        assert world.sockets() == [one]
        assert world.told is not None
        still = ServedRevisionState(revision=1, state="ready", in_flight=1, replicas={one: "up", two: "up"})
        world.told[1] = still
        world.tick(50)
        assert world.stopped() == 0, "a worker of the model server still sends to it"
        world.told[1] = still.model_copy(update={"replicas": {one: "up"}})
        world.tick(1)
        assert world.stopped() == 1

    def test_what_drains_ends_when_its_requests_had_their_time(self, world: ReplicasWorld) -> None:
        world.started()
        world.change(state="retired", traffic=0, served=0)
        world.told = None  # nobody can tell
        world.tick(1)
        assert world.states() == ["draining"]
        world.tick(59)
        assert world.stopped() == 0
        world.tick(3)
        assert world.stopped() == 1
        assert [row.reason for row in world.rows()] == ["replaced"]

    def test_to_zero_and_back_on_demand(self, world: ReplicasWorld) -> None:
        world.started(min_replicas=0, idle_s=300, target=2, max_replicas=3)
        world.load(1, 1.0, 5)
        world.load(1, 0.0, 290)
        assert world.states() == ["ready"]
        world.load(1, 0.0, 15)
        assert world.revision().wanted == 0
        world.stopped()
        assert world.states() == ["stopped"]
        world.load(1, 0.0, 100)
        assert world.sockets() == []
        assert world.told is not None
        world.told[1] = world.told[1].model_copy(update={"in_flight": 1, "waiting": 1})
        world.tick()  # what 'endpoints' wakes
        assert world.states() == ["ready", "stopped"]
        assert world.revision().wanted == 1

    def test_a_server_that_was_away_does_not_take_that_for_idleness(self, world: ReplicasWorld) -> None:
        world.started(min_replicas=0, idle_s=60)
        world.load(1, 0.0, 50)
        assert world.revision().idle_since is not None
        world = world.restarted()
        world.clock.advance(1000)
        world.load(1, 0.0, 50)
        assert world.states() == ["ready"]
        world.load(1, 0.0, 20)
        assert world.states() == ["draining"]

    def test_those_that_did_not_start_yet_go_first(self, world: ReplicasWorld, people: People) -> None:
        world.started(max_replicas=4, target=4)
        _, attempt = world.jobs.running(people.editor, resources={"cpu": 6, "memory": "1GB"})
        world.greeting = False
        world.load(1, 16.0, 5)
        assert world.states() == ["queued", "queued", "ready", "starting"]
        world.change(wanted=2)
        world.load(1, 8.0, 8)
        world.load(1, 4.0, 41)
        assert world.states() == ["draining", "ready"], "what was queued is gone without a trace"
        world.stopped()
        assert world.states() == ["ready", "stopped"]
        world.jobs.exit(attempt)

    def test_bounds_by_schedule(self, world: ReplicasWorld) -> None:
        now = world.clock.now()
        nightly = {"from_time": f"{(now.hour + 1) % 24:02}:00", "to_time": f"{(now.hour + 2) % 24:02}:00"}
        world.started(schedules=[{**nightly, "min_replicas": 3, "max_replicas": 3}])
        world.tick(3600)
        assert len(world.rows()) == 3
        world.tick(3600)
        world.load(1, 0.0, 45)
        assert len(world.sockets()) == 1

    def test_a_new_revision_begins_as_large_as_its_share(self, world: ReplicasWorld) -> None:
        world.started(max_replicas=4, target=4)
        world.load(1, 16.0, 15)
        canary, whole = world.revise(traffic=10), world.revise(traffic=100)
        world.tick(1)
        world.tick(1)
        assert (len(world.rows(canary)), len(world.rows(whole))) == (1, 4)
        assert len(world.sockets(1)) == 4, "it answers until it is served no more"
        world.change(whole, state="ready", served=100)
        world.change(1, traffic=0, served=0)
        world.told = {}
        world.tick(1)
        world.tick(2)
        assert world.sockets(1) == []
        assert world.stopped() == 4


class TestFailures:
    def test_one_that_dies_is_replaced_at_once(self, world: ReplicasWorld) -> None:
        world.started(min_replicas=2, max_replicas=2)
        world.tick(100)
        gone, stays = world.rows()
        world.die(gone, "out_of_memory")
        assert world.sockets() == [stays.id]
        world.tick(0.2)
        world.tick(0.2)
        assert world.states() == ["failed", "ready", "ready"]
        assert [(one.state, one.reason) for one in world.shown()][-1] == ("failed", "out_of_memory")

    def test_after_five_that_never_answered_the_revision_has_failed(self, world: ReplicasWorld) -> None:
        world.deploy(min_replicas=3, max_replicas=3)
        world.jobs.build_environments()
        world.greeting = False
        world.tick()
        tries: list[float] = []
        begin, seen = world.clock.now(), 3
        for row in world.rows():
            (log := world.jobs.attempts.log_path(row.attempt_id or "")).parent.mkdir(parents=True)
            log.write_text("Traceback …\nValueError: no such model\n")
            world.die(row)
        for _ in range(100):
            world.tick(0.5)
            rows = world.rows()
            if len(rows) > seen:
                assert len(rows) == seen + 1, "one by one, as long as none answers"
                seen = len(rows)
                tries.append((world.clock.now() - begin).total_seconds())
                world.die(rows[-1])
        assert tries == [2.0, 6.0]  # 2 s after three failures, 4 s after four
        found = world.revision()
        assert (found.state, found.wanted, found.reason) == ("failed", 0, "exit_nonzero")
        assert found.message is not None
        assert found.message.startswith("5 replicas in a row did not start; the last one: ")
        assert [one.state for one in world.shown()] == ["failed"]

    def test_another_start_of_it_counts_anew(self, world: ReplicasWorld) -> None:
        self.test_after_five_that_never_answered_the_revision_has_failed(world)
        world.change(state="starting", reason=None, message=None)
        world.greeting = True
        world.tick(1)
        world.tick(1)
        assert len(world.sockets()) == 3

    def test_those_that_answer_only_for_a_moment_rest_longer_each_time(self, world: ReplicasWorld) -> None:
        world.started()
        begun: list[float] = []
        begin = world.clock.now()
        for _ in range(260):
            if sockets := world.sockets():
                begun.append((world.clock.now() - begin).total_seconds())
                world.die(next(row for row in world.rows() if row.id == sockets[0]))
            world.tick(0.5)
        rests = [after - before for before, after in pairwise(begun)]
        assert [round(rest) for rest in rests[:8]] == [0, 1, 2, 4, 8, 16, 32, 60]
        assert world.revision().state == "ready"

    @pytest.mark.parametrize(
        ("fields", "said"),
        [
            ({"type": "huge"}, "there is no instance type 'huge'"),
        ],
    )
    def test_what_can_never_start_fails_at_once(
        self, world: ReplicasWorld, fields: dict[str, Any], said: str
    ) -> None:
        world.deploy()
        world.change(**fields)
        world.tick()
        found = world.revision()
        assert (found.state, found.reason) == ("failed", "replicas_failed")
        assert found.message is not None
        assert found.message.startswith(said)

    def test_an_environment_that_cannot_be_built_fails_the_revision(
        self, world: ReplicasWorld, people: People
    ) -> None:
        from nacre.schema.environments import EnvironmentCreate

        world.jobs.environments.create(
            people.editor, EnvironmentCreate(name="mine", requirements="no-such-package")
        )
        world.deploy(environment="mine")
        world.jobs.build_environments()
        for _ in range(40):
            world.tick(0.5)
        found = world.revision()
        assert (found.state, found.reason) == ("failed", "environment_failed")
        assert "no-such-package was not found" in (found.message or "")

    def test_an_engine_that_cannot_tell_changes_nothing(self, world: ReplicasWorld) -> None:
        world.started()
        world.engine.down = True
        world.tick(5)
        assert world.states() == ["ready"]
        world.engine.heal()
        world.tick(5)
        assert world.states() == ["ready"]


class TestMoney:
    def test_each_replica_is_one_record_from_its_placement_to_its_end(self, world: ReplicasWorld) -> None:
        world.started(max_replicas=2, target=4)
        begin = world.rows()[0].created_at
        world.load(1, 8.0, 12)
        world.load(1, 1.0, 45)
        world.stopped()
        one, two = world.usage()
        for row in (one, two):
            assert (row.kind, row.subject_id, row.subject_name) == ("endpoint", world.endpoint_id, "digits")
            assert (row.user_id, row.cpu) == (world.people.editor.user_id, 1)
            assert row.price_per_hour == world.jobs.prices.type("cpu.small").price_per_hour > 0
        assert (one.started_at, one.ended_at) == (begin, None)
        assert two.ended_at is not None
        assert two.ended_at == world.rows()[1].ended_at
        [first, second] = world.attempts()
        assert (first.allocated_at, second.allocated_at) == (one.started_at, two.started_at)

    def test_machines_show_what_it_holds(self, world: ReplicasWorld) -> None:
        world.started(min_replicas=2, max_replicas=2)
        with world.db.read() as session:
            held = world.jobs.attempts.holdings(session)
        assert [(one.name, one.cpu, one.job) for one in held] == [("endpoint digits", 1.0, False)] * 2


class TestEnds:
    def test_a_deleted_endpoint_takes_its_replicas_along(self, world: ReplicasWorld) -> None:
        world.started(min_replicas=2, max_replicas=2)
        world.delete()
        world.tick(1)
        assert world.stopped() == 2
        assert all(row.ended_at for row in world.usage())
        world.tick(1)  # closed
        world.tick(4000)
        assert world.attempts() == []
        assert len(world.usage()) == 2

    def test_one_that_was_to_be_launched_when_its_endpoint_went(self, world: ReplicasWorld) -> None:
        world.deploy()
        world.jobs.build_environments()
        world.loop.run_once()
        [row] = world.attempts()
        world.engine.replicas.clear()
        with world.db.write() as session:
            from nacre.db.tables.attempts import AttemptRow, ReplicaRow

            session.get_one(ReplicaRow, (row.id, 0)).state = "placed"
            session.get_one(AttemptRow, row.id).state = "placed"
        world = world.restarted()
        world.delete()
        world.jobs.loop.run_once()
        [row] = world.attempts()
        assert row.reason == "launch_failed"
        assert world.usage()[0].ended_at is not None

    def test_what_is_over_is_forgotten_after_an_hour(self, world: ReplicasWorld) -> None:
        world.started(min_replicas=2, max_replicas=2)
        world.tick(100)
        for row in world.rows():
            world.die(row)
        world.tick(1)
        world.tick(1)
        log = world.jobs.attempts.log_path(world.rows()[0].attempt_id or "")
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("late words")
        assert world.states() == ["failed", "failed", "ready", "ready"]
        world.tick(4000)
        assert world.states() == ["failed", "ready", "ready"], "the last one that failed is kept"
        assert not log.exists()
        assert len(world.attempts()) == 3


class TestRestarts:
    def test_a_server_that_comes_back_finds_all_as_it_was(self, world: ReplicasWorld) -> None:
        world.started(min_replicas=2, max_replicas=2)
        before = world.sockets()
        world = world.restarted()
        for _ in range(5):
            world.tick(1)
        assert world.sockets() == before
        assert world.states() == ["ready", "ready"]
        assert [launch.launches for launch in world.engine.launched.values()] == [1, 1]
        assert [row.ended_at for row in world.usage()] == [None, None]

    def test_a_server_that_comes_back_tells_nobody_of_what_listens_no_more(
        self, world: ReplicasWorld
    ) -> None:
        world.started(max_replicas=1)
        [before] = world.rows()
        world = world.restarted()
        world.listening = world.greeting = False
        world.tick(1000)
        [row] = world.rows()
        assert (row.state, row.message, world.sockets()) == ("starting", "it is looked for", [])
        assert world.stopped() == 0  # it has as long as any other to be found
        world.greeting = True
        world.tick(1)
        [row] = world.rows()
        assert (row.state, row.ready_at, world.sockets()) == ("ready", before.ready_at, [before.id])
        world = world.restarted()
        world.listening = world.greeting = False
        world.tick(1)
        world.die(row, "cancelled_by_user")
        world.greeting = True
        for _ in range(3):
            world.tick(1)
        assert world.states() == ["failed", "ready"]

    @pytest.mark.parametrize("method", ["nodes", "launch"])
    def test_killed_between_two_lines(self, world: ReplicasWorld, method: str) -> None:
        world.deploy(min_replicas=2, max_replicas=2)
        world.jobs.build_environments()
        world.engine.fail(method, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            world.tick()
        world = world.restarted()
        for _ in range(4):
            world.tick(1)
        assert len(world.sockets()) == 2
        assert len(world.usage()) == 2
        assert len(world.engine.launched) == 2
