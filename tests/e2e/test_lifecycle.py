"""``nacre up``, ``down``, ``status``: as a person uses them, and in every state that a home can be in."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from real_server import MakeServer, Server, wait_until
from served import ask, deploy
from sqlalchemy import text

from nacre.db.connect import Database
from nacre.ids import new_id
from nacre.sdk.client import Client

SLEEP = "import time; print('begun', flush=True); time.sleep(60)"


class Machine:
    """A home and its ports, driven by the command line alone."""

    def __init__(self, server: Server, home: Path | None = None) -> None:
        self.server = server
        self.home = home or server.home
        self.ports = ["--port", str(server.port), "--content-port", str(server.content_port)]
        self.ports += ["--inference-port", str(server.inference_port)]
        self.variables = {"NACRE_HOME": str(self.home)}

    def nacre(self, *words: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[bytes]:
        return self.server.run(*words, cwd=cwd, env=self.variables | env, check=False)

    def answer_of_a_job(self, folder: Path) -> bytes:
        """What a small job printed, to see that all of it works."""
        (folder / "main.py").write_text("print(6 * 7)")
        done = self.nacre("run", "main.py", cwd=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self, **env: str) -> None:
        done = self.nacre("up", "--detach", *self.ports, **env)
        assert done.returncode == 0, done.stderr

    def refused(self, *words: str, **env: str) -> str:
        """The one line that ``nacre up`` says when it does not start."""
        done = self.nacre(*(words or ("up", "--detach", *self.ports)), **env)
        assert done.returncode == 1, done.stdout
        said = done.stderr.decode().strip()
        assert said.startswith("error: ")
        assert len(said.splitlines()) == 1, said
        assert "Traceback" not in said
        return said

    @property
    def described(self) -> dict[str, object]:
        found: dict[str, object] = json.loads((self.home / "server.json").read_text())
        return found

    def client(self) -> Client:
        kept = json.loads((self.home / "owner.json").read_text())
        return Client(kept["url"], kept["token"], project=kept["project"])


MakeMachine = Callable[..., Machine]


@pytest.fixture
def make_machine(make_server: MakeServer) -> Iterator[MakeMachine]:
    made: list[Machine] = []

    def make(home: Path | None = None) -> Machine:
        machine = Machine(make_server(start=False), home)
        made.append(machine)
        return machine

    yield make
    for machine in made:
        if (machine.home / "server.json").exists():
            machine.nacre("down", "--all", "--timeout", "10")
            machine.nacre("down")


@pytest.fixture
def machine(make_machine: MakeMachine) -> Machine:
    return make_machine()


class TestUp:
    def test_is_ready_when_it_returns_and_soon(self, machine: Machine) -> None:
        """``benchmarks/idle.py`` measures it against the aim of 5 s; here others use the machine too."""
        started = time.monotonic()
        machine.up()
        assert time.monotonic() - started < 15
        assert httpx.get(f"{machine.server.url}/api/v1").json()["version"]
        assert machine.nacre("status").returncode == 0
        assert machine.nacre("down").returncode == 0

    def test_twice_says_that_it_runs_and_harms_nothing(self, machine: Machine) -> None:
        machine.up()
        for words in (("up", "--detach"), ("up",)):
            said = machine.refused(*words, *machine.ports)
            assert "already running" in said
            assert str(machine.described["pid"]) in said
        assert machine.nacre("status").returncode == 0

    @pytest.mark.parametrize("which", ["port", "content_port", "inference_port"])
    def test_a_taken_port_is_named(self, machine: Machine, which: str) -> None:
        taken = getattr(machine.server, which)
        with socket.create_server(("127.0.0.1", taken)):
            said = machine.refused()
        assert f"port {taken} " in said
        assert "--port" in said
        machine.up()

    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            (("--port", "70000"), "70000 is no port"),
            (("--port", "7373", "--content-port", "7373"), "three different ports"),
            (("--host", "203.0.113.1"), "cannot listen on 203.0.113.1"),
        ],
    )
    def test_an_address_that_cannot_be(
        self, machine: Machine, words: tuple[str, ...], expected: str
    ) -> None:
        assert expected in machine.refused("up", "--detach", *words)

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("NACRE_PORT", "http", "NACRE_PORT"),
            ("NACRE_LOG_LEVEL", "loud", "NACRE_LOG_LEVEL"),
            ("NACRE_DATABASE_URL", "mysql://nowhere/x", "postgresql://"),
            ("NACRE_DATABASE_URL", "postgresql://me:hidden@127.0.0.1:1/x", "NACRE_DATABASE_URL"),
        ],
    )
    def test_settings_that_make_no_sense(
        self, machine: Machine, name: str, value: str, expected: str
    ) -> None:
        said = machine.refused("up", "--detach", **{name: value})
        assert expected in said
        assert "hidden" not in said

    def test_a_description_of_a_server_that_died_is_no_server(self, machine: Machine) -> None:
        """Also when its process number belongs to another program now."""
        machine.home.mkdir(exist_ok=True)
        for content in ("", "{}", "[]", '{"pid": "x"}', json.dumps({"pid": os.getpid(), "start": 1})):
            (machine.home / "server.json").write_text(content)
            done = machine.nacre("--output", "json", "status")
            assert (done.returncode, json.loads(done.stdout)) == (3, {"running": False})
            assert machine.nacre("down").returncode == 0
        machine.up()

    def test_the_owners_token_is_private_and_made_anew_when_it_is_gone(self, machine: Machine) -> None:
        machine.up()
        path = machine.home / "owner.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        before = json.loads(path.read_text())["token"]
        machine.nacre("down")
        machine.up()
        assert json.loads(path.read_text())["token"] == before
        path.unlink()
        assert "owner.json" in machine.refused("down", "--all")
        assert machine.nacre("down").returncode == 0
        machine.up()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with machine.client() as nacre:
            assert nacre.users.me().admin

    def test_a_home_with_spaces_and_umlauts(
        self, make_machine: MakeMachine, e2e_folder: Path, built_environments: Path, tmp_path: Path
    ) -> None:
        machine = make_machine(e2e_folder / "my höme, sweet")
        machine.home.mkdir()
        (machine.home / "environments").symlink_to(built_environments)
        machine.up()
        assert machine.answer_of_a_job(tmp_path) == b"42\n"

    def test_a_home_with_a_path_longer_than_a_sockets_may_be(
        self, make_machine: MakeMachine, e2e_folder: Path, built_environments: Path, tmp_path: Path
    ) -> None:
        machine = make_machine(e2e_folder / ("a" * 60) / ("b" * 60))
        machine.home.mkdir(parents=True)
        (machine.home / "environments").symlink_to(built_environments)
        machine.up()
        assert machine.answer_of_a_job(tmp_path) == b"42\n"
        machine.nacre("instance", "create", "lab", "--env", "base")
        assert b"42" in machine.nacre("instance", "exec", "lab", "print(6 * 7)").stdout
        machine.server.home = machine.home
        assert ask(machine.server, deploy(machine.server).url) == [2.0, 4.0]
        assert b"endpoints answer no more until 'nacre up'" in machine.nacre("down").stdout


class TestDatabase:
    def test_of_a_newer_nacre(self, machine: Machine) -> None:
        machine.up()
        machine.nacre("down")
        with sqlite3.connect(machine.home / "nacre.db") as database:
            database.execute("UPDATE alembic_version SET version_num = '9999'")
        said = machine.refused()
        assert "9999" in said
        assert "newer" in said

    def test_that_is_somebody_elses(self, machine: Machine) -> None:
        machine.home.mkdir(exist_ok=True)
        with sqlite3.connect(machine.home / "nacre.db") as database:
            database.execute("CREATE TABLE songs (title TEXT)")
        assert "not Nacre's" in machine.refused()
        with sqlite3.connect(machine.home / "nacre.db") as database:
            assert database.execute("SELECT count(*) FROM songs").fetchall() == [(0,)]

    def test_that_is_garbage(self, machine: Machine) -> None:
        machine.home.mkdir(exist_ok=True)
        (machine.home / "nacre.db").write_bytes(b"no database at all" * 100)
        said = machine.refused()
        assert "not a database" in said
        assert "nacre.db" in said


class TestDown:
    def test_leaves_work_running_and_up_finds_it_again(self, machine: Machine, tmp_path: Path) -> None:
        machine.up()
        (tmp_path / "main.py").write_text("import time\nfor i in range(40): print(i); time.sleep(0.1)\n")
        machine.server.run("run", "-d", "--cpu", "0.5", "main.py", cwd=tmp_path)
        with machine.client() as nacre:
            [job] = nacre.jobs.list()
            wait_until("it runs", lambda: nacre.jobs.get(job.id).state == "running")
        done = machine.nacre("down")
        assert done.returncode == 0
        assert b"1 job" in done.stdout
        machine.up()
        with machine.client() as nacre:
            done_job = nacre.jobs.wait(job.id, timeout_s=30)
            assert done_job.state == "succeeded"
            assert b"".join(nacre.jobs.logs(job.id)).split() == [str(i).encode() for i in range(40)]

    def test_with_all_stops_everything(self, machine: Machine, tmp_path: Path) -> None:
        machine.up()
        (tmp_path / "main.py").write_text(SLEEP)
        for _ in range(2):
            machine.server.run("run", "-d", "--cpu", "0.5", "main.py", cwd=tmp_path)
        with machine.client() as nacre:
            wait_until("one runs", lambda: any(job.state == "running" for job in nacre.jobs.list()))
        done = machine.nacre("down", "--all")
        assert (done.returncode, done.stdout) == (0, b"nacre is down\n")
        wait_until("nothing is left", lambda: machine.server.processes() == [], timeout_s=10)
        machine.up()
        wait_until("it has tidied up", lambda: not list((machine.home / "attempts").iterdir()))
        with machine.client() as nacre:
            assert {job.state for job in nacre.jobs.list()} == {"cancelled"}
            assert all(record.ended_at for record in nacre.usage.list())

    def test_while_a_log_is_followed(self, machine: Machine, tmp_path: Path) -> None:
        machine.up()
        (tmp_path / "main.py").write_text(SLEEP)
        machine.server.run("run", "-d", "--name", "long", "--cpu", "0.5", "main.py", cwd=tmp_path)
        follower = machine.server.popen("logs", "-f", "long")
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"begun\n"
        # a request that goes on has 3 s of grace; the end of this log is a minute away
        assert machine.nacre("down", "--timeout", "12").returncode == 0
        assert follower.poll() is None, "it waits for the server"

    def test_ends_the_model_server_and_up_serves_again(self, make_server: MakeServer) -> None:
        server = make_server()
        endpoint = deploy(server)
        server.run("down")
        assert server.processes() == []
        with pytest.raises(OSError, match="refused"):
            ask(server, endpoint.url)
        server.stop()
        server.start()
        wait_until("it answers again", lambda: _answers(server, endpoint.url))

    def test_when_it_is_down(self, machine: Machine) -> None:
        done = machine.nacre("down")
        assert (done.returncode, done.stdout) == (0, b"nacre is not running on this home\n")


def _answers(server: Server, url: str) -> bool:
    try:
        return ask(server, url) == [2.0, 4.0]
    except OSError:
        return False


class TestStatus:
    def test_up_and_down(self, machine: Machine) -> None:
        down = machine.nacre("status")
        assert down.returncode == 3
        assert b"nacre up" in down.stdout
        machine.up()
        assert b"0 jobs running" in machine.nacre("status").stdout
        found = json.loads(machine.nacre("--output", "json", "status").stdout)
        assert found["database"] == "SQLite"
        assert found["jobs_running"] == 0
        os.kill(int(str(machine.described["pid"])), signal.SIGKILL)
        wait_until("it is dead", lambda: machine.nacre("status").returncode == 3)


@pytest.fixture
def postgres_database(postgres_server: str) -> str:
    """URL of an empty database on a real PostgreSQL."""
    name = f"test_{new_id('db')[3:]}"
    admin = Database(postgres_server)
    with admin.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    admin.close()
    return postgres_server.rsplit("/", 1)[0] + f"/{name}"


LOGGING = """
import nacre
for i in range(50):
    nacre.log_metric("i", i, step=i)
