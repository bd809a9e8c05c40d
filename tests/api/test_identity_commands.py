"""Identity from the command line, through the SDK, over a real socket."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from tests.api.conftest import services_of
from tests.identity_kit import PASSWORD, Identity
from typer.testing import CliRunner, Result

from nacre.api.app import make_app
from nacre.cli.main import app
from nacre.errors import Conflict, InvalidSpec, NacreError, NotFound, PermissionDenied, Unauthenticated
from nacre.schema.operations import SCOPES
from nacre.sdk.client import Client
from nacre.sdk.settings import keep_connection


@dataclass
class Shell:
    """A terminal on a machine with a home of its own."""

    url: str
    home: Path

    def run(self, *words: str, typed: str = "", **variables: str) -> Result:
        """The command, which may fail."""
        env: dict[str, str | None] = {name: None for name in os.environ if name.startswith("NACRE_")}
        env |= {"NACRE_HOME": str(self.home), "COLUMNS": "200", **variables}
        return CliRunner().invoke(app, list(words), input=typed, env=env)

    def __call__(self, *words: str, typed: str = "", **variables: str) -> str:
        """What a command that succeeds prints."""
        result = self.run(*words, typed=typed, **variables)
        assert result.exit_code == 0, f"{words}: {result.output} {result.exception!r}"
        return result.stdout

    def refused(self, kind: type[NacreError], *words: str, typed: str = "", **variables: str) -> str:
        """The sentence of a command that the server refuses."""
        result = self.run(*words, typed=typed, **variables)
        assert isinstance(result.exception, kind), result.output
        return result.exception.detail

    def kept(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.home / "client.json").read_text())
        return found


@pytest.fixture
def url(identity: Identity) -> Iterator[str]:
    """The API on loopback."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(make_app(services_of(identity), "0"), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    deadline = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(30)
    listener.close()


