"""Environments from the command line, through the SDK and the API, to the service and its loop."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import pytest
import uvicorn
from tests.conftest import People
from typer.testing import CliRunner, Result

from nacre.api.app import make_app
from nacre.cli.app import options
from nacre.cli.commands import environments as command
from nacre.clock import FixedClock
from nacre.control.environments import EnvironmentLoop
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.errors import Conflict, InvalidSpec, NotFound, PermissionDenied
from nacre.sdk.client import Client
from nacre.services.environment_work import EnvironmentWork
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.registry import Services
from nacre.services.signals import Signals
from nacre.testing.environments import FakeEnvironments


@dataclass
class Identity:
    """Tokens and projects, as far as routes ask: the secret is the role's name."""

    people: People

    def resolve(self, secret: str) -> Caller | None:
        return cast("Caller | None", getattr(self.people, secret, None))

    def enter(self, caller: Caller, project: str) -> Caller:
        return caller


@dataclass
class World:
    """A client per role, and the loop that builds."""

    url: str
    loop: EnvironmentLoop
    port: FakeEnvironments
    clients: ExitStack

    def client(self, role: str = "editor") -> Client:
        return self.clients.enter_context(Client(self.url, role, project="vision"))


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The application on loopback; gives its URL."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(30)
        listener.close()


@pytest.fixture
def world(database: Database, clock: FixedClock, people: People, tmp_path: Path) -> Iterator[World]:
    signals, port = Signals(), FakeEnvironments(tmp_path / "environments")
    identity: Any = Identity(people)
    found: dict[str, Any] = {field.name: None for field in fields(Services)}
    found |= {"db": database, "clock": clock, "signals": signals, "tokens": identity, "projects": identity}
    found["environments"] = EnvironmentCatalogue(
        database, clock, port, signals, Events(database, clock), tmp_path / "logs", gpu=False
    )
    loop = EnvironmentLoop(EnvironmentWork(database, clock, signals), port, signals, tmp_path / "logs")
    with serving(make_app(Services(**found), "0")) as url, ExitStack() as clients:
        yield World(url, loop, port, clients)


@contextmanager
def working(loop: EnvironmentLoop) -> Iterator[None]:
    """Build what is wanted meanwhile, as the server's loop does."""
    done = threading.Event()

    def work() -> None:
        while not done.wait(0.01):
            loop.run_once()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)
        assert loop.settle(30)


def test_the_life_of_an_environment(world: World) -> None:
    client = world.client()
    made = client.environments.create("mine", requirements="six\nidna==3.0\n")
    assert made.state == "pending"
    with working(world.loop):
        assert "fake build" in "\n".join(client.environments.logs("mine", follow=True))
    found = client.environments.get("mine")
    assert (found.state, found.id) == ("ready", made.id)
    assert found.lock is not None
    assert client.environments.build("mine").state == "ready"
    listed = {e.name: e for e in client.environments.list()}
    assert {"mine", "pytorch"} <= set(listed)
    assert listed["mine"].lock is None
    assert client.environments.uses("mine", limit=5).job_count == 0
    client.environments.delete("mine")
    with pytest.raises(NotFound):
        client.environments.get("mine")


def test_a_log_can_be_read_on_from_a_byte(world: World) -> None:
    client = world.client()
    client.environments.create("mine", requirements="six")
    assert list(client.environments.logs("mine")) == []
    assert world.loop.settle(30)
    whole = "\n".join(client.environments.logs("mine"))
    assert "\n".join(client.environments.logs("mine", offset=9)) == whole[9:]


def test_errors_arrive_as_their_own_class(world: World) -> None:
    with pytest.raises(Conflict):
        world.client().environments.create("pytorch", requirements="six")
    with pytest.raises(PermissionDenied):
        world.client("viewer").environments.create("mine", requirements="six")
    with pytest.raises(NotFound):
        world.client("stranger").environments.get("base")
    with pytest.raises(PermissionDenied):
        world.client().environments.build("base", upgrade=True)


@pytest.mark.parametrize("body", [{"name": "x"}, {"name": "x", "requirements": "a", "lock": "b"}])
def test_exactly_one_source_is_taken(world: World, body: dict[str, str]) -> None:
    answer = world.client().transport.http.post("/api/v1/projects/vision/environments", json=body)
    assert answer.status_code == 422
    assert "exactly one" in answer.json()["detail"]
    assert answer.json()["code"] == InvalidSpec.code


@pytest.fixture
def cli(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(command, "client", world.client)
    yield world
    options.output = "text"


def run(world: World, *arguments: str, output: str = "text") -> Result:
    options.output = output
    with working(world.loop):
        return CliRunner().invoke(command.app, list(arguments))


def test_the_command_line_creates_follows_and_deletes(cli: World, tmp_path: Path) -> None:
    (tmp_path / "requirements.txt").write_text("six\n")
    made = run(cli, "create", "mine", "-r", str(tmp_path / "requirements.txt"))
    assert made.exit_code == 0, made.output
    assert "fake build" in made.output
    assert "nacre run --environment mine" in made.output
    assert "six==1.0" in run(cli, "show", "mine").output
    assert "mine" in run(cli, "ls").output
    assert "fake build" in run(cli, "logs", "mine").output
    assert run(cli, "delete", "mine").exit_code == 0
    assert "mine" not in run(cli, "ls").output


def test_the_command_line_fails_with_the_resolvers_words(cli: World, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text('[project]\ndependencies = ["no-such-package"]\n')
    made = run(cli, "create", "mine", "--pyproject", str(tmp_path / "p.toml"))
    assert made.exit_code == 1
    assert "no-such-package was not found" in made.output


def test_json_is_the_apis_object(cli: World) -> None:
    built = run(cli, "build", "base", output="json")
    assert json.loads(built.stdout)["state"] == "ready"
    listed = json.loads(run(cli, "ls", output="json").stdout)
    assert {e["name"] for e in listed} >= {"base", "pytorch"}
