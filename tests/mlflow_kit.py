"""A whole server over HTTP, with real tokens and without its loops, for MLflow's own client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.tracking_kit import serving

from nacre.api.app import make_app
from nacre.clock import SystemClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.schema.projects import ProjectCreate
from nacre.server.home import prepare
from nacre.server.settings import Settings
from nacre.server.wiring import wire
from nacre.services.registry import Services


@dataclass
class House:
    """``url`` and ``token`` for clients; ``caller`` is the owner, in the project ``default``."""

    url: str
    token: str
    services: Services
    caller: Caller
    home: Path

    def client(self) -> MlflowClient:
        """MLflow's client."""
        return MlflowClient(self.url, self.url)

    def headers(self, project: str | None = None) -> dict[str, str]:
        """What a request without MLflow's client sends, for the project."""
        named = {"X-MLFLOW-WORKSPACE": project} if project else {}
        return {"Authorization": f"Bearer {self.token}", **named}


@contextmanager
def house(database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """The server with another project, ``other``, of the same owner; MLflow's variables are set."""
    settings = Settings(home=folder / "home")
    prepare(settings)
    services = wire(settings, database, SystemClock()).services
    _, secret = services.users.ensure_owner(None)
    caller = services.tokens.resolve(secret)
    assert caller is not None
    services.projects.create(caller, ProjectCreate(name="other"))
    services.writer.start()
    try:
        with serving(make_app(services, "0")) as url:
            monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
            monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", secret)
            monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
            monkeypatch.setenv("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
            inside = services.projects.enter(caller, "default")
            yield House(url, secret, services, inside, settings.home)
    finally:
        services.writer.stop()