@pytest.fixture
def owner(url: str, identity: Identity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """On the server's machine, where ``nacre up`` left the owner's token."""
    home = tmp_path / "owner"
    with monkeypatch.context() as patch:
        patch.setenv("NACRE_HOME", str(home))
        keep_connection(url, identity.users.ensure_owner()[1], "default", file="owner.json")
    return Shell(url, home)


@pytest.fixture
def laptop(url: str, tmp_path: Path) -> Shell:
    """Where nobody has signed in yet."""
    return Shell(url, tmp_path / "laptop")


class TestLogin:
    def test_invited_signed_up_and_at_home(self, owner: Shell, laptop: Shell) -> None:
        printed = owner("user", "invite", "--to", "default", "--role", "viewer").splitlines()
        words = printed[-1].split()
        assert words[:3] == ["nacre", "user", "sign-up"]
        said = laptop(*words[1:], "--name", "ada", typed=f"{PASSWORD}\n")
        assert "made the account ada" in said
        assert laptop.kept()["project"] == "ada"
        assert (laptop.home / "client.json").stat().st_mode & 0o777 == 0o600
        assert "ada, project ada" in laptop("user", "me")
        listed = json.loads(laptop("-o", "json", "project", "ls"))
        assert {p["name"]: p["role"] for p in listed} == {"ada": "owner", "default": "viewer"}

    def test_a_second_account_leaves_the_first_signed_in(self, owner: Shell) -> None:
        owner("settings", "set", "--sign-up", "open")
        said = owner("user", "sign-up", "--name", "ada", NACRE_PASSWORD=PASSWORD)
        assert f"nacre login {owner.url} --name ada" in said
        assert not (owner.home / "client.json").exists()
        assert json.loads(owner("-o", "json", "user", "me"))["admin"] is True

    def test_password_from_the_variable_or_standard_input(
        self, laptop: Shell, url: str, identity: Identity
    ) -> None:
        identity.sign_up("ada")
        laptop("login", url, "--name", "ada", NACRE_PASSWORD=PASSWORD)
        first = laptop.kept()["token"]
        laptop("login", url, "-n", "ada", "--lifetime", "12h", typed=f"{PASSWORD}\n")
        second = identity.tokens.list(identity.caller(laptop.kept()["token"])).items[0]
        assert second.expires_at is not None
        assert (second.expires_at - identity.clock.now()).total_seconds() == 12 * 3600
        assert laptop.kept()["token"] != first

    def test_the_code_of_a_link_instead_of_a_password(self, owner: Shell, laptop: Shell, url: str) -> None:
        link = owner("console", "--no-browser").strip()
        laptop("login", url, "--code", link)
        assert json.loads(laptop("-o", "json", "user", "me"))["admin"] is True
        said = laptop.refused(Unauthenticated, "login", url, "--code", link)
        assert "nacre console" in said

    def test_a_wrong_password_keeps_nothing(self, laptop: Shell, url: str, identity: Identity) -> None:
        identity.sign_up("ada")
        said = laptop.refused(Unauthenticated, "login", url, "--name", "ada", NACRE_PASSWORD="wrong-one")
        assert "wrong name or password" in said
        assert not (laptop.home / "client.json").exists()

    def test_a_short_password_is_refused_without_being_shown(self, owner: Shell, laptop: Shell) -> None:
        owner("settings", "set", "--sign-up", "open")
        result = laptop.run("user", "sign-up", owner.url, "--name", "ada", typed="s3cret\n")
        assert isinstance(result.exception, InvalidSpec)
        assert "at least 8" in result.exception.detail
        assert "s3cret" not in result.output + repr(result.exception)

    def test_logout_ends_the_session(self, laptop: Shell, url: str, identity: Identity) -> None:
        identity.sign_up("ada")
        laptop("login", url.removeprefix("http://"), "--name", "ada", NACRE_PASSWORD=PASSWORD)
        token = laptop.kept()["token"]
        assert f"signed out of {url}" in laptop("logout")
        assert identity.tokens.resolve(token) is None
        assert not (laptop.home / "client.json").exists()
        assert "nothing to forget" in laptop("logout")
        laptop.refused(Unauthenticated, "user", "me")

    def test_a_programs_token_outlives_logout(
        self, owner: Shell, laptop: Shell, identity: Identity
    ) -> None:
        token = owner("token", "create", "ci").strip()
        laptop("login", owner.url, "--token", token)
        assert laptop.kept()["project"] == "default"
        laptop("logout")
        assert identity.tokens.resolve(token) is not None

    def test_logout_leaves_the_machines_owner_alone(self, owner: Shell) -> None:
        assert "nothing to forget" in owner("logout")
        assert "administrator" in owner("user", "me")

    def test_where_to(self, laptop: Shell) -> None:
        assert "nacre login http://" in laptop.refused(Unauthenticated, "login", "--name", "ada")
        assert laptop.run("login", laptop.url).exit_code == 2  # no terminal to ask for a name


class TestTokens:
    def test_create_prints_the_secret_alone(self, owner: Shell, identity: Identity) -> None:
        secret = owner("token", "create", "ci", "-s", "jobs:read", "-s", "runs:read", "--lifetime", "1d")
        caller = identity.caller(secret.removesuffix("\n"))
        assert caller.scopes == {"jobs:read", "runs:read"}
        listed = json.loads(owner("-o", "json", "token", "ls"))
        assert {t["name"] for t in listed} == {"ci", "machine-owner"}
        assert secret.strip() not in owner("token", "ls")
        owner("token", "delete", "ci")
        assert identity.tokens.resolve(secret.strip()) is None

    def test_a_rate_is_listed(self, owner: Shell) -> None:
        owner("token", "create", "app", "-s", "endpoints:invoke", "--rate", "2.5", "--burst", "10")
        assert "2.5/s" in owner("token", "ls")
        listed = json.loads(owner("-o", "json", "token", "ls"))
        assert [(t["rate_per_s"], t["burst"]) for t in listed if t["name"] == "app"] == [(2.5, 10)]

    def test_a_duration_that_is_none(self, owner: Shell) -> None:
        result = owner.run("token", "create", "ci", "--lifetime", "soon")
        assert result.exit_code == 2
        assert "not a duration" in result.output


class TestProjects:
    def test_made_used_shared_and_deleted(self, owner: Shell, identity: Identity) -> None:
        identity.sign_up("ada")
        owner("project", "create", "speech", "-m", "sounds [of] speech")
        owner("project", "use", "speech")
        assert owner.kept()["project"] == "speech"
        owner("project", "add-member", "ada", "--role", "viewer")
        members = json.loads(owner("-o", "json", "project", "members"))
        assert {m["user"]: m["role"] for m in members}["ada"] == "viewer"
        assert "network: full" not in owner("project", "show")
        owner("project", "update", "--network", "full")
        shown = owner("project", "show")
        assert "network: full" in shown
        assert "sounds [of] speech" in shown
        owner("project", "remove-member", "ada")
        events = json.loads(owner("-o", "json", "event", "ls"))
        assert {e["verb"] for e in events} == {
            "projects.create",
            "members.set",
            "projects.update",
            "members.delete",
        }
        assert "members.set" in owner("event", "ls", "-n", "10")
        found = json.loads(owner("-o", "json", "event", "ls", "--verb", "members", "--subject", "ada"))
        assert [(e["user"], e["project"]) for e in found] == [(found[0]["user"], "speech")] * 2
        assert json.loads(owner("-o", "json", "event", "ls", "--before", "2001-01-01")) == []
        assert "users.sign_up" in owner("event", "ls", "--all")
        owner("project", "delete", "speech")
        assert "speech" not in owner("project", "ls")

    def test_a_project_that_is_not_ones_own(self, owner: Shell, identity: Identity) -> None:
        identity.sign_up("ada")
        owner.refused(NotFound, "project", "show", "ada")
        owner.refused(NotFound, "project", "use", "ada")
        assert not (owner.home / "client.json").exists()

    def test_the_last_owner(self, owner: Shell) -> None:
        me = json.loads(owner("-o", "json", "user", "me"))["name"]
        assert "last owner" in owner.refused(Conflict, "project", "remove-member", me)


class TestSecrets:
    def test_from_standard_input_a_file_and_as_a_file(
        self, owner: Shell, identity: Identity, tmp_path: Path
    ) -> None:
        key = tmp_path / "key.pem"
        key.write_text("---\nkey\n")
        owner("secret", "set", "HF_TOKEN", typed="hf_1\n")
        owner("secret", "set", "PEM", "--from-file", str(key))
        owner("secret", "set", "key.pem", "--from-file", str(key), "--file")
        token = json.loads((owner.home / "owner.json").read_text())["token"]
        project = identity.caller(token, "default").project_id
        revealed = identity.secrets.reveal(project, ["HF_TOKEN", "PEM", "key.pem"])
        assert revealed == ({"HF_TOKEN": "hf_1", "PEM": "---\nkey"}, {"key.pem": "---\nkey\n"})
        listed = owner("secret", "ls")
        assert "HF_TOKEN" in listed
        assert "hf_1" not in listed
        owner("secret", "delete", "PEM")
        assert "PEM" not in owner("secret", "ls")

    def test_not_text(self, owner: Shell, tmp_path: Path) -> None:
        (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
        result = owner.run("secret", "set", "X", "--from-file", str(tmp_path / "x"))
        assert result.exit_code == 2
        assert "base64" in result.output

    def test_an_empty_value(self, owner: Shell) -> None:
        owner.refused(InvalidSpec, "secret", "set", "X", typed="")


class TestUsers:
    def test_administration(self, owner: Shell, identity: Identity, laptop: Shell) -> None:
        identity.sign_up("ada")
        laptop("login", owner.url, "--name", "ada", NACRE_PASSWORD=PASSWORD)
        laptop.refused(PermissionDenied, "user", "ls")
        owner("user", "update", "ada", "--admin")
        assert "administrator" in laptop("user", "ls")
        owner("user", "update", "ada", "--no-admin", "--disable")
        laptop.refused(Unauthenticated, "user", "me")
        assert "only owner of ada" in owner.refused(Conflict, "user", "delete", "ada")
        assert owner.run("user", "update", "ada").exit_code == 2

    def test_sessions_of_others(self, owner: Shell, identity: Identity) -> None:
        issued = identity.sign_up("ada")
        assert owner("user", "ls").split()[5] == "seen"
        [listed] = json.loads(owner("-o", "json", "user", "sessions", "ada"))
        assert listed["id"] in owner("user", "sessions", "ada")
        owner("user", "end-session", "ada", listed["id"])
        assert identity.tokens.resolve(issued.secret) is None
        assert owner("user", "sessions", "ada").strip() == "none"
        owner.refused(NotFound, "user", "end-session", "ada", listed["id"])

    def test_invitations(self, owner: Shell) -> None:
        owner("user", "invite", "--lifetime", "2d")
        [invitation] = json.loads(owner("-o", "json", "user", "invitations"))
        owner("user", "uninvite", invitation["id"])
        assert "nacre user invite" in owner("user", "invitations")

    def test_password(self, owner: Shell, identity: Identity) -> None:
        owner("user", "password", "--first", typed=f"{PASSWORD}\n")
        me = json.loads(owner("-o", "json", "user", "me"))["name"]
        assert identity.sign_in(me).user.admin
        owner("user", "password", typed=f"{PASSWORD}\nanother password\n")
        assert identity.sign_in(me, "another password").user.admin

    def test_settings(self, owner: Shell) -> None:
        assert "sign-up: invite (nobody has set it)" in owner("settings", "show")
        assert json.loads(owner("-o", "json", "settings", "set", "--sign-up", "invite")) == {
            "sign_up": "invite",
            "sign_up_set": True,
            "trash_days": 30,
            "reserved": {"cpu": 0, "memory": 0, "gpu": 0},
        }
        assert "restored for 7 days" in owner("settings", "set", "--trash-days", "7")
        owner("settings", "set", "--reserve-cpu", "2")
        assert "set aside for instances and endpoints: 2 cpu, 4.0 GiB of memory, 0 GPU" in owner(
            "settings", "set", "--reserve-memory", "4GB"
        )
        assert "set aside" not in owner("settings", "set", "--reserve-cpu", "0", "--reserve-memory", "0")
        owner.refused(InvalidSpec, "settings", "set", "--reserve-memory", "much")
        owner.refused(InvalidSpec, "settings", "set", "--sign-up", "maybe")


class TestConsole:
    def test_without_a_browser_it_prints_a_link_that_signs_in(self, owner: Shell) -> None:
        link = owner("console").strip()
        assert link.startswith(f"{owner.url}/sign-in?code=nacre_")
        origin = {"Origin": owner.url, "X-Nacre-Console": "1"}
        body = {"code": link.partition("code=")[2]}
        with httpx.Client(base_url=owner.url) as browser:
            answer = browser.post("/api/v1/sessions/redeem", json=body, headers=origin)
            assert (answer.status_code, answer.json()["secret"]) == (201, None)
            assert browser.get("/api/v1/me").json()["admin"] is True

    def test_a_page_to_go_on_to(self, owner: Shell) -> None:
        assert (
            owner("console", "p/default/runs?run=a b")
            .strip()
            .endswith("&back=/p/default/runs%3Frun%3Da%20b")
        )
        assert "&back" not in json.loads(owner("-o", "json", "console"))["url"]

    def test_it_opens_the_browser_where_there_is_one(
        self, owner: Shell, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened: list[str] = []
        monkeypatch.setattr("nacre.cli.commands.console.has_browser", lambda: True)
        monkeypatch.setattr(
            "nacre.cli.commands.console.open_browser", lambda url: opened.append(url) or True
        )
        assert "nacre_" not in owner("console")
        assert opened[0].startswith(f"{owner.url}/sign-in?code=nacre_")

    def test_scopes_say_what_they_open(self, owner: Shell) -> None:
        listed = {
            one["name"]: one["operations"] for one in json.loads(owner("-o", "json", "token", "scopes"))
        }
        assert "Submit a job" in listed["jobs:write"]
        assert "Call endpoints" in listed["endpoints:invoke"]
        assert set(listed) == SCOPES - {"attempts:report"}


class TestClient:
    def test_lists_are_read_page_after_page(
        self, owner: Shell, identity: Identity, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("nacre.sdk.resources.base._PAGE", 2)
        token = json.loads((owner.home / "owner.json").read_text())["token"]
        with Client(owner.url, token, project="default") as client:
            for number in range(5):
                client.tokens.create(f"t{number}")
            assert len(client.tokens.list()) == 6
            assert len(client.tokens.list(limit=3)) == 3
            newest = [t.name for t in client.tokens.list(limit=6)]
        assert newest[-1] == "machine-owner"
