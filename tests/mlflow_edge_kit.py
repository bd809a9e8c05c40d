"""A server on loopback with real tokens, projects and tracking, and MLflow's own client of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

import httpx
from fastapi import FastAPI
from tests.identity_kit import Identity
from tests.identity_kit import wire as wire_identity
from tests.tracking_kit import serving

from nacre.api.app import make_app
from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller
from nacre.plugins.blobs.files import FileBlobs
from nacre.services.artifacts import Artifacts
from nacre.services.blobs import BlobLedger
from nacre.services.experiments import Experiments
from nacre.services.registry import Services
from nacre.services.run_records import RunRecords
from nacre.services.runs import Runs
from nacre.services.track_writer import TrackWriter


@dataclass
class Edge:
    """The services behind MLflow's calls, and where they are served."""

    identity: Identity
    runs: Runs
    writer: TrackWriter
    services: Services
    app: FastAPI
    url: str = ""

    def token(self, name: str) -> str:
        """A new person with a project of that name: their token."""
        return self.identity.sign_up(name).secret

    def caller(self, token: str, project: str | None = None) -> Caller:
        """Who a token is, in a project."""
        caller = self.identity.caller(token, project)
        if caller.project is None:
            home = self.identity.projects.home(caller)
            assert home is not None
            return self.identity.projects.enter(caller, home.name)
        return caller

    def http(self, token: str | None, **headers: str) -> httpx.Client:
        """A plain client of ``/api/2.0/mlflow/``."""
        given = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=f"{self.url}/api/2.0/mlflow/", headers=given | headers)


@contextmanager
def edge_on(database: Database, folder: Path) -> Iterator[Edge]:
    """Everything that MLflow's protocol needs, on this database, served on a free port."""
    clock = FixedClock()
    identity = wire_identity(database, clock)
    ledger = BlobLedger(database, clock, FileBlobs(folder / "blobs"))
    writer = TrackWriter(database, identity.signals)
    runs = Runs(database, clock, ledger, identity.events, identity.signals, writer)
    known: dict[str, Any] = {f.name: getattr(identity, f.name, None) for f in fields(Services)}
    known |= {
        "writer": writer,
        "runs": runs,
        "run_records": RunRecords(database, runs),
        "experiments": Experiments(database, clock, identity.events),
        "artifacts": Artifacts(database, clock, ledger, identity.signals),
        "blobs": ledger,
    }
    services = Services(**cast("dict[str, Any]", known))
    edge = Edge(identity, runs, writer, services, make_app(services, "0"))
    writer.start()
    try:
        with serving(edge.app) as edge.url:
            yield edge
    finally:
        writer.stop()


@contextmanager
def environment(**variables: str | None) -> Iterator[None]:
    """These variables of the process meanwhile; null removes one."""
    before = {name: os.environ.get(name) for name in variables}
    try:
        for name, value in variables.items():
            _set(name, value)
        yield
    finally:
        for name, value in before.items():
            _set(name, value)


def _set(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
