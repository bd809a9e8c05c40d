"""Instances whose app is TensorBoard: what they show, how they are launched, when they go."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import select
from tests.conftest import People
from tests.unit.services.instance_house import House, app

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.projects import ProjectRow
from nacre.db.tables.users import TokenRow
from nacre.domain.identity import ProjectRef
from nacre.errors import Conflict, NotFound, PermissionDenied
from nacre.ids import new_id
from nacre.schema.access import Role
from nacre.schema.instances import Instance, InstanceApp, InstanceCreate, InstanceState
from nacre.schema.runs import RunCreate
from nacre.services.instances import FAILED_TEMPORARY


class Boards(House):
    """A house with runs ``one`` and ``two``."""

    def runs_of(self, *names: str) -> list[str]:
        return [self.runs.create(self.people.editor, RunCreate(name=name)).id for name in names]

    def board(self, *runs: str, **fields: Any) -> Instance:
        body = InstanceCreate(app=InstanceApp.TENSORBOARD, runs=list(runs), **{"temporary": True, **fields})
        return self.instances.create(self.people.editor, body)

    def launched(self, *runs: str, **fields: Any) -> Instance:
        found = self.board(*runs, **fields)
        self.build()
        self.tick()
        return self.get(found.name)

    def running(self, found: Instance) -> AbstractContextManager[Any]:
        return app(self, found.name, {"_nacre/status": {"ready": True, "asked_at": self.now_text()}})

    def now_text(self) -> str:
        return self.clock.now().isoformat()

    def names(self) -> list[str]:
        return [found.name for found in self.instances.list(self.people.viewer).items]


@pytest.fixture
def house(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Boards:
    return Boards(database, clock, people, tmp_path)


class TestCreate:
    def test_it_shows_runs_of_the_project_each_once_by_any_of_their_names(self, house: Boards) -> None:
        one, two = house.runs_of("one", "two")
        assert house.board("two", one, "one").runs == [two, one]

    def test_a_run_that_is_not_there_is_named_and_nothing_is_made(self, house: Boards) -> None:
        house.runs_of("one")
        with pytest.raises(NotFound, match="there is no run absurd in this project"):
            house.board("one", "absurd")
        assert house.names() == []

    def test_a_run_of_another_project_is_not_there(self, house: Boards) -> None:
        editor = house.people.editor
        other = new_id("prj")
        with house.db.write() as session:
            session.add(
                ProjectRow(id=other, number=2, name="other", description="", created_at=house.clock.now())
            )
        elsewhere = replace(editor, project=ProjectRef(other, "other", Role.EDITOR))
        foreign = house.runs.create(elsewhere, RunCreate(name="theirs")).id
        with pytest.raises(NotFound, match=f"there is no run {foreign}"):
            house.board(foreign)

    def test_it_needs_no_name_and_stops_after_ten_minutes(self, house: Boards) -> None:
        house.runs_of("one", "two")
        first, second = house.board("one"), house.board("two")
        assert (first.name, second.name) == ("tensorboard-1", "tensorboard-2")
        assert (first.app, first.idle_timeout) == (InstanceApp.TENSORBOARD, 600)

    def test_asked_twice_for_the_same_runs_it_is_the_same_one(self, house: Boards) -> None:
        house.runs_of("one", "two")
        first = house.board("one", "two")
        assert house.board("two", "one").id == first.id
        assert house.board("one").id != first.id
        assert house.board("one", "two", name="kept", temporary=False).id != first.id

    def test_one_user_is_never_given_that_of_another(self, house: Boards) -> None:
        house.runs_of("one")
        mine = house.board("one")
        body = InstanceCreate(app=InstanceApp.TENSORBOARD, runs=["one"], temporary=True)
        assert house.instances.create(house.people.owner, body).id != mine.id

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"app": "tensorboard"}, "needs 'runs'"),
            ({"runs": ["one"]}, "for the app tensorboard"),
            ({"app": "tensorboard", "runs": ["one"], "secrets": ["key"]}, "no 'secrets'"),
            ({"app": "tensorboard", "runs": ["one"], "data": {"d": {"path": "d"}}}, "no 'data'"),
            ({"temporary": True, "start": False}, "must start"),
            ({"app": "tensorboard", "runs": ["one"] * 101}, "at most 100"),
        ],
    )
    def test_what_does_not_fit_the_app_is_refused(self, fields: dict[str, Any], says: str) -> None:
        with pytest.raises(ValidationError, match=says):
            InstanceCreate.model_validate(fields)


class TestLaunch:
    def test_it_runs_nacres_program_from_the_environment_of_tensorboard(self, house: Boards) -> None:
        one, two = house.runs_of("one", "two")
        found = house.launched("one", "two")
        spec = house.spec(found.name)
        assert spec.environment is not None
        assert spec.command == [
            f"{spec.environment}/bin/python",
            "-m",
            "nacre.workloads.tensorboard",
            "--base",
            f"/instances/{found.id}",
            "--runs",
            one,
            two,
        ]
        assert found.environment == "tensorboard"
        assert spec.variables["NACRE_CAPTURE"] == "off"
        assert spec.mounts == []

    def test_it_has_no_network_even_where_its_project_has(self, house: Boards) -> None:
        house.runs_of("one")
        with house.db.write() as session:
            session.get_one(ProjectRow, house.people.project.id).network = "full"
        assert house.spec(house.launched("one").name).network == "none"
        house.started("lab")
        assert house.spec("lab").network == "full"

    def test_no_environment_of_the_users_is_built_for_it(self, house: Boards) -> None:
        house.runs_of("one")
        found = house.board("one")
        house.tick()
        message = house.get(found.name).message
        assert message is not None
        assert message.startswith("waits for the environment tensorboard")

    def test_the_token_inside_can_do_nothing_but_read_runs(self, house: Boards) -> None:
        house.runs_of("one")
        found = house.launched("one")
        with house.db.read() as session:
            token = session.scalars(select(TokenRow).where(TokenRow.kind == "instance")).one()
        assert token.scopes == ["runs:read"]
        assert token.project_id == house.people.project.id
        assert "work_scopes" not in json.loads(house.spec(found.name).model_dump_json())

    def test_the_socket_wants_a_token_that_is_on_no_command_line(self, house: Boards) -> None:
        house.runs_of("one")
        found = house.launched("one")
        upstream, spec = house.instances.upstream(found.id), house.spec(found.name)
        assert upstream is not None
        assert upstream[1] == spec.secret_files[spec.variables["NACRE_APP_TOKEN_FILE"]]
        assert upstream[0].endswith(spec.variables["NACRE_APP_SOCKET"])
        assert not any(upstream[1] in word for word in [*spec.command, *spec.variables.values()])


class TestLife:
    def test_it_runs_once_it_has_read_its_runs(self, house: Boards) -> None:
        house.runs_of("one")
        found = house.launched("one")
        with house.running(found) as program:
            program.answers["_nacre/status"]["ready"] = False
            house.tick()
            assert house.get(found.name).state is InstanceState.STARTING
            program.answers["_nacre/status"]["ready"] = True
            house.tick()
            assert house.get(found.name).state is InstanceState.RUNNING

    def test_the_requests_of_pages_keep_it_and_then_it_goes_with_its_home(self, house: Boards) -> None:
        house.runs_of("one")
        found = house.launched("one")
        with house.running(found) as program:
            house.tick()
            house.tick(400)
            program.answers["_nacre/status"]["asked_at"] = house.now_text()
            house.tick(400)
            assert house.get(found.name).state is InstanceState.RUNNING
            house.tick(250)
            stopping = house.get(found.name)
            assert (stopping.state, stopping.reason) == (InstanceState.STOPPING, "idle")
        home = house.launches.folder(found.id)
        assert home.exists()
        house.ended("cancelled_by_user", name=found.name)
        house.tick()
        assert house.names() == []
        assert not home.exists()
        [usage] = house.usage_rows()
        assert usage.ended_at is not None, "what it cost stays in the books"

    def test_an_answer_from_the_future_does_not_keep_it(self, house: Boards) -> None:
        house.runs_of("one")
        found = house.launched("one")
        with house.running(found) as program:
            house.tick()
            later = house.clock.now() + timedelta(days=365)
            program.answers["_nacre/status"]["asked_at"] = later.isoformat()
            house.tick(100)
            program.answers["_nacre/status"]["asked_at"] = "1970-01-01T00:00:00+00:00"
            house.tick(500)
            assert house.get(found.name).state is InstanceState.RUNNING
            house.tick(150)
            assert house.get(found.name).state is InstanceState.STOPPING

    @pytest.mark.parametrize("answer", [[], {}, {"ready": True}, {"ready": True, "asked_at": "today"}])
    def test_an_answer_that_is_not_its_own_changes_nothing(self, house: Boards, answer: Any) -> None:
        house.runs_of("one")
        found = house.launched("one")
        with app(house, found.name, {"_nacre/status": answer}):
            house.tick()
        assert house.get(found.name).state is InstanceState.STARTING

    def test_one_with_a_name_stays_and_starts_again_with_the_same_runs(self, house: Boards) -> None:
        [one] = house.runs_of("one")
        found = house.launched("one", name="kept", temporary=False)
        house.ended("succeeded", name="kept")
        house.tick()
        assert house.get("kept").state is InstanceState.STOPPED
        house.instances.start(house.people.editor, "kept")
        house.tick()
        assert house.spec("kept").command[-1] == one
        assert house.get("kept").id == found.id

    def test_one_that_failed_stays_a_day_for_its_reason(self, house: Boards) -> None:
        house.runs_of("one")
        found = house.launched("one")
        house.ended("exit_nonzero", name=found.name, message="no module named tensorboard")
        house.tick(FAILED_TEMPORARY.total_seconds() - 60)
        assert house.get(found.name).message == "no module named tensorboard"
        house.tick(120)
        assert house.names() == []

    def test_one_that_was_stopped_while_it_waited_goes(self, house: Boards) -> None:
        house.runs_of("one")
        house.instances.stop(house.people.editor, house.board("one").name)
        house.tick()
        assert house.names() == []
        assert house.usage_rows() == []

    def test_only_its_user_and_owners_may_open_it_and_they_land_on_its_first_page(
        self, house: Boards
    ) -> None:
        house.runs_of("one")
        body = InstanceCreate(app=InstanceApp.TENSORBOARD, runs=["one"], name="owners")
        house.instances.create(house.people.owner, body)
        with pytest.raises(PermissionDenied, match="belongs to another member"):
            house.instances.open(house.people.editor, "owners")
        mine = house.board("one")
        ticket = house.instances.open(house.people.owner, mine.name).url.partition("ticket=")[2]
        assert house.instances.door.enter(mine.id, ticket).landing == ""

    def test_a_name_that_is_taken_is_told(self, house: Boards) -> None:
        house.runs_of("one")
        house.create("kept")
        with pytest.raises(Conflict, match="an instance kept already"):
            house.board("one", name="kept")
