"""A job's record is enough to do it again: packages, code, data. When some of it is gone, it says what."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.conftest import People
from tests.unit.services.test_jobs import push

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NotFound
from nacre.schema.data import VersionCreate
from nacre.schema.environments import EnvironmentCreate
from nacre.schema.jobs import Job, JobRecord, JobSpec
from nacre.schema.launch import Manifest
from nacre.services.job_locks import ABOUT_FILE, LOCK_FILE
from nacre.testing.jobs import JobsWorld


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> JobsWorld:
    return JobsWorld(database, clock, tmp_path)


def ran(world: JobsWorld, caller: Caller, **fields: object) -> tuple[Job, JobRecord]:
    """A job that has come to its end."""
    job, attempt = world.running(caller, **fields)
    world.exit(attempt)
    world.loop.run_once()
    found = world.jobs.get(caller, job.id)
    assert found.record is not None
    return found, found.record


def own_environment(world: JobsWorld, people: People, name: str = "mine") -> None:
    world.environments.create(people.editor, EnvironmentCreate(name=name, requirements="numpy"))
    world.build_environments()


class TestLocks:
    def test_the_lock_is_kept_under_the_digest_of_the_record(
        self, world: JobsWorld, people: People
    ) -> None:
        own_environment(world, people)
        _, record = ran(world, people.editor, environment="mine")
        assert record.lock_digest is not None
        found = world.environments.get(people.viewer, "mine")
        manifest = world.ledger.read_manifest(record.lock_digest)
        assert [entry.path for entry in manifest.files] == [ABOUT_FILE, LOCK_FILE]
        assert world.ledger.read(manifest.files[1].digest).decode() == found.lock
        lock = world.locks.read(people.project.id, record.lock_digest)
        assert (lock.text, lock.python, lock.digest) == (found.lock, found.python, found.digest)

    def test_again_with_the_same_packages_after_an_upgrade(self, world: JobsWorld, people: People) -> None:
        own_environment(world, people)
        _, first = ran(world, people.editor, environment="mine")
        world.builder.version = "2.0"
        world.environments.build(people.editor, "mine", upgrade=True)
        world.build_environments()
        assert world.environments.get(people.editor, "mine").digest != first.environment_digest
        _, again = ran(world, people.editor, environment="mine", environment_lock=first.lock_digest)
        assert again == first
        _, newer = ran(world, people.editor, environment="mine")
        assert newer.environment_digest != first.environment_digest

    def test_what_is_on_disk_is_not_built_again(self, world: JobsWorld, people: People) -> None:
        own_environment(world, people)
        _, first = ran(world, people.editor, environment="mine")
        builds = len(world.builder.builds)
        fields = {"environment": "mine", "environment_lock": first.lock_digest}
        plan = world.jobs.plan(people.editor, JobSpec.model_validate({"commands": ["true"], **fields}))
        assert (plan.starts, plan.environment_digest) == ("now", first.environment_digest)
        ran(world, people.editor, **fields)
        assert len(world.builder.builds) == builds

    def test_again_when_the_environment_was_deleted(self, world: JobsWorld, people: People) -> None:
        own_environment(world, people)
        _, first = ran(world, people.editor, environment="mine")
        world.environments.delete(people.editor, "mine")
        assert first.environment_digest is not None
        assert world.builder.find(first.environment_digest) is None
        _, again = ran(world, people.editor, environment="mine", environment_lock=first.lock_digest)
        assert again == first

    def test_hidden_environments_of_locks_are_not_listed(self, world: JobsWorld, people: People) -> None:
        own_environment(world, people)
        _, first = ran(world, people.editor, environment="mine")
        before = [e.name for e in world.environments.list(people.viewer).items]
        ran(world, people.editor, environment="mine", environment_lock=first.lock_digest)
        assert [e.name for e in world.environments.list(people.viewer).items] == before

    def test_it_stays_for_as_long_as_a_job_that_ran_with_it(
        self, world: JobsWorld, people: People, clock: FixedClock
    ) -> None:
        job, record = ran(world, people.editor)
        assert record.lock_digest is not None
        clock.advance(timedelta(days=3).total_seconds())
        world.ledger.collect()
        assert world.locks.read(people.project.id, record.lock_digest).digest == record.environment_digest
        world.jobs.delete(people.editor, job.id)
        for _ in range(2):
            clock.advance(timedelta(days=3).total_seconds())
            world.ledger.collect()
        with pytest.raises(NotFound, match="lock"):
            world.locks.read(people.project.id, record.lock_digest)
        with pytest.raises(NotFound):
            world.ledger.read(record.lock_digest)

    def test_what_a_member_sent_is_never_built_as_a_lock(self, world: JobsWorld, people: People) -> None:
        """Also code that a job holds: a lock is built with the server's rights, for everybody."""
        code = push(world, people.editor)
        ran(world, people.editor, code=code)
        for caller, digest in ((people.editor, code), (people.editor, "0" * 64)):
            with pytest.raises(NotFound, match="lock"):
                world.submit(caller, environment_lock=digest)

    def test_another_projects_lock_is_not_there(self, world: JobsWorld, people: People) -> None:
        _, record = ran(world, people.editor)
        assert record.lock_digest is not None
        with pytest.raises(NotFound, match="lock"):
            world.locks.read("prj_other", record.lock_digest)


