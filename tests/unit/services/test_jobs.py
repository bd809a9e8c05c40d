"""Jobs from submission to the end, on both databases, with an engine that fails on command."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from blake3 import blake3
from sqlalchemy import select
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.usage import UsageRow
from nacre.domain.identity import Caller
from nacre.errors import Conflict, InvalidSpec, NotFound, Unavailable
from nacre.schema.data import VersionCreate
from nacre.schema.jobs import JobSpec, JobState, JobStop
from nacre.schema.launch import FileEntry, Manifest, SandboxMode
from nacre.schema.projects import SecretSet
from nacre.schema.runs import RunState
from nacre.services.tokens import WORK_SCOPES
from nacre.testing.jobs import JobsWorld


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


def usage(world: JobsWorld) -> list[UsageRow]:
    with world.db.read() as session:
        return list(session.scalars(select(UsageRow).order_by(UsageRow.id)))


def push(world: JobsWorld, caller: Caller, text: bytes = b"print('hi')") -> str:
    """Send a folder with one file; its manifest's digest."""
    digest = str(blake3(text).hexdigest())
    world.ledger.put(caller, digest, io.BytesIO(text))
    files = [FileEntry(path="train.py", size=len(text), digest=digest)]
    return world.ledger.write_manifest(caller.project_id, Manifest(files=files))


class TestSubmit:
    def test_everything_is_frozen_into_the_record(self, world: JobsWorld, people: People) -> None:
        code, data = push(world, people.editor), push(world, people.editor, b"1,2,3")
        world.datasets.create(people.editor, "digits", VersionCreate(manifest=data))
        world.secrets.set(people.editor, "TOKEN", SecretSet.model_validate({"value": "hunter2hunter2"}))
        job = world.submit(
            people.editor,
            code=code,
            inputs={"train": "digits"},
            env={"A": "1"},
            secrets=["TOKEN"],
            resources={"cpu": 2, "memory": "1GB"},
        )
        assert (job.name, job.state, job.project, job.user) == ("train-1", "queued", "vision", "editor")
        record = job.record
        assert record is not None
        assert record.inputs == {"train": "digits@1"}
        assert record.manifests == {"train": data}
        assert (record.code, record.env, record.secrets) == (code, {"A": "1"}, ["TOKEN"])
        assert record.nacre == "0.0.0"
        world.queue.advance()
        placed = world.jobs.get(people.viewer, "train-1")
        assert placed.record is not None
        assert placed.record.lock_digest
        assert placed.record.environment_digest
        assert placed.record.hardware["node"]["name"] == "local"
        assert "hunter2" not in placed.model_dump_json()

    def test_what_is_launched(self, world: JobsWorld, people: People) -> None:
        world.secrets.set(people.editor, "TOKEN", SecretSet.model_validate({"value": "hunter2hunter2"}))
        world.engine.machines = [
            type(world.engine.machines[0])("local", 4.0, 8 * 2**30, sandbox=SandboxMode.BWRAP_ROOT)
        ]
        job, attempt = world.running(
            people.editor, secrets=["TOKEN"], env={"A": "1"}, max_duration="1h", stop_duration=3
        )
        spec = world.engine.launched[attempt].spec
        assert spec.secrets == {"TOKEN": "hunter2hunter2"}
        assert spec.variables == {"A": "1"}
        assert spec.command == ["/bin/sh", "-c", "trap 'exit $?' TERM\npython train.py"]
        assert (spec.limits.max_duration_s, spec.limits.grace_s) == (3600, 3)
        assert spec.uid == 200_001
        assert spec.environment is not None
        assert spec.run_id == job.run
        for token, scopes in ((spec.token, {"attempts:report"}), (spec.work_token, set(WORK_SCOPES))):
            caller = world.tokens.resolve(token)
            assert caller is not None
            assert (caller.attempt_id, caller.scopes) == (attempt, scopes)

    def test_what_could_never_fit_is_refused(self, world: JobsWorld, people: People) -> None:
        with pytest.raises(InvalidSpec, match="the largest machine"):
            world.submit(people.editor, resources={"cpu": 64})

    def test_code_that_was_not_sent_is_refused(self, world: JobsWorld, people: People) -> None:
        with pytest.raises(NotFound, match="never sent, or it is gone"):
            world.submit(people.editor, code="0" * 64)

    @pytest.mark.parametrize(
        "fields",
        [
            {"inputs": {"x": "nothing"}},
            {"environment": "nothing"},
            {"secrets": ["NOTHING"]},
            {"instance_type": "nothing"},
        ],
    )
    def test_what_does_not_exist_is_named(
        self, world: JobsWorld, people: People, fields: dict[str, object]
    ) -> None:
        with pytest.raises(NotFound, match=r"(?i)nothing"):
            world.submit(people.editor, **fields)

    def test_names_are_numbered_and_a_chosen_one_is_unique(self, world: JobsWorld, people: People) -> None:
        names = [world.submit(people.editor).name for _ in range(3)]
        assert names == ["train-1", "train-2", "train-3"]
        world.submit(people.editor, name="mine")
        with pytest.raises(Conflict, match="mine already"):
            world.submit(people.editor, name="mine")

    def test_a_plan_stores_nothing_and_tells_the_price(self, world: JobsWorld, people: People) -> None:
        spec = JobSpec(commands=["true"], max_duration=7200, max_restarts=1)
        plan = world.jobs.plan(people.editor, spec)
        assert (plan.starts, plan.reason) == ("waits", "environment_building")
        assert plan.price_per_hour > 0
        assert plan.max_cost == plan.price_per_hour * 2 * 2
        assert world.jobs.list(people.viewer).items == []
        never = world.jobs.plan(
            people.editor, JobSpec.model_validate({"run": "x", "resources": {"cpu": 64}})
        )
        assert never.starts == "never"


