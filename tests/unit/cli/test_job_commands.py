"""``nacre run``, ``ps``, ``logs``, ``stop``, ``show``, ``delete`` on a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import people
from tests.database_kit import sqlite_in
from tests.jobs_kit import Script, app_of, machine
from tests.tracking_kit import serving
from typer.testing import CliRunner, Result

from nacre.cli.attach import attach
from nacre.cli.main import app
from nacre.clock import FixedClock
from nacre.errors import Conflict, InvalidSpec, NotFound
from nacre.schema.jobs import Job, JobRecord, JobSpec
from nacre.sdk.client import Client
from nacre.testing.jobs import JobsWorld


@pytest.fixture
def world(tmp_path: Path) -> Iterator[JobsWorld]:
    database = sqlite_in(tmp_path)
    clock = FixedClock()
    found = JobsWorld(database, clock, tmp_path)
    found.people = people.__wrapped__(database, clock)  # type: ignore[attr-defined]
    yield found
    database.close()


@pytest.fixture
def sdk(world: JobsWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Client]:
    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text("print('hello')")
    monkeypatch.chdir(code)
    monkeypatch.setenv("NACRE_HOME", str(tmp_path / "client"))
    with (
        serving(app_of(world, world.people)) as url,  # type: ignore[attr-defined]
        Client(url, "editor", project="vision") as client,
    ):
        monkeypatch.setenv("NACRE_URL", url)
        monkeypatch.setenv("NACRE_TOKEN", "editor")
        monkeypatch.setenv("NACRE_PROJECT", "vision")
        yield client


def nacre(*words: str) -> Result:
    """Run a command; what Nacre itself raises comes out as it is."""
    result = CliRunner().invoke(app, [*words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


class TestRun:
    def test_attached_it_prints_the_log_and_takes_the_jobs_exit_code(
        self, world: JobsWorld, sdk: Client
    ) -> None:
        with machine(world, Script(b"binary \xff\x00 too\n", "exit_nonzero", 3)):
            result = nacre("run", "train.py", "--", "--epochs", "5")
        assert result.exit_code == 3
        assert result.stdout_bytes == b"binary \xff\x00 too\n"
        assert "per hour" in result.stderr
        assert "failed (exit_nonzero)" in result.stderr
        job = sdk.jobs.get("train-1")
        assert job.spec.commands == ["python train.py --epochs 5"]
        assert job.record is not None
        assert job.record.code is not None
        assert [f.path for f in world.ledger.read_manifest(job.record.code).files] == ["train.py"]

    def test_detached_with_options_and_json(self, world: JobsWorld, sdk: Client) -> None:
        result = nacre(
            *("--output", "json", "run", "-d", "--name", "mine", "-m", "a note", "--env", "A=1"),
            *("--cpu", "0.5", "--memory", "1GB", "--max-duration", "1h", "--max-restarts", "2", "train.py"),
        )
        job = json.loads(result.stdout)
        assert (job["name"], job["description"], job["state"]) == ("mine", "a note", "queued")
        spec = sdk.jobs.get("mine").spec
        assert (spec.env, spec.resources.cpu, spec.max_duration, spec.max_restarts) == (
            {"A": "1"},
            0.5,
            3600,
            2,
        )
        with pytest.raises(Conflict, match="mine already"):
            nacre("run", "-d", "--name", "mine", "train.py")

    def test_a_dry_run_shows_plan_and_price_and_stores_nothing(self, sdk: Client) -> None:
        result = nacre("run", "--dry-run", "--max-duration", "1h", "train.py")
        assert result.exit_code == 0
        assert "at most" in result.stdout
        assert "must be built first" in result.stdout
        assert sdk.jobs.list() == []
        assert nacre("run", "--dry-run", "--cpu", "64", "train.py").exit_code == 1

    def test_nothing_is_sent_when_the_script_is_missing_or_the_job_impossible(
        self, world: JobsWorld, sdk: Client
    ) -> None:
        before = set(world.ledger.store.digests())
        with pytest.raises(NotFound, match="there is no script"):
            nacre("run", "missing.py")
        with pytest.raises(InvalidSpec, match="the largest machine"):
            nacre("run", "--cpu", "64", "train.py")
        assert set(world.ledger.store.digests()) == before
        assert nacre("run").exit_code == 2
        assert nacre("run", "-f", "job.yaml", "train.py").exit_code == 2

    def test_a_file_and_options_that_win_over_it(self, sdk: Client) -> None:
        Path("job.yaml").write_text(
            "display_name: from-file\nrun: python train.py\nenvs: {A: '1', B: '2'}\nlimits: {timeout: 60}\n"
        )
        nacre("run", "-d", "-f", "job.yaml", "--name", "mine", "--env", "B=3", "--max-duration", "2m")
        spec = sdk.jobs.get("mine").spec
        assert (spec.env, spec.max_duration) == ({"A": "1", "B": "3"}, 120)

    def test_again_from_the_record(self, world: JobsWorld, sdk: Client) -> None:
        with machine(world, Script()):
            nacre("run", "--env", "A=1", "train.py", "--", "x")
            result = nacre("run", "--like", "train-1")
        assert result.exit_code == 0
        first, second = sdk.jobs.get("train-1"), sdk.jobs.get("train-2")
        assert first.record is not None
        assert second.record is not None
        assert first.record.model_dump() == second.record.model_dump()

    def test_again_with_the_packages_of_then_and_with_what_the_line_says(
        self, world: JobsWorld, sdk: Client
    ) -> None:
        sdk.environments.create("mine", requirements="numpy")
        with machine(world, Script()):
            nacre("run", "-e", "mine", "--env", "A=1", "--max-duration", "1h", "train.py", "--", "x")
            world.builder.version = "2.0"
            sdk.environments.build("mine", upgrade=True)
            world.build_environments()
            nacre("run", "--like", "train-1", "--env", "B=2", "--max-duration", "2h")
            nacre("run", "--like", "train-1", "-e", "mine", "train.py", "--", "y")
            Path("train.py").write_text("print('other')")
            nacre("run", "--like", "train-1", "--workdir", ".")
        jobs = [sdk.jobs.get(f"train-{number}") for number in (1, 2, 3, 4)]
        first, changed, newer, edited = (job.record or JobRecord.model_validate({}) for job in jobs)
        assert changed.environment_digest == first.environment_digest
        assert (changed.env, changed.commands) == ({"A": "1", "B": "2"}, first.commands)
        assert jobs[1].spec.max_duration == 7200
        assert newer.environment_digest != first.environment_digest
        assert (newer.commands, newer.code) == (["python train.py y"], first.code)
        assert edited.code != first.code
        assert edited.environment_digest == first.environment_digest

    def test_ctrl_c_leaves_the_job_running_and_says_how_to_come_back(
        self,
        world: JobsWorld,
        sdk: Client,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        job = sdk.jobs.submit(JobSpec(commands=["true"]))
        monkeypatch.setattr(sdk.jobs, "logs", lambda *args, **options: iter([]))

        def interrupt(*args: object, **options: object) -> Job:
            raise KeyboardInterrupt

        monkeypatch.setattr(sdk.jobs, "get", interrupt)
        assert attach(sdk, job) == 0
        said = capsys.readouterr().err
        assert "nacre logs -f true-1" in said
        assert "nacre stop true-1" in said
        monkeypatch.undo()
        assert sdk.jobs.get(job.id).state == "queued"


def test_ps_logs_show_stop_and_delete(world: JobsWorld, sdk: Client) -> None:
    assert "nacre run" in nacre("ps", "-a").stdout
    with machine(world, Script(b"one\ntwo\n")):
        nacre("run", "train.py")
    assert nacre("logs", "--tail", "1", "train-1").stdout_bytes == b"two\n"
    assert nacre("logs", "-f", "train-1").stdout_bytes == b"one\ntwo\n"
    assert "train-1" not in nacre("ps").stdout
    assert "succeeded" in nacre("ps", "-a").stdout
    shown = nacre("show", "train-1").stdout
    assert "python train.py" in shown
    assert "nacre run --like train-1" in shown
    assert json.loads(nacre("--output", "json", "show", "train-1").stdout)["name"] == "train-1"
    waiting = sdk.jobs.submit(JobSpec(commands=["true"]))
    assert "cancelled" in nacre("stop", waiting.name, "--reason", "no").stdout
    assert nacre("delete", "-y", waiting.name, "train-1").exit_code == 0
    assert sdk.jobs.list() == []
    with pytest.raises(NotFound):
        nacre("show", "train-1")