class TestGone:
    def test_data_is_named(self, world: JobsWorld, people: People) -> None:
        data = push(world, people.editor, b"1,2,3")
        world.datasets.create(people.editor, "digits", VersionCreate(manifest=data))
        _, record = ran(world, people.editor, inputs={"train": "digits"})
        world.datasets.delete(people.editor, "digits")
        with pytest.raises(NotFound, match="digits"):
            world.submit(people.editor, inputs={"train": record.inputs["train"]})

    def test_code_is_named(self, world: JobsWorld, people: People) -> None:
        spec = JobSpec(commands=["true"], code="a" * 64)
        for attempt in (world.jobs.plan, world.jobs.submit):
            with pytest.raises(NotFound, match=r"a{64}.*gone"):
                attempt(people.editor, spec)


class TestFiles:
    def test_an_input_may_be_the_one_file_of_its_version(self, world: JobsWorld, people: People) -> None:
        world.datasets.create(people.editor, "table", VersionCreate(manifest=push(world, people.editor)))
        job, attempt = world.running(
            people.editor, inputs={"t": {"path": "table", "type": "uri_file"}, "folder": "table"}
        )
        assert job.record is not None
        assert job.record.files == {"t": "train.py"}
        assert {i.name: i.file for i in world.engine.launched[attempt].spec.inputs} == {
            "t": "train.py",
            "folder": None,
        }

    def test_a_version_with_several_files_is_refused(self, world: JobsWorld, people: People) -> None:
        one, two = (
            world.ledger.read_manifest(push(world, people.editor, t)).files[0] for t in (b"1", b"2")
        )
        files = [one.model_copy(update={"path": "a"}), two.model_copy(update={"path": "b"})]
        manifest = world.ledger.write_manifest(people.project.id, Manifest(files=files))
        world.datasets.create(people.editor, "pair", VersionCreate(manifest=manifest))
        spec = JobSpec.model_validate(
            {"commands": ["true"], "inputs": {"t": {"path": "pair", "type": "uri_file"}}}
        )
        for attempt in (world.jobs.plan, world.jobs.submit):
            with pytest.raises(InvalidSpec, match="input t is a uri_file, but pair@1 has 2 files"):
                attempt(people.editor, spec)


def test_data_of_an_ended_job_may_be_deleted(world: JobsWorld, people: People) -> None:
    data = push(world, people.editor, b"1,2,3")
    world.datasets.create(people.editor, "digits", VersionCreate(manifest=data))
    ran(world, people.editor, inputs={"train": "digits"})
    world.datasets.delete(people.editor, "digits")
    assert world.datasets.list(people.viewer).items == []
