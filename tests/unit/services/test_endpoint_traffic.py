"""Canary, shadow, promote, roll back: in steps, so that what answers stays until the next one can."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from tests import models_kit
from tests.conftest import People
from tests.models_kit import ModelsWorld

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import RevisionRow
from nacre.db.tables.usage import UsageRow
from nacre.domain.traffic import WORSE_ERRORS, Verdict
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.endpoints import Endpoint, EndpointUpdate, RevisionChoice, TrafficSet
from nacre.schema.serving import Routes, ServedReplica, ServedRevisionState, ServedState, ServingStatus
from nacre.services.endpoint_settling import Trial

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
NEWEST = RevisionChoice()


class Stage:
    """An endpoint ``ask`` with revision 1, and a model server that is told and answers step by step."""

    def __init__(self, world: ModelsWorld, people: People) -> None:
        self.world, self.people = world, people
        self.settling = world.endpoints.settling

    def deploy(self, **fields: object) -> Endpoint:
        return self.world.deploy(self.people.editor, **fields)

    def traffic(self, shares: dict[int, int], shadow: dict[int, int] | None = None) -> Endpoint:
        request = TrafficSet(traffic=shares, shadow=shadow or {})
        return self.world.endpoints.set_traffic(self.people.editor, "ask", request)

    def promote(self, revision: int | None = None) -> Endpoint:
        choice = RevisionChoice(revision=revision)
        return self.world.endpoints.promote(self.people.editor, "ask", choice)

    def rollback(self, revision: int | None = None) -> Endpoint:
        choice = RevisionChoice(revision=revision)
        return self.world.endpoints.rollback(self.people.editor, "ask", choice)

    def get(self) -> Endpoint:
        return self.world.endpoints.get(self.people.viewer, "ask")

    def told(self) -> dict[int, int]:
        """Revision → share in the routes as they are wanted now."""
        return shares(self.settling.wanted_routes())

    def step(self, **states: str) -> dict[int, int]:
        """One pass: apply, and settle with these states (``r2="loading"``), else ready. What was told."""
        routes = self.settling.wanted_routes()
        served = routes.endpoints["vision/ask"]
        told = [
            ServedRevisionState.model_validate(
                {
                    "revision": one.revision,
                    "state": states.get(f"r{one.revision}", "ready"),
                    "message": "broken" if states.get(f"r{one.revision}") == "failed" else None,
                }
            )
            for one in served.revisions
        ]
        status = ServingStatus(generation=1, pid=1, endpoints={"vision/ask": ServedState(revisions=told)})
        self.settling.settle(routes, status)
        return shares(routes)

    def trial(self) -> Trial:
        (found,) = self.settling.trials()
        return found


def shares(routes: Routes) -> dict[int, int]:
    return {one.revision: one.traffic for one in routes.endpoints["vision/ask"].revisions}


def answers(found: Endpoint) -> dict[int, int]:
    return {one.number: one.answering for one in found.revisions if one.answering}


def wanted(found: Endpoint) -> dict[int, int]:
    return {one.number: one.traffic for one in found.revisions if one.traffic}


def states(found: Endpoint) -> dict[int, str]:
    return {one.number: one.state for one in reversed(found.revisions)}


@pytest.fixture
def stage(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Stage:
    world = models_kit.world(database, clock, tmp_path)
    world.ready(people.editor)
    found = Stage(world, people)
    found.deploy()
    world.serve()
    return found


class TestCanary:
    def test_it_gets_its_share_once_it_is_ready(self, stage: Stage) -> None:
        found = stage.deploy(traffic=10)
        assert (found.state, wanted(found), answers(found)) == ("updating", {1: 90, 2: 10}, {1: 100})
        assert stage.step(r2="loading") == {1: 100, 2: 0}
        assert stage.told() == {1: 100, 2: 0}
        assert stage.step() == {1: 100, 2: 0}
        found = stage.get()
        assert (found.state, states(found)) == ("updating", {1: "ready", 2: "ready"})
        assert stage.step() == {1: 90, 2: 10}
        found = stage.get()
        assert (found.state, answers(found)) == ("ready", {1: 90, 2: 10})
        assert (found.version, found.revisions[0].before) == (1, {1: 100})

    def test_promoted_it_gets_all_and_the_other_goes_one_pass_later(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.world.serve()
        found = stage.promote()
        assert answers(found) == {2: 100}
        assert stage.step() == {1: 0, 2: 100}
        assert stage.told() == {2: 100}
        assert states(stage.get()) == {1: "retired", 2: "ready"}

    def test_a_second_canary_takes_from_both(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.world.serve()
        stage.deploy(traffic=10)
        stage.world.serve()
        assert answers(stage.get()) == {1: 81, 2: 9, 3: 10}

    def test_nothing_changes_before_all_are_ready(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.deploy(traffic=10)
        assert stage.step(r2="ready", r3="loading") == {1: 100, 2: 0, 3: 0}
        assert stage.told() == {1: 100, 2: 0, 3: 0}
        stage.step()
        assert stage.told() == {1: 81, 2: 9, 3: 10}

    def test_one_that_cannot_be_loaded_changes_nothing_for_the_others(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.step(r2="failed")
        found = stage.get()
        assert (found.state, found.reason) == ("ready", "load_failed")
        assert found.message == "revision 1 answers; revision 2 has failed: broken"
        assert (wanted(found), answers(found)) == ({1: 100}, {1: 100})
        assert stage.told() == {1: 100}
        stage.deploy(traffic=10)
        stage.world.serve()
        found = stage.get()
        assert (found.state, found.message, answers(found)) == ("ready", None, {1: 90, 3: 10})

    def test_the_first_revision_gets_all_whatever_was_asked(self, stage: Stage) -> None:
        stage.world.deploy(stage.people.editor, "other", traffic=10)
        routes = stage.settling.wanted_routes()
        assert [one.traffic for one in routes.endpoints["vision/other"].revisions] == [100]

    def test_one_that_failed_alone_gives_way_at_once(self, stage: Stage) -> None:
        stage.step(r1="failed")
        assert (stage.get().state, stage.told()) == ("failed", {1: 100})
        stage.deploy(traffic=10)
        assert stage.told() == {2: 100}
        stage.world.serve()
        assert states(stage.get()) == {1: "failed", 2: "ready"}

    def test_one_that_failed_alone_may_recover(self, stage: Stage) -> None:
        stage.step(r1="failed")
        stage.step()
        found = stage.get()
        assert (found.state, found.reason, states(found)) == ("ready", None, {1: "ready"})


class TestShadow:
    def test_it_gets_copies_and_no_share(self, stage: Stage) -> None:
        found = stage.deploy(shadow=50)
        assert (wanted(found), found.revisions[0].shadow) == ({1: 100}, 50)
        stage.world.serve()
        (one, two) = stage.settling.wanted_routes().endpoints["vision/ask"].revisions
        assert (one.traffic, one.shadow, two.traffic, two.shadow) == (100, 0, 0, 50)
        assert states(stage.get()) == {1: "ready", 2: "ready"}

    def test_a_canary_leaves_it_and_a_replacement_ends_it(self, stage: Stage) -> None:
        stage.deploy(shadow=50)
        stage.deploy(traffic=10)
        stage.world.serve()
        assert [one.shadow for one in stage.get().revisions] == [0, 50, 0]
        stage.deploy()
        stage.world.serve()
        assert states(stage.get()) == {1: "retired", 2: "retired", 3: "retired", 4: "ready"}

    def test_promoted_and_rolled_back(self, stage: Stage) -> None:
        stage.deploy(shadow=50)
        stage.world.serve()
        stage.promote()
        stage.world.serve()
        assert (answers(stage.get()), states(stage.get())) == ({2: 100}, {1: "retired", 2: "ready"})
        stage.rollback()
        stage.world.serve()
        assert answers(stage.get()) == {1: 100}

    def test_rolled_back_it_ends(self, stage: Stage) -> None:
        stage.deploy(shadow=50)
        stage.world.serve()
        stage.rollback()
        stage.world.serve()
        assert (answers(stage.get()), states(stage.get())) == ({1: 100}, {1: "ready", 2: "retired"})

    def test_one_that_fails_is_told_and_harms_nothing(self, stage: Stage) -> None:
        stage.deploy(shadow=50)
        stage.step(r2="failed")
        assert stage.step() == {1: 100}
        found = stage.get()
        assert (found.state, answers(found), states(found)) == (
            "ready",
            {1: 100},
            {1: "ready", 2: "failed"},
        )
        assert found.message == "revision 1 answers; revision 2 has failed: broken"
        assert stage.told() == {1: 100}


class TestSetTraffic:
    def test_a_retired_revision_is_started_first(self, stage: Stage) -> None:
        stage.deploy()
        stage.world.serve()
        found = stage.traffic({1: 30, 2: 70})
        assert (found.state, states(found)) == ("updating", {1: "starting", 2: "ready"})
        assert stage.step(r1="loading") == {1: 0, 2: 100}
        stage.step()
        assert stage.told() == {1: 30, 2: 70}

    def test_what_does_not_add_up_or_is_not_there_is_refused(self, stage: Stage) -> None:
        for wrong in ({1: 99}, {1: 50, 2: 51}, {}):
            with pytest.raises(InvalidSpec, match="add up to 100"):
                stage.traffic(wrong)
        with pytest.raises(NotFound, match="no revision 7: see 'nacre endpoint show ask'"):
            stage.traffic({7: 100})
        with pytest.raises(NotFound, match="no revision 9"):
            stage.traffic({1: 100}, {9: 5})
        with pytest.raises(NotFound, match="nacre endpoint ls"):
            stage.world.endpoints.set_traffic(stage.people.editor, "nothing", TrafficSet(traffic={1: 100}))

    def test_those_not_named_get_none(self, stage: Stage) -> None:
        stage.deploy(traffic=50, shadow=0)
        stage.deploy(shadow=20)
        stage.world.serve()
        stage.traffic({2: 100})
        stage.world.serve()
        assert states(stage.get()) == {1: "retired", 2: "ready", 3: "retired"}


class TestPromote:
    def test_the_newest_must_not_have_failed(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.step(r2="failed")
        with pytest.raises(Conflict, match=r"revision 2 has failed: broken\. Promote another one"):
            stage.promote()
        found = stage.promote(2)  # by name it is tried again
        assert (found.state, states(found)) == ("updating", {1: "ready", 2: "starting"})
        stage.world.serve()
        assert answers(stage.get()) == {2: 100}

    def test_what_answers_all_already_stays(self, stage: Stage) -> None:
        stage.promote()
        stage.world.serve()
        found = stage.get()
        assert (found.state, answers(found), found.revisions[0].before) == ("ready", {1: 100}, None)

    def test_it_is_ready_only_when_the_model_server_works_by_it(self, stage: Stage) -> None:
        stage.deploy(shadow=50)
        stage.world.serve()
        before = stage.settling.wanted_routes()
        assert stage.world.told is not None
        assert stage.promote().state == "updating"
        stage.settling.settle(before, stage.world.told)  # said before it was told
        assert stage.get().state == "updating"
        assert stage.step() == {1: 0, 2: 100}
        assert (stage.get().state, answers(stage.get())) == ("ready", {2: 100})


class TestRollback:
    def test_step_by_step_to_the_first(self, stage: Stage) -> None:
        for _ in range(2):
            stage.deploy()
            stage.world.serve()
        for number in (2, 1):
            found = stage.rollback()
            assert (found.state, answers(found)) == ("updating", {number + 1: 100})
            assert stage.step() == {number: 0, number + 1: 100}
            assert stage.told() == {number: 100, number + 1: 0}
            stage.world.serve()
            assert answers(stage.get()) == {number: 100}
        with pytest.raises(Conflict, match="nothing to go back to: name a revision with --to"):
            stage.rollback()

    def test_to_a_revision_and_back(self, stage: Stage) -> None:
        for _ in range(2):
            stage.deploy()
            stage.world.serve()
        stage.rollback(1)
        stage.world.serve()
        assert answers(stage.get()) == {1: 100}
        stage.promote(3)
        stage.world.serve()
        stage.rollback()
        stage.world.serve()
        assert answers(stage.get()) == {1: 100}
        with pytest.raises(NotFound, match="no revision 8"):
            stage.rollback(8)

    def test_a_change_under_way_is_ended(self, stage: Stage) -> None:
        stage.deploy()
        stage.step(r2="loading")
        found = stage.rollback()
        assert (found.state, wanted(found)) == ("updating", {1: 100})
        stage.world.serve()
        assert stage.get().state == "ready"
        assert states(stage.get()) == {1: "ready", 2: "retired"}

    def test_a_canary_that_grew_goes_back_by_as_many_steps(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.world.serve()
        stage.traffic({1: 50, 2: 50})
        stage.world.serve()
        for expected in ({1: 90, 2: 10}, {1: 100}):
            stage.rollback()
            stage.world.serve()
            assert answers(stage.get()) == expected

    def test_a_failed_one_is_not_gone_back_to(self, stage: Stage) -> None:
        stage.deploy()
        stage.world.serve()
        stage.rollback()
        stage.step(r1="failed")
        found = stage.get()
        assert (found.state, answers(found)) == ("ready", {2: 100})
        assert found.message == "revision 2 answers; revision 1 has failed: broken"
        with pytest.raises(Conflict, match="nothing to go back to"):
            stage.rollback()

    def test_a_version_that_was_deleted_is_not_either(self, stage: Stage) -> None:
        stage.world.ready(stage.people.editor, onnx=b"two")
        stage.deploy()
        stage.world.serve()
        stage.world.models.delete_version(stage.people.editor, "digits", "1")
        with pytest.raises(Conflict, match="nothing to go back to"):
            stage.rollback()


class TestTakingBack:
    VERDICT = Verdict(WORSE_ERRORS, "12.0% of its 100 requests failed")

    def test_a_canary_goes_at_once(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.world.serve()
        trial = stage.trial()
        assert (trial.number, trial.before, trial.beside) == (2, {1: 100}, {1: 90})
        assert stage.settling.take_back(trial, self.VERDICT)
        found = stage.get()
        assert (found.state, found.reason, answers(found)) == ("updating", "rolled_back", {1: 100})
        assert found.message == "revision 2 was taken back: 12.0% of its 100 requests failed"
        bad = found.revisions[0]
        assert (bad.state, bad.reason, bad.message) == ("failed", WORSE_ERRORS, self.VERDICT.message)
        stage.world.serve()
        assert (stage.told(), states(stage.get())) == ({1: 100}, {1: "ready", 2: "failed"})
        assert stage.get().reason == "rolled_back"
        assert stage.settling.trials() == []
        event = stage.world.jobs.events.list(stage.people.owner).items[0]
        assert (event.verb, event.user, event.detail["reason"]) == (
            "endpoints.rollback",
            None,
            WORSE_ERRORS,
        )

    def test_one_that_has_all_answers_until_the_one_before_can(self, stage: Stage) -> None:
        stage.deploy()
        stage.world.serve()
        assert stage.settling.take_back(stage.trial(), self.VERDICT)
        found = stage.get()
        assert (found.state, states(found)) == ("updating", {1: "starting", 2: "failed"})
        assert stage.step(r1="loading") == {1: 0, 2: 100}
        assert stage.told() == {1: 0, 2: 100}
        stage.world.serve()
        found = stage.get()
        assert (found.state, answers(found)) == ("ready", {1: 100})
        assert states(found) == {1: "ready", 2: "failed"}

    def test_if_the_one_before_cannot_it_goes_on(self, stage: Stage) -> None:
        stage.deploy()
        stage.world.serve()
        stage.settling.take_back(stage.trial(), self.VERDICT)
        stage.step(r1="failed")
        stage.world.serve()
        found = stage.get()
        assert (found.state, answers(found), states(found)) == (
            "ready",
            {2: 100},
            {1: "failed", 2: "ready"},
        )

    def test_only_the_younger_are_on_trial(self, stage: Stage) -> None:
        assert stage.settling.trials() == []
        stage.deploy(traffic=10)
        stage.world.serve()
        stage.traffic({1: 95, 2: 5})
        stage.world.serve()
        assert [one.number for one in stage.settling.trials()] == [2]
        stage.rollback(1)
        stage.world.serve()
        assert stage.settling.trials() == []

    def test_one_that_was_rolled_back_meanwhile_is_left(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.world.serve()
        trial = stage.trial()
        stage.rollback()
        stage.world.serve()
        assert not stage.settling.take_back(trial, self.VERDICT)
        assert states(stage.get()) == {1: "ready", 2: "retired"}

    def test_it_can_be_turned_off(self, stage: Stage) -> None:
        stage.deploy(traffic=10)
        stage.world.serve()
        request = EndpointUpdate.model_validate({"settings": {"rollback": {"enabled": False}}})
        stage.world.endpoints.update(stage.people.editor, "ask", request)
        assert stage.settling.trials() == []


class Pool:
    """In place of what runs replicas: those that a test says are ready."""

    def __init__(self) -> None:
        self.ready: dict[int, list[str]] = {}

    def ready_sockets(self, session: object, endpoint_id: str, revision: int) -> list[ServedReplica]:
        return [ServedReplica(id=one, socket=f"/{one}") for one in self.ready.get(revision, [])]

    def shown(self, session: object, endpoint_id: str) -> dict[int, Any]:
        return {}


class TestReplicas:
    @pytest.fixture
    def pool(self, stage: Stage) -> Pool:
        found = Pool()
        stage.settling._routes._replicas = found
        stage.settling._traffic._gathering._sockets = found.ready_sockets
        return found

    def row(self, stage: Stage, number: int) -> RevisionRow:
        with stage.world.jobs.db.read() as session:
            mine = select(RevisionRow).where(RevisionRow.number == number)
            return session.scalars(mine).one()

    def open_records(self, stage: Stage) -> int:
        with stage.world.jobs.db.read() as session:
            mine = select(UsageRow).where(UsageRow.kind == "endpoint", UsageRow.ended_at.is_(None))
            return len(session.scalars(mine).all())

    def test_they_are_wanted_until_they_are_retired(self, stage: Stage, pool: Pool) -> None:
        found = stage.deploy(scaling={"min_replicas": 2, "max_replicas": 4})
        assert (found.revisions[0].runtime, found.revisions[0].wanted_replicas) == ("replicas", 2)
        assert stage.step(r2="loading") == {1: 100, 2: 0}
        pool.ready, stage.settling._latest = {2: ["a"]}, None
        served = stage.settling.wanted_routes().endpoints["vision/ask"].revisions[1]
        assert (served.runtime, served.path, served.digest) == ("replicas", "", None)
        assert [one.id for one in served.replicas] == ["a"]
        assert self.open_records(stage) == 1
        stage.world.serve()
        assert answers(stage.get()) == {1: 100}  # it shall have two
        pool.ready, stage.settling._latest = {2: ["a", "b"]}, None
        stage.world.serve()
        assert answers(stage.get()) == {2: 100}
        assert self.open_records(stage) == 0  # replicas have records of their own
        stage.deploy(scaling={"min_replicas": 1, "max_replicas": 1})
        stage.world.serve()
        assert (self.row(stage, 2).state, self.row(stage, 2).wanted) == ("retired", 0)
        assert self.open_records(stage) == 1

    def test_none_is_no_readiness_and_some_that_die_no_failure(self, stage: Stage, pool: Pool) -> None:
        stage.deploy(runtime="replicas", scaling={"min_replicas": 0})
        assert self.row(stage, 2).wanted == 1
        stage.step(r2="unloaded")
        assert stage.told() == {1: 100, 2: 0}
        pool.ready = {2: ["a"]}
        stage.world.serve()
        assert answers(stage.get()) == {2: 100}
        stage.step(r2="failed")
        assert (stage.get().state, answers(stage.get())) == ("ready", {2: 100})
        served = stage.settling.wanted_routes().endpoints["vision/ask"]
        assert (served.cold, served.idle_s) == (True, 300)

    def test_what_the_scaling_gives_up_gives_its_part_to_the_others(self, stage: Stage, pool: Pool) -> None:
        stage.deploy(runtime="replicas", traffic=50)
        stage.world.serve()
        with stage.world.jobs.db.write() as session:
            row = session.get(RevisionRow, (stage.get().id, 2))
            assert row is not None
            row.state, row.reason, row.message, row.wanted = "failed", "oom", "no memory", 0
        stage.step()
        found = stage.get()
        assert (found.state, found.reason, answers(found)) == ("ready", "oom", {1: 100})
        assert found.message == "revision 1 answers; revision 2 has failed: no memory"

    def test_copies_end_with_the_replicas_that_got_them(self, stage: Stage, pool: Pool) -> None:
        stage.deploy(runtime="replicas", shadow=50)
        stage.world.serve()
        assert (stage.get().state, stage.get().revisions[0].shadow) == ("ready", 50)
        with stage.world.jobs.db.write() as session:
            row = session.get(RevisionRow, (stage.get().id, 2))
            assert row is not None
            row.state, row.reason, row.message, row.wanted = "failed", "oom", "no memory", 0
        stage.step()
        found = stage.get()
        assert (found.state, found.revisions[0].shadow, stage.told()) == ("ready", 0, {1: 100})
        assert found.message == "revision 1 answers; revision 2 has failed: no memory"


class TestRuntime:
    def test_what_cannot_be_had_is_said(self, stage: Stage) -> None:
        with pytest.raises(InvalidSpec, match=r"runs on CPUs, and gpu\.small has a GPU"):
            stage.deploy(runtime="onnx", type="gpu.small")
        with pytest.raises(InvalidSpec, match="at least 3 and at most 2 replicas"):
            stage.deploy(scaling={"min_replicas": 3, "max_replicas": 2})
        version = stage.world.register(stage.people.editor)
        with pytest.raises(Conflict, match=r"its conversion is converting.*--runtime replicas"):
            stage.deploy()
        assert stage.get().revisions[0].number == 1
        assert stage.deploy(runtime="replicas").revisions[0].version == version.number

    def test_one_that_cannot_be_converted_runs_in_replicas(self, stage: Stage) -> None:
        version = stage.world.register(stage.people.editor)
        assert version.conversion_job is not None
        stage.world.finish(stage.people.editor, version.conversion_job, {}, reason="error", exit_code=2)
        stage.world.loop.run_once()
        assert stage.deploy().revisions[0].runtime == "replicas"
        with pytest.raises(Conflict, match="its conversion is failed"):
            stage.deploy(runtime="onnx")


class TestUpdate:
    def update(self, stage: Stage, **fields: Any) -> Endpoint:
        request = EndpointUpdate.model_validate(fields)
        return stage.world.endpoints.update(stage.people.editor, "ask", request)

    def test_only_what_is_named_changes(self, stage: Stage) -> None:
        self.update(stage, settings={"max_batch": 8, "cors_origins": ["https://a.example"]})
        found = self.update(stage, settings={"timeout_s": 2.5}, scaling={"min_replicas": 0, "idle_s": 30})
        assert (found.settings.max_batch, found.settings.timeout_s) == (8, 2.5)
        assert found.settings.rollback.enabled
        found = self.update(stage, settings={"rollback": {"error_rate": 0.5}})
        assert (found.settings.rollback.error_rate, found.settings.rollback.window_s) == (0.5, 60)
        served = stage.settling.wanted_routes().endpoints["vision/ask"]
        assert (served.max_batch, served.timeout_s, served.queue) == (8, 2.5, None)
        assert (served.cors_origins, served.idle_s) == (["https://a.example"], 30)
        assert self.update(stage, settings={"max_batch": None}).settings.max_batch is None

    def test_a_deployment_keeps_it_too(self, stage: Stage) -> None:
        self.update(stage, settings={"max_batch": 8})
        found = stage.deploy(settings={"queue": 5})
        assert (found.settings.max_batch, found.settings.queue) == (8, 5)

    def test_bounds_that_exclude_each_other_are_refused(self, stage: Stage) -> None:
        with pytest.raises(InvalidSpec, match="at least 2 and at most 1"):
            self.update(stage, scaling={"min_replicas": 2})
        with pytest.raises(NotFound, match="nacre endpoint ls"):
            stage.world.endpoints.update(stage.people.editor, "nothing", EndpointUpdate())

    def test_capture_is_told_with_its_folder(self, stage: Stage) -> None:
        self.update(stage, settings={"capture": {"dataset": "seen", "share": 0.5}})
        capture = stage.settling.wanted_routes().endpoints["vision/ask"].capture
        assert capture is not None
        assert capture.folder == str(stage.world.serving / "capture" / "vision" / "ask")
        assert capture.share == 0.5