class TestQueue:
    def test_a_job_waits_for_its_environment_and_says_so(self, world: JobsWorld, people: People) -> None:
        job = world.jobs.submit(people.editor, JobSpec(commands=["true"]))
        assert world.queue.advance() == 0
        waiting = world.jobs.get(people.viewer, job.id)
        assert (waiting.state, waiting.reason) == ("queued", "environment_building")
        world.build_environments()
        assert world.queue.advance() == 1
        assert world.jobs.get(people.viewer, job.id).state == "preparing"

    def test_an_environment_that_cannot_be_had_ends_the_job_with_its_reason(
        self, world: JobsWorld, people: People
    ) -> None:
        world.builder.fail("resolve", InvalidSpec("Because no-such-package was not found"))
        job = world.submit(people.editor)
        world.queue.advance()
        failed = world.jobs.get(people.viewer, job.id)
        assert (failed.state, failed.reason) == ("failed", "environment_failed")
        assert "no-such-package" in (failed.message or "")
        assert world.runs.get(people.viewer, job.run).state is RunState.FAILED

    def test_jobs_wait_in_order_with_numbers(self, world: JobsWorld, people: People) -> None:
        jobs = [world.submit(people.editor, resources={"cpu": 3, "memory": "1GB"}) for _ in range(2)]
        assert world.queue.advance() == 1
        waiting = world.jobs.get(people.viewer, jobs[1].id)
        assert waiting.reason == "no_capacity"
        assert waiting.message == "waits for 3 cpu: 3 of 4 in use by train-1"
        world.exit(world.attempt(jobs[0]).id)
        assert world.queue.advance() == 1
        assert world.jobs.get(people.viewer, jobs[1].id).reason is None

    def test_nothing_changes_while_the_engine_cannot_tell(self, world: JobsWorld, people: People) -> None:
        job = world.submit(people.editor)
        world.engine.fail("nodes", Unavailable("away"))
        with pytest.raises(Unavailable):
            world.queue.advance()
        assert world.jobs.get(people.viewer, job.id).state == "queued"
        assert world.queue.advance() == 1

    def test_a_launch_that_fails_ends_or_repeats_the_job(self, world: JobsWorld, people: People) -> None:
        job = world.submit(people.editor, max_restarts=1)
        for state in ("queued", "failed"):
            world.engine.fail("launch", ValueError("no such program"))
            world.queue.advance()
            found = world.jobs.get(people.viewer, job.id)
            assert (found.state, found.reason) == (state, "launch_failed")
            world.queue.advance()
            if state == "queued":
                assert world.jobs.get(people.viewer, job.id).reason == "fencing", "it may live after all"
            world.loop.run_once()
        assert "no such program" in (found.message or "")
        assert [row.ended_at is not None for row in usage(world)] == [True, True]

    def test_a_secret_deleted_meanwhile_ends_the_job(self, world: JobsWorld, people: People) -> None:
        world.secrets.set(people.editor, "TOKEN", SecretSet.model_validate({"value": "hunter2hunter2"}))
        job = world.submit(people.editor, secrets=["TOKEN"])
        world.secrets.delete(people.owner, "TOKEN")
        world.queue.advance()
        assert "TOKEN" in (world.jobs.get(people.viewer, job.id).message or "")
        assert usage(world) == []


