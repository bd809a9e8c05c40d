"""``nacre doctor``: asks the server that runs, tries the machine where none does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.conftest import services_of
from tests.identity_kit import Identity
from tests.tracking_kit import serving
from typer.testing import CliRunner, Result

from nacre.api.app import make_app
from nacre.cli.main import app
from nacre.errors import PermissionDenied
from nacre.plugins.blobs.files import FileBlobs
from nacre.schema.server import Check, CheckState
from nacre.sdk.client import Client
from nacre.server.home import process_start
from nacre.services.doctor import Doctor
from nacre.services.prices import Prices

FULL = Check(name="disk", state=CheckState.PROBLEM, message="the disk [is] full", remedy="free some space")


@pytest.fixture
def url(identity: Identity, tmp_path: Path) -> Iterator[str]:
    """A server whose disk is full."""
    doctor = Doctor(
        identity.db,
        identity.clock,
        FileBlobs(tmp_path / "blobs"),
        Prices(tmp_path / "prices.toml"),
        machine=lambda: [FULL],
        model_server=lambda: "stopped",
        steady=lambda: 0.0,
    )
    with serving(make_app(replace(services_of(identity), doctor=doctor), "0")) as url:
        yield url


def nacre(home: Path, *words: str) -> Result:
    env: dict[str, str | None] = {name: None for name in os.environ if name.startswith("NACRE_")}
    env |= {"NACRE_HOME": str(home), "NACRE_PORT": "18095", "COLUMNS": "200"}
    return CliRunner().invoke(app, list(words), env=env)


def test_a_server_that_runs_is_asked(url: str, identity: Identity, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    _, secret = identity.users.ensure_owner()
    described = {"pid": os.getpid(), "start": process_start(os.getpid()), "url": url}
    (home / "server.json").write_text(json.dumps(described))
    (home / "owner.json").write_text(json.dumps({"url": url, "token": secret, "project": "default"}))
    result = nacre(home, "doctor")
    assert result.exit_code == 1
    assert "✗ disk: the disk [is] full" in result.stdout
    assert "→ free some space" in result.stdout
    assert "✓ database: SQLite" in result.stdout
    found = json.loads(nacre(home, "-o", "json", "doctor").stdout)
    assert (found["state"], found["checks"][-1]["name"]) == ("problem", "disk")


def test_a_server_that_does_not_answer_leaves_the_machine_to_be_tried(tmp_path: Path) -> None:
    described = {"pid": os.getpid(), "start": process_start(os.getpid()), "url": "http://127.0.0.1:1"}
    described |= {"content_url": "http://127.0.0.1:1", "inference_url": "http://127.0.0.1:1"}
    (tmp_path / "server.json").write_text(json.dumps(described))
    result = nacre(tmp_path, "doctor")  # there is no owner.json to ask with
    assert "does not answer" in result.stderr
    assert "uv: uv" in result.stdout
    assert "database" not in result.stdout


def test_only_administrators_ask(url: str, identity: Identity) -> None:
    secret = identity.sign_up("ada").secret
    with Client(url, secret) as ada, pytest.raises(PermissionDenied):
        ada.server.doctor()
