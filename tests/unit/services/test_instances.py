"""Instances as services and their loop keep them, on both databases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import func, select
from tests.conftest import People
from tests.unit.services.instance_house import CONTENT, House, jupyter

from nacre.clock import FixedClock
from nacre.control.instances import READY_SECONDS
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied, PluginError
from nacre.schema.instances import InstanceState
from nacre.schema.projects import SecretSet
from nacre.testing.engines import unavailable


@pytest.fixture
def house(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> House:
    return House(database, clock, people, tmp_path)


class TestCreate:
    def test_it_waits_for_its_environments_and_says_so(self, house: House) -> None:
        found = house.create(environment="pytorch")
        assert found.state is InstanceState.QUEUED
        house.tick()
        found = house.get()
        assert found.reason == "environment_building"
        assert found.message is not None
        assert found.message.startswith("waits for the environment pytorch")

    def test_it_has_the_price_of_its_type(self, house: House) -> None:
        found = house.create(type="cpu.medium")
        assert found.price_per_hour == house.prices.type("cpu.medium").price_per_hour
        assert found.cost == 0

    def test_two_of_one_name_cannot_be(self, house: House) -> None:
        house.create()
        with pytest.raises(Conflict, match="lab already"):
            house.create()

    @pytest.mark.parametrize(
        ("fields", "says"),
        [
            ({"type": "cpu.absurd"}, "cpu.absurd"),
            ({"environment": "absurd"}, "absurd"),
            ({"data": {"d": {"path": "absurd"}}}, "absurd"),
            ({"secrets": ["absurd"]}, "absurd"),
        ],
    )
    def test_what_is_not_there_is_named_and_nothing_is_made(
        self, house: House, fields: dict[str, object], says: str
    ) -> None:
        with pytest.raises(NotFound, match=says):
            house.create(**fields)
        assert house.instances.list(house.people.viewer).items == []

    def test_a_type_that_no_machine_could_hold_is_refused(self, house: House) -> None:
        with pytest.raises(InvalidSpec, match="the largest machine"):
            house.create(type="gpu.small")
        assert house.instances.list(house.people.viewer).items == []

    def test_it_can_be_made_without_starting(self, house: House) -> None:
        assert house.create(start=False).state is InstanceState.STOPPED
        house.build()
        house.tick()
        assert house.get().state is InstanceState.STOPPED
        assert house.usage_rows() == []

    def test_a_failed_environment_is_told_in_the_resolvers_words(self, house: House) -> None:
        with house.db.write() as session:
            house.environments.ensure(session, house.people.project.id, "base")
        house.builder.fail("build", PluginError("no space left"), times=3)
        house.create()
        house.build()
        house.tick()
        found = house.get()
        assert (found.state, found.reason) == (InstanceState.FAILED, "environment_failed")
        assert found.message is not None
        assert "no space left" in found.message


class TestLaunch:
    def test_the_kernel_is_the_chosen_environments_and_jupyter_another_ones(self, house: House) -> None:
        found = house.started(environment="sklearn")
        spec = house.spec()
        assert found.state is InstanceState.STARTING
        assert (spec.kind, spec.subject_id, spec.subject_name) == ("instance", found.id, "lab")
        settings = house.folder / "instances" / found.id / "jupyter"
        kernels = list((settings / "kernels").iterdir())
        assert [kernel.name for kernel in kernels] == ["sklearn"]
        kernel = json.loads((kernels[0] / "kernel.json").read_text())
        assert kernel["argv"] == [
            "/usr/bin/env",
            "python",
            "-m",
            "ipykernel_launcher",
            "-f",
            "{connection_file}",
        ]
        lab = spec.command[4].removesuffix("/bin/python")
        assert lab != spec.environment
        shown = {mount.target: mount for mount in spec.mounts}
        assert shown[lab].source == lab
        assert shown["/opt/nacre-jupyter"].source == str(settings)
        assert not any(mount.writable for mount in spec.mounts)
        assert spec.variables["JUPYTER_PATH"] == "/opt/nacre-jupyter"
        assert "--KernelSpecManager.ensure_native_kernel=False" in spec.command
        assert "--MultiKernelManager.default_kernel_name=sklearn" in spec.command

    def test_jupyters_token_is_in_a_private_file_and_on_no_command_line(self, house: House) -> None:
        found = house.started()
        spec = house.spec()
        upstream = house.instances.upstream(found.id)
        assert upstream is not None
        token = upstream[1]
        assert len(token) > 40
        assert token in spec.secret_files.values()
        assert not any(token in word for word in [*spec.command, *spec.variables.values()])
        kept = house.folder / "instances" / found.id / "token"
        assert kept.stat().st_mode & 0o777 == 0o600

    def test_the_home_is_its_own_and_stays(self, house: House) -> None:
        found = house.started()
        first = house.spec()
        assert first.home == str(house.folder / "instances" / found.id / "home")
        house.ended("succeeded")
        house.instances.start(house.people.editor, "lab")
        house.tick()
        second = house.spec()
        assert second.home == first.home
        assert second.attempt_id != first.attempt_id
        assert second.secret_files != first.secret_files

    def test_datasets_are_frozen_and_kept(self, house: House) -> None:
        manifest = house.push("digits")
        found = house.started(data={"train": {"path": "digits"}})
        assert found.data == {"train": "digits@1"}
        [item] = house.spec().inputs
        assert (item.name, item.manifest, item.mode) == ("train", manifest, "ro_mount")
        with pytest.raises(Conflict):
            house.datasets.delete(house.people.editor, "digits")
        with house.db.read() as session:
            assert house.launches.manifests(session, found.id) == [manifest]

    def test_secrets_are_given_and_not_shown(self, house: House) -> None:
        house.secrets.set(house.people.owner, "KEY", SecretSet(value="hush"))
        found = house.started(secrets=["KEY"])
        assert house.spec().secrets["KEY"] == "hush"
        assert "hush" not in found.model_dump_json()

    def test_its_token_acts_as_its_user_in_its_project_until_the_end(self, house: House) -> None:
        house.started()
        secret = house.spec().work_token
        caller = house.tokens.resolve(secret)
        assert caller is not None
        assert caller.user_id == house.people.editor.user_id
        assert caller.project_ids == {house.people.project.id}
        assert not caller.admin
        house.ended("succeeded")
        house.tick()
        assert house.tokens.resolve(secret) is None

    def test_without_room_it_waits_and_says_what_for(self, house: House) -> None:
        house.started("more", type="cpu.medium")
        house.started("first", type="cpu.medium")
        house.create("second")
        house.tick()
        second = house.get("second")
        assert (second.state, second.reason) == (InstanceState.QUEUED, "no_capacity")
        assert second.message is not None
        assert "instance first" in second.message
        house.ended("succeeded", name="first")
        house.tick()
        assert house.get("second").state is InstanceState.STARTING

    def test_a_server_that_dies_after_placing_it_launches_it_once(self, house: House) -> None:
        house.create()
        house.build()
        house.engine.fail("launch", unavailable())
        house.queue.advance()
        assert house.engine.launched == {}
        token = house.launches.upstream(house.get().id)
        house.restart()
        house.tick()
        house.tick()
        [launch] = house.engine.launched.values()
        assert launch.launches == 1
        assert token is not None
        assert token.token in launch.spec.secret_files.values()
        assert len(house.usage_rows()) == 1

    def test_two_servers_passes_start_it_once(self, house: House) -> None:
        house.create()
        house.build()
        house.queue.advance()
        house.queue.advance()
        with house.db.read() as session:
            assert session.scalar(select(func.count()).select_from(AttemptRow)) == 1


class TestRunning:
    def test_it_runs_once_jupyter_answers(self, house: House) -> None:
        house.started()
        house.report({"type": "state", "state": "running"})
        house.tick()
        assert house.get().state is InstanceState.STARTING
        with jupyter(house) as program:
            program.ready = False
            house.tick()
            assert house.get().state is InstanceState.STARTING
            program.ready = True
            house.tick()
        found = house.get()
        assert found.state is InstanceState.RUNNING
        assert (found.reason, found.message, found.idle_s) == (None, None, 0)
        assert found.started_at == house.clock.now()

    def test_it_is_looked_at_often_only_while_it_starts(self, house: House) -> None:
        house.started()
        assert house.loop.interval_s < 0.5
        with jupyter(house):
            house.tick()
        house.tick()
        assert house.loop.interval_s >= 1

    def test_one_that_never_answers_fails_with_its_log(self, house: House) -> None:
        house.started()
        log = b"Traceback\nModuleNotFoundError: No module named jupyterlab\n"
        house.attempts.report(house.attempt().id, 0, "log", offset=0, body=log)
        house.tick(READY_SECONDS - 1)
        assert house.get().state is InstanceState.STARTING
        house.tick(2)
        assert house.get().state is InstanceState.STOPPING
        assert house.engine.launched[house.attempt().id].stops == 1
        house.ended("cancelled_by_user")
        found = house.get()
        assert (found.state, found.reason) == (InstanceState.FAILED, "not_ready")
        assert found.message is not None
        assert "did not answer within" in found.message
        assert "No module named jupyterlab" in found.message

    def test_a_failed_start_is_told_and_can_be_repeated(self, house: House) -> None:
        house.started()
        house.ended("launch_failed", message="bubblewrap is not installed")
        found = house.get()
        assert (found.state, found.reason) == (InstanceState.FAILED, "launch_failed")
        assert found.message == "bubblewrap is not installed"
        house.instances.start(house.people.editor, "lab")
        house.tick()
        assert house.get().state is InstanceState.STARTING

    def test_a_server_that_dies_finds_it_running(self, house: House) -> None:
        house.started()
        with jupyter(house) as program:
            house.tick()
            house.restart()
            program.busy(house.clock.now())
            house.tick(7200)
            assert house.get().state is InstanceState.RUNNING
            assert house.instances.upstream(house.get().id) is not None
        assert len(house.engine.launched) == 1

    def test_what_it_costs_is_one_record(self, house: House) -> None:
        house.started(idle_timeout=1e6)
        with jupyter(house):
            house.tick()
        house.clock.advance(1800)
        assert house.get().cost == house.get().price_per_hour // 2
        house.ended("succeeded")
        house.clock.advance(3600)
        house.tick()
        [record] = house.usage_rows()
        assert (record.kind, record.subject_name) == ("instance", "lab")
        assert record.ended_at is not None
        assert house.get().cost == house.get().price_per_hour // 2


class TestIdle:
    def test_it_stops_when_nothing_happens(self, house: House) -> None:
        house.started(idle_timeout=600)
        with jupyter(house):
            house.tick()
            house.tick(599)
            assert house.get().state is InstanceState.RUNNING
            assert house.get().idle_s == 599
            house.tick(1)
        found = house.get()
        assert (found.state, found.reason) == (InstanceState.STOPPING, "idle")
        house.ended("cancelled_by_user")
        found = house.get()
        assert (found.state, found.reason) == (InstanceState.STOPPED, "idle")
        assert found.message is not None
        assert "10 minutes" in found.message

    def test_a_busy_kernel_keeps_it_though_nobody_is_there(self, house: House) -> None:
        house.started(idle_timeout=600)
        with jupyter(house) as program:
            house.tick()
            program.busy(house.clock.now())
            for _ in range(5):
                house.tick(599)
            house.tick(7200)
            assert house.get().state is InstanceState.RUNNING
            assert house.get().idle_s == 0
            program.busy(house.clock.now(), "idle")
            house.tick(599)
            assert house.get().state is InstanceState.RUNNING
            house.tick(1)
            assert house.get().reason == "idle"

    def test_a_terminals_output_keeps_it(self, house: House) -> None:
        house.started(idle_timeout=600)
        with jupyter(house) as program:
            house.tick()
            house.clock.advance(500)
            program.terminals = [{"name": "1", "last_activity": house.clock.now().isoformat()}]
            house.tick(500)
            assert house.get().state is InstanceState.RUNNING
            assert house.get().idle_s == 500

    def test_a_person_keeps_it(self, house: House) -> None:
        house.started(idle_timeout=600)
        with jupyter(house):
            house.tick()
            house.clock.advance(500)
            house.instances.door.touch(house.get().id)
            house.tick(500)
            assert house.get().state is InstanceState.RUNNING

    def test_a_person_who_comes_back_at_the_last_moment_keeps_it(self, house: House) -> None:
        house.started(idle_timeout=600)
        with jupyter(house):
            house.tick()
        [watched] = house.queue.watched()
        house.clock.advance(601)
        house.instances.door.touch(watched.id)
        house.queue.stop_idle(watched, watched.active_at)
        assert house.get().state is InstanceState.RUNNING

    def test_one_that_cannot_be_asked_is_left_alone(self, house: House) -> None:
        house.started(idle_timeout=600)
        with jupyter(house) as program:
            house.tick()
            program.ready = False
            house.tick(7200)
        house.tick(7200)
        assert house.get().state is InstanceState.RUNNING


class TestStop:
    def test_it_stops_and_starts_again(self, house: House) -> None:
        house.started()
        with jupyter(house):
            house.tick()
        assert house.instances.stop(house.people.editor, "lab").state is InstanceState.STOPPING
        house.tick()
        assert house.engine.launched[house.attempt().id].stops == 1
        house.ended("cancelled_by_user")
        found = house.get()
        assert (found.state, found.reason) == (InstanceState.STOPPED, "stopped_by_user")
        assert (found.idle_s, found.started_at) == (None, None)
        house.tick()
        assert house.instances.start(house.people.editor, "lab").state is InstanceState.QUEUED
        house.tick()
        assert house.get().state is InstanceState.STARTING
        assert [row.ended_at is None for row in house.usage_rows()] == [False, True]

    def test_one_that_waits_stops_at_once(self, house: House) -> None:
        house.create()
        assert house.instances.stop(house.people.editor, "lab").state is InstanceState.STOPPED
        house.build()
        house.tick()
        assert house.engine.launched == {}

    def test_one_that_was_killed_while_stopping_has_stopped(self, house: House) -> None:
        house.started()
        house.instances.stop(house.people.editor, "lab")
        house.ended("exit_nonzero", exit_code=137)
        assert house.get().state is InstanceState.STOPPED

    def test_shutting_jupyter_down_from_inside_stops_it(self, house: House) -> None:
        house.started()
        house.ended("succeeded")
        assert (house.get().state, house.get().reason) == (InstanceState.STOPPED, "shut_down")

    def test_starting_and_stopping_twice_is_once(self, house: House) -> None:
        house.started()
        assert house.instances.start(house.people.editor, "lab").state is InstanceState.STARTING
        house.instances.stop(house.people.editor, "lab")
        assert house.instances.stop(house.people.editor, "lab").state is InstanceState.STOPPING
        with pytest.raises(Conflict, match="is stopping"):
            house.instances.start(house.people.editor, "lab")


class TestDelete:
    def test_it_goes_with_its_home_and_what_it_cost_stays(self, house: House) -> None:
        house.push("digits")
        found = house.started(data={"digits": {"path": "digits@1"}})
        home = house.folder / "instances" / found.id / "home"
        (home / "deep" / "er").mkdir(parents=True)
        (home / "deep").chmod(0o500)
        with pytest.raises(Conflict, match="stop it first"):
            house.instances.delete(house.people.editor, "lab")
        house.ended("succeeded")
        house.instances.delete(house.people.editor, "lab")
        assert list((house.folder / "instances").iterdir()) == []
        with pytest.raises(NotFound):
            house.get()
        assert len(house.usage_rows()) == 1
        house.datasets.delete(house.people.editor, "digits")

    def test_a_removal_that_a_crash_cut_short_is_finished(self, house: House) -> None:
        folder = house.folder / "instances"
        (folder / "ins_gone.deleted" / "home").mkdir(parents=True)
        (folder / "ins_unknown" / "home").mkdir(parents=True)
        house.tick()
        assert [path.name for path in folder.iterdir()] == ["ins_unknown"]


class TestOpen:
    def test_the_url_is_on_the_content_origin_and_short_lived(self, house: House) -> None:
        found = house.started()
        url = house.instances.open(house.people.editor, "lab")
        assert url.url.startswith(f"{CONTENT}/instances/{found.id}/_nacre/enter?ticket=")
        assert (url.expires_at - house.clock.now()).total_seconds() == 60

    def test_a_stopped_one_must_be_started_first(self, house: House) -> None:
        house.create(start=False)
        with pytest.raises(Conflict, match="nacre instance start lab"):
            house.instances.open(house.people.editor, "lab")

    def test_only_its_user_and_owners_of_the_project_may(self, house: House) -> None:
        house.started()
        house.instances.open(house.people.owner, "lab")
        with house.db.write() as session:
            from nacre.db.tables.instances import InstanceRow

            session.get_one(InstanceRow, house.get().id).user_id = house.people.owner.user_id
        with pytest.raises(PermissionDenied, match="another member"):
            house.instances.open(house.people.editor, "lab")


def test_an_environment_in_use_says_by_what(house: House) -> None:
    from nacre.schema.environments import EnvironmentCreate

    body = EnvironmentCreate(name="mine", requirements="six")
    house.environments.create(house.people.editor, body)
    house.started(environment="mine")
    with pytest.raises(Conflict, match="instance lab"):
        house.environments.delete(house.people.editor, "mine")


def test_its_log_is_that_of_the_latest_start(house: House) -> None:
    found = house.started()
    house.attempts.report(house.attempt().id, 0, "log", offset=0, body=b"first\n")
    assert house.instances.read_log(found.id, 0) == (b"first\n", False)
    assert house.instances.read_log(found.id, 3) == (b"st\n", False)
    house.ended("succeeded")
    assert house.instances.read_log(found.id, 6) == (b"", True)