class TestEnds:
    def test_success(self, world: JobsWorld, people: People, clock: FixedClock) -> None:
        job, attempt = world.running(people.editor)
        for state in ("preparing", "starting", "running"):
            clock.advance(1)
            world.report(attempt, {"type": "state", "state": state})
            assert world.jobs.get(people.viewer, job.id).state == state
        clock.advance(3600)
        world.exit(attempt)
        ended = world.jobs.get(people.viewer, job.id)
        assert (ended.state, ended.reason, ended.exit_code) == ("succeeded", None, 0)
        assert ended.started_at is not None
        assert ended.cost >= ended.price_per_hour
        assert world.runs.get(people.viewer, job.run).state is RunState.FINISHED
        assert len(usage(world)) == 1

    def test_failure_keeps_the_exit_code(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        world.exit(attempt, "exit_nonzero", 3)
        ended = world.jobs.get(people.viewer, job.id)
        assert (ended.state, ended.reason, ended.exit_code) == ("failed", "exit_nonzero", 3)

    def test_each_attempt_is_one_usage_record(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, _ = world.running(people.editor, max_restarts=2)
        for number in (1, 2, 3):
            attempt = world.attempt(job)
            assert attempt.number == number
            world.exit(attempt.id, "exit_nonzero", 1)
            clock.advance(1)
            world.queue.advance()
        assert world.jobs.get(people.viewer, job.id).state is JobState.FAILED
        records = usage(world)
        assert len(records) == 3
        assert all(record.ended_at for record in records)

    def test_stopping_a_queued_job_is_immediate(self, world: JobsWorld, people: People) -> None:
        job = world.submit(people.editor)
        stopped = world.jobs.stop(people.editor, job.name, JobStop(reason="wrong data"))
        assert (stopped.state, stopped.reason) == ("cancelled", "cancelled_by_user")
        assert stopped.message == "stopped by editor: wrong data"
        assert world.queue.advance() == 0
        assert world.runs.get(people.viewer, job.run).state is RunState.KILLED

    def test_stopping_a_running_job_asks_its_launcher(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor, max_restarts=3)
        world.report(attempt, {"type": "state", "state": "running"})
        assert world.jobs.stop(people.editor, job.id).state == "stopping"
        world.loop.run_once()
        assert world.engine.launched[attempt].stops == 1
        ack = world.report(attempt, {"type": "state", "state": "stopping"})
        assert (ack.desired, ack.reason) == ("stop", "cancelled_by_user")
        world.exit(attempt, "cancelled_by_user", None)
        ended = world.jobs.get(people.viewer, job.id)
        assert (ended.state, ended.message) == ("cancelled", "stopped by editor")
        assert world.jobs.stop(people.editor, job.id).state == "cancelled"

    def test_only_an_ended_job_can_be_deleted_and_its_cost_stays(
        self, world: JobsWorld, people: People
    ) -> None:
        job, attempt = world.running(people.editor)
        with pytest.raises(Conflict, match="stop it first"):
            world.jobs.delete(people.editor, job.id)
        world.attempts.report(attempt, 0, "log", offset=0, body=b"hello\n")
        world.exit(attempt)
        world.jobs.delete(people.editor, job.id)
        assert attempt in world.engine.forgotten
        assert not world.attempts.log_path(attempt).exists()
        assert len(usage(world)) == 1
        for read in (
            lambda: world.jobs.get(people.viewer, job.id),
            lambda: world.runs.get(people.viewer, job.run),
        ):
            with pytest.raises(NotFound):
                read()
        with pytest.raises(NotFound, match="deleted"):
            world.attempts.report(attempt, 0, "log", offset=6, body=b"late")

    def test_a_job_of_another_project_is_not_found(self, world: JobsWorld, people: People) -> None:
        job = world.submit(people.editor)
        other = Caller("usr_x", "x", project=type(people.project)("prj_other", "other", None))
        with pytest.raises(NotFound):
            world.jobs.get(other, job.id)


class TestCrashes:
    """The server is killed between any two lines; the next one repairs it."""

    def test_between_placement_and_launch(self, world: JobsWorld, people: People) -> None:
        job = world.submit(people.editor)
        world.engine.fail("launch", KeyboardInterrupt())  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            world.queue.advance()
        assert world.engine.launched == {}
        after = world.restarted()
        after.loop.run_once()
        attempt = after.attempt(job)
        launched = world.engine.launched[attempt.id]
        caller = after.tokens.resolve(launched.spec.token)
        assert caller is not None
        assert caller.attempt_id == attempt.id
        assert len(usage(after)) == 1
        after.loop.run_once()
        assert launched.launches == 1

    def test_between_launch_and_its_note(self, world: JobsWorld, people: People) -> None:
        job, attempt = world.running(people.editor)
        first = world.engine.launched[attempt].spec
        with world.db.write() as session:
            session.get_one(type(world.attempt(job)), attempt).state = "placed"
        after = world.restarted()
        after.loop.run_once()
        assert after.tokens.resolve(first.token) is not None
        after.exit(attempt)
        assert after.jobs.get(people.viewer, job.id).state == "succeeded"
        assert len(usage(after)) == 1

    def test_a_stop_before_the_launch_was_repaired(self, world: JobsWorld, people: People) -> None:
        job = world.submit(people.editor)
        world.engine.fail("launch", KeyboardInterrupt())  # type: ignore[arg-type]
        with pytest.raises(KeyboardInterrupt):
            world.queue.advance()
        after = world.restarted()
        after.jobs.stop(people.editor, job.id)
        after.loop.run_once()
        assert after.jobs.get(people.viewer, job.id).state == "cancelled"
        assert world.engine.launched == {}

    def test_nothing_is_started_twice_by_two_passes(self, world: JobsWorld, people: People) -> None:
        job, _ = world.running(people.editor)
        assert world.queue.advance() == 0
        assert world.restarted().queue.advance() == 0
        assert len(world.jobs.get(people.viewer, job.id).attempts) == 1


class TestLogs:
    def test_attempts_follow_each_other_with_a_line_between(self, world: JobsWorld, people: People) -> None:
        job, first = world.running(people.editor, max_restarts=1)
        world.attempts.report(first, 0, "log", offset=0, body=b"one\ntwo\n")
        world.exit(first, "exit_nonzero", 1)
        assert not world.jobs.logs.read(job.id, 8)[1]
        world.queue.advance()
        second = world.attempt(job).id
        world.attempts.report(second, 0, "log", offset=0, body=b"three\n")
        world.exit(second)
        line = b"--- attempt 2, because attempt 1 ended: exit_nonzero ---\n"
        whole = b"one\ntwo\n" + line + b"three\n"
        read = b""
        while piece := world.jobs.logs.read(job.id, len(read), 5)[0]:
            read += piece
        assert read == whole
        assert world.jobs.logs.read(job.id, len(whole))[1]
        for count, expected in (
            (0, b""),
            (1, b"three\n"),
            (2, line + b"three\n"),
            (3, b"two\n" + line + b"three\n"),
        ):
            start = world.jobs.logs.tail(job.id, count)
            assert whole[start:] == expected
        assert world.jobs.logs.tail(job.id, 99) == 0

    def test_half_a_line_ends_before_the_next_attempt(self, world: JobsWorld, people: People) -> None:
        job, first = world.running(people.editor, max_restarts=1)
        world.attempts.report(first, 0, "log", offset=0, body=b"one\ntw")
        world.exit(first, "exit_nonzero", 1)
        world.queue.advance()
        world.attempts.report(world.attempt(job).id, 0, "log", offset=0, body=b"three")
        line = b"--- attempt 2, because attempt 1 ended: exit_nonzero ---\n"
        whole = b"one\ntw\n" + line + b"three"
        read = b""
        while piece := world.jobs.logs.read(job.id, len(read), 3)[0]:
            read += piece
        assert read == whole
        for count, expected in ((1, b"three"), (2, line + b"three"), (3, b"tw\n" + line + b"three")):
            assert whole[world.jobs.logs.tail(job.id, count) :] == expected


def test_internal_work_is_numbered_when_its_name_is_taken(world: JobsWorld, people: People) -> None:
    manifest = push(world, people.editor)
    ids = []
    for _ in range(2):
        with world.db.write() as session:
            environment = world.environments.ensure(session, people.project.id, "base")
            ids.append(
                world.jobs.submit_internal(
                    session,
                    project_id=people.project.id,
                    user_id=people.editor.user_id,
                    kind="convert",
                    name="convert-digits-1",
                    spec=JobSpec(commands=["true"]),
                    environment_id=environment,
                    manifests={"model": manifest},
                )
            )
    names = [world.jobs.get(people.viewer, job_id).name for job_id in ids]
    assert names == ["convert-digits-1", "convert-digits-1-1"]
    world.build_environments()
    assert world.queue.advance() == 2
    spec = next(iter(world.engine.launched.values())).spec
    assert [(item.name, item.manifest) for item in spec.inputs] == [("model", manifest)]