print("hi")
"""


@pytest.mark.postgres
def test_everything_on_postgresql(make_server: MakeServer, postgres_database: str) -> None:
    server = make_server(NACRE_DATABASE_URL=postgres_database)
    assert server.client().server.status().database == "PostgreSQL"
    job = server.submit({"main.py": LOGGING})
    server.kill9()
    server.start()
    done = server.wait(job)
    assert (done.state, server.log(job)) == ("succeeded", b"hi\n")
    assert [p.step for p in server.client().runs.metric(job.run, "i").points] == list(range(50))
    [record] = server.client().usage.list()
    assert record.ended_at == done.ended_at
    assert (server.home / "nacre.db").stat().st_size == 0


@pytest.mark.slow
def test_two_hundred_jobs_leave_nothing_behind(make_server: MakeServer) -> None:
    """No memory that grows with them, no process, no folder, no open file, a short log."""
    server = make_server()
    first = server.wait(server.submit({"main.py": "print('hi')"}))
    again = first.spec.model_copy(update={"name": None, "commands": ["true"]})
    nacre = server.client()
    me = psutil.Process(server.pid)
    sizes = []
    for _ in range(4):
        jobs = [nacre.jobs.submit(again) for _ in range(50)]
        for job in jobs:
            assert server.wait(job, client=nacre).state == "succeeded"
        wait_until("it has tidied up", lambda: not list((server.home / "attempts").iterdir()))
        sizes.append((server.rss(), me.num_fds(), me.num_threads()))
    (memory, files, _), (last_memory, last_files, last_threads) = sizes[0], sizes[-1]
    assert last_memory < memory + 30e6
    assert last_memory < 250e6
    assert last_files <= files + 20
    assert last_threads < 100
    assert [child.status() for child in me.children()] == []
    assert len(server.processes()) == 1
    assert (server.home / "server.log").stat().st_size < 20_000
