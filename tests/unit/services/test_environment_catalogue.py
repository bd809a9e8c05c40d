"""Environments as services keep them, on both databases, with a builder that fails on command."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.control.environments import EnvironmentLoop
from nacre.db.connect import Database
from nacre.db.tables.environments import EnvironmentRow
from nacre.domain.requirements import logical_lines, pins
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied, PluginError
from nacre.plugins.environments import sources
from nacre.schema.environments import Environment, EnvironmentCreate, EnvironmentState
from nacre.services.catalogue import catalogue
from nacre.services.environment_work import EnvironmentWork
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.signals import Signals
from nacre.testing.environments import FakeEnvironments

LISTED = {"base", "sklearn", "pytorch", "tensorflow", "keras", "jax", "mxnet"}


class House:
    """A service, its loop and its builder over one database; ``restart`` is a new server on the same."""

    def __init__(self, database: Database, clock: FixedClock, people: People, folder: Path) -> None:
        self.db, self.clock, self.people, self.folder = database, clock, people, folder
        self.port = FakeEnvironments(folder / "environments")
        self.restart()

    def restart(self) -> None:
        signals = Signals()
        logs = self.folder / "logs"
        events = Events(self.db, self.clock)
        self.service = EnvironmentCatalogue(
            self.db, self.clock, self.port, signals, events, logs, gpu=False
        )
        self.work = EnvironmentWork(self.db, self.clock, signals)
        self.loop = EnvironmentLoop(self.work, self.port, signals, logs)
        self.signals = signals

    def ensure(self, name: str) -> str:
        with self.db.write() as session:
            return self.service.ensure(session, self.people.project.id, name)

    def derive(self, environment_id: str, *extra: str) -> str:
        with self.db.write() as session:
            return self.service.derive(session, self.people.project.id, environment_id, list(extra))

    def status(self, environment_id: str) -> Environment:
        with self.db.read() as session:
            return self.service.status(session, environment_id)

    def settle(self) -> None:
        assert self.loop.settle(30)

    def ready(self, name: str) -> Environment:
        found = self.ensure(name)
        self.settle()
        return self.status(found)

    def create(self, name: str, requirements: str) -> Environment:
        body = EnvironmentCreate(name=name, requirements=requirements)
        return self.service.create(self.people.editor, body)


@pytest.fixture
def house(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> House:
    return House(database, clock, people, tmp_path)


@pytest.mark.parametrize("gpu", [False, True])
def test_every_entry_of_the_catalogue_is_a_list_of_plain_requirements(gpu: bool) -> None:
    entries = catalogue(gpu)
    assert set(entries) == LISTED | {"jupyterlab", "tensorboard"}
    for entry in entries.values():
        assert entry.description
        assert sources.from_requirements("\n".join(entry.requirements)).lines == list(entry.requirements)
        if not entry.hidden:
            assert any(line.startswith("ipykernel") for line in entry.requirements), entry.name
    assert any(line.startswith("torch==") for line in entries["pytorch"].requirements)


def test_the_catalogue_is_there_for_every_project_and_pending(house: House) -> None:
    found = house.service.list(house.people.viewer).items
    assert {e.name for e in found} == LISTED
    assert all(e.catalogue and e.state is EnvironmentState.PENDING for e in found)
    house.settle()
    assert house.port.builds == []


def test_an_entry_says_which_python_it_needs(house: House) -> None:
    assert [name for name, entry in catalogue(True).items() if entry.python is not None] == ["mxnet"]
    mxnet = house.ready("mxnet")
    assert mxnet.python == "3.8"
    assert {"mxnet==1.9.1", "numpy<1.24"} <= set(mxnet.requirements)
    assert house.ready("base").python == "3.11"  # the builder's own


def test_an_upgrade_takes_the_python_that_is_declared_now(house: House) -> None:
    house.ready("mxnet")
    with house.db.write() as session:
        row = session.scalars(select(EnvironmentRow).where(EnvironmentRow.name == "mxnet")).one()
        row.python = None  # as an older version of Nacre declared it
    house.service.build(house.people.owner, "mxnet", upgrade=True)
    house.settle()
    assert house.ready("mxnet").python == "3.8"


def test_the_first_need_builds_and_the_second_finds(house: House) -> None:
    first = house.ready("pytorch")
    assert first.state is EnvironmentState.READY
    assert first.lock is not None
    assert "torch" in pins(first.lock)
    assert house.ready("pytorch") == first
    assert house.port.builds == [first.digest]


def test_a_lock_stays_the_same_when_newer_versions_appear(house: House) -> None:
    lock = house.ready("base").lock
    house.port.version = "2.0"
    house.restart()
    assert house.ready("base").lock == lock


def test_an_upgrade_locks_anew_and_is_for_administrators(house: House) -> None:
    before = house.ready("base")
    house.port.version = "2.0"
    with pytest.raises(PermissionDenied, match="administrator"):
        house.service.build(house.people.editor, "base", upgrade=True)
    house.service.build(house.people.owner, "base", upgrade=True)
    house.settle()
    after = house.status(before.id)
    assert after.state is EnvironmentState.READY
    assert after.digest != before.digest


@pytest.mark.parametrize("method", ["resolve", "build"])
def test_an_upgrade_that_fails_leaves_the_old_one_in_use(house: House, method: str) -> None:
    before = house.ready("base")
    house.port.version = "2.0"
    house.port.fail(method, InvalidSpec("no way"))
    house.service.build(house.people.owner, "base", upgrade=True)
    house.settle()
    after = house.status(before.id)
    assert (after.state, after.digest, after.reason) == (
        EnvironmentState.READY,
        before.digest,
        "upgrade_failed",
    )
    assert after.message is not None
    assert "no way" in after.message


def test_a_failed_resolution_keeps_the_resolvers_words_until_somebody_builds(house: House) -> None:
    made = house.create("broken", "no-such-package")
    house.settle()
    found = house.status(made.id)
    assert found.state is EnvironmentState.FAILED
    assert found.reason == "environment_failed"
    assert found.message == "the requirements cannot be met: Because no-such-package was not found."
    assert house.ready("broken").state is EnvironmentState.FAILED


def test_a_failure_that_may_pass_is_tried_again_by_the_next_need(house: House) -> None:
    house.port.fail("build", PluginError("the index could not be reached"))
    assert house.ready("base").state is EnvironmentState.FAILED
    assert house.ready("base").state is EnvironmentState.READY


def test_a_failed_one_is_tried_again_by_build(house: House) -> None:
    house.port.fail("resolve", InvalidSpec("not today"))
    assert house.ready("base").state is EnvironmentState.FAILED
    house.service.build(house.people.editor, "base")
    house.settle()
    assert house.service.get(house.people.viewer, "base").state is EnvironmentState.READY


def test_a_defect_of_the_builder_is_a_failure_not_a_hang(house: House) -> None:
    house.port.fail("build", RuntimeError("boom"))
    found = house.ready("base")
    assert found.state is EnvironmentState.FAILED
    assert "boom" in (found.message or "")


@pytest.mark.parametrize("state", [EnvironmentState.RESOLVING, EnvironmentState.BUILDING])
def test_a_server_that_was_killed_in_the_middle_goes_on(house: House, state: EnvironmentState) -> None:
    found = house.ensure("base")
    work = house.work.begin(found)
    assert work is not None
    if state is EnvironmentState.BUILDING:
        assert house.work.resolved(work, house.port.resolve(work.source, lambda _: None))
    assert house.status(found).state is state
    house.restart()
    house.settle()
    assert house.status(found).state is EnvironmentState.READY


def test_one_whose_folder_is_gone_is_built_again_when_it_is_needed(house: House) -> None:
    before = house.ready("base")
    assert before.digest is not None
    house.port.delete(before.digest)
    house.restart()
    house.settle()
    assert house.status(before.id).state is EnvironmentState.PENDING
    assert house.ready("base").digest == before.digest


def test_a_folder_that_vanishes_while_the_server_runs_is_wanted_again(house: House) -> None:
    before = house.ready("base")
    assert before.digest is not None
    house.port.delete(before.digest)
    assert house.service.built(before.digest) is None
    house.settle()
    assert house.service.built(before.digest) is not None


def test_two_projects_with_the_same_requirements_share_one_build(house: House) -> None:
    one, other = house.create("one", "six"), house.create("other", "six")
    house.settle()
    assert house.status(one.id).digest == house.status(other.id).digest
    assert len(house.port.builds) == 1


def test_no_more_than_two_are_worked_on_at_a_time(house: House) -> None:
    house.port.gate.clear()
    made = [house.create(f"e{i}", f"p{i}") for i in range(4)]
    house.loop.run_once()
    house.loop.run_once()
    pending = [e for e in made if house.status(e.id).state is EnvironmentState.PENDING]
    house.port.gate.set()
    assert len(pending) == 2
    house.settle()
    assert {house.status(e.id).state for e in made} == {EnvironmentState.READY}


def test_a_result_for_a_wish_that_changed_is_not_taken(house: House) -> None:
    house.port.fail("resolve", InvalidSpec("not today"))
    found = house.ready("base")
    house.service.build(house.people.editor, "base")
    work = house.work.begin(found.id)
    assert work is not None
    house.work.failed(work, InvalidSpec("late"))
    house.service.build(house.people.editor, "base")
    assert not house.work.resolved(work, house.port.resolve(work.source, lambda _: None))
    assert house.status(found.id).state is EnvironmentState.PENDING


def test_a_name_is_taken_once_and_never_from_the_catalogue(house: House) -> None:
    house.create("mine", "six")
    for name in ("mine", "pytorch", "jupyterlab"):
        with pytest.raises(Conflict, match=name):
            house.create(name, "six")


def test_a_deleted_name_is_free_again_and_its_record_stays(house: House) -> None:
    made = house.create("mine", "six")
    house.settle()
    house.service.delete(house.people.editor, "mine")
    assert house.status(made.id).digest is not None
    assert house.port.find(house.status(made.id).digest or "") is None
    with pytest.raises(NotFound, match="pytorch"):
        house.service.get(house.people.viewer, "mine")
    assert house.create("mine", "idna").id != made.id


def test_deleting_keeps_the_folder_that_another_one_shares(house: House) -> None:
    made = house.create("mine", "six")
    house.create("twin", "six")
    house.settle()
    house.service.delete(house.people.editor, "mine")
    assert house.port.find(house.status(made.id).digest or "") is not None


def test_what_is_used_or_the_catalogues_is_not_deleted(house: House) -> None:
    made = house.create("mine", "six")
    house.service.guard(lambda session, found: "job train-3" if found == made.id else None)
    with pytest.raises(Conflict, match="job train-3"):
        house.service.delete(house.people.editor, "mine")
    with pytest.raises(Conflict, match="every project"):
        house.service.delete(house.people.owner, "base")


def test_deleting_one_that_is_wanted_ends_it(house: House) -> None:
    made = house.create("mine", "six")
    house.service.delete(house.people.editor, "mine")
    house.settle()
    assert house.status(made.id).state is EnvironmentState.FAILED
    assert house.port.builds == []


def test_another_projects_environment_is_not_found(house: House) -> None:
    made = house.create("mine", "six")
    with house.db.write() as session, pytest.raises(NotFound):
        house.service.ensure(session, "prj_other", made.id)


def test_deriving_what_is_there_gives_the_same(house: House) -> None:
    base = house.ready("sklearn")
    assert house.derive(base.id, "skl2onnx") == base.id
    assert house.derive(base.id) == base.id


def test_deriving_before_the_base_is_locked_believes_its_requirements(house: House) -> None:
    base = house.ensure("sklearn")
    assert house.derive(base, "skl2onnx") == base


def test_deriving_adds_to_the_bases_lock_and_stays_hidden(house: House) -> None:
    base = house.ready("base")
    found = house.derive(base.id, "skl2onnx", "onnx==1.5")
    assert found == house.derive(base.id, "onnx==1.5", "skl2onnx")
    house.settle()
    derived = house.status(found)
    assert derived.state is EnvironmentState.READY
    assert derived.lock is not None
    assert base.lock is not None
    assert set(logical_lines(base.lock)) < set(logical_lines(derived.lock))
    assert pins(derived.lock)["onnx"] == "1.5"
    assert found not in {e.id for e in house.service.list(house.people.viewer).items}


def test_deriving_waits_for_the_base_and_fails_with_it(house: House) -> None:
    house.port.fail("resolve", InvalidSpec("not today"))
    base = house.ensure("base")
    found = house.derive(base, "skl2onnx")
    house.settle()
    assert house.status(found).state is EnvironmentState.FAILED
    assert house.status(found).message == "base: not today"


def test_a_derived_one_follows_its_base(house: House) -> None:
    base = house.ready("base")
    found = house.derive(base.id, "skl2onnx")
    house.settle()
    house.port.version = "2.0"
    house.service.build(house.people.owner, "base", upgrade=True)
    house.settle()
    assert house.derive(base.id, "skl2onnx") == found
    house.settle()
    derived = house.status(found)
    assert derived.state is EnvironmentState.READY
    assert pins(derived.lock or "")["numpy"] == "2.0"


def test_the_log_has_every_line_and_tells_its_end(house: House) -> None:
    found = house.ensure("base")
    assert house.service.read_log(found, 0) == (b"", False)
    house.settle()
    text, ended = house.service.read_log(found, 0)
    lines = [line.split(" ", 1)[1] for line in text.decode().splitlines()]
    assert lines[:4] == ["resolving", "fake resolve", "building", "fake build"]
    assert lines[-1].startswith("ready after")
    assert ended
    assert house.service.read_log(found, len(text) - 3) == (text[-3:], True)


def test_building_again_after_a_failure_starts_a_new_log(house: House) -> None:
    house.port.fail("resolve", InvalidSpec("not today"))
    found = house.ready("base").id
    assert b"failed: not today" in house.service.read_log(found, 0)[0]
    house.service.build(house.people.editor, "base")
    house.settle()
    assert b"not today" not in house.service.read_log(found, 0)[0]


def test_a_wish_wakes_the_loop_once_it_is_committed(house: House) -> None:
    house.service.install()
    with house.signals.listen("environments") as woken:
        with house.db.write() as session:
            house.service.ensure(session, house.people.project.id, "base")
            assert not woken.is_set()
        assert woken.is_set()


def test_a_new_declaration_is_taken_unless_there_is_a_lock(house: House) -> None:
    house.ready("base")
    house.service.install()
    with house.db.write() as session:
        for row in session.query(EnvironmentRow).where(EnvironmentRow.name.in_(("base", "jax"))):
            row.requirements = "old"
    house.restart()
    assert house.service.get(house.people.viewer, "base").requirements == ["old"]
    assert house.service.get(house.people.viewer, "jax").requirements != ["old"]
