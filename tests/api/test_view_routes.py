"""Saved views over HTTP, through the SDK and the command line's own calls."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.mlflow_edge_kit import edge_on
from tests.tracking_kit import serving
from typer.testing import CliRunner

from nacre.api.app import make_app
from nacre.cli.main import app as cli
from nacre.db.connect import Database
from nacre.errors import InvalidSpec, NotFound
from nacre.sdk.client import Client
from nacre.services.views import Views


@pytest.fixture
def sdk(database: Database, tmp_path: Path) -> Iterator[Client]:
    with edge_on(database, tmp_path) as edge:
        views = Views(database, edge.identity.clock, edge.identity.events)
        app = make_app(replace(edge.services, views=views), "0")
        with serving(app) as url, Client(url, edge.token("ann"), project="ann") as client:
            yield client


@pytest.mark.parametrize("name", ["a", "the best 5%?", "最好的", "x" * 100])
def test_names_travel(sdk: Client, name: str) -> None:
    made = sdk.views.set(name, "filter=metrics.loss+%3C+0.3&sort=a", shared=True)
    assert (made.name, made.query, made.page, made.shared) == (
        name, "filter=metrics.loss+%3C+0.3&sort=a", "runs", True,
    )  # fmt: skip
    assert sdk.views.list(page="runs") == [made]
    sdk.views.delete(name)
    assert sdk.views.list() == []
    with pytest.raises(NotFound):
        sdk.views.delete(name)


def test_what_makes_no_sense_is_refused(sdk: Client) -> None:
    with pytest.raises(InvalidSpec):
        sdk.views.set("a", "", page="Runs?")
    with pytest.raises(InvalidSpec):
        sdk.views.set("a", "x" * 8001)


def test_the_command(sdk: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NACRE_URL", str(sdk.transport.url))
    monkeypatch.setenv("NACRE_TOKEN", str(sdk.transport.token))
    monkeypatch.setenv("NACRE_PROJECT", "ann")

    def said(*words: str) -> Any:
        found = CliRunner().invoke(cli, list(words))
        assert found.exit_code == 0, found.output
        return found.output

    assert "kept best for the project" in said(
        "views", "set", "best", "?sort=-metrics.accuracy", "--shared"
    )
    assert "-metrics.accuracy" in said("views", "ls")
    said("views", "delete", "best")
    assert "none yet" in said("views", "ls")
