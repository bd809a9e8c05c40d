"""A real HTTP server with the services of runs, blobs, usage and nodes behind it; identity is a table."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

import uvicorn
from fastapi import FastAPI
from tests.conftest import People

from nacre.api.app import make_app
from nacre.clock import SystemClock
from nacre.db.connect import Database
from nacre.domain.identity import Caller, ProjectRef
from nacre.plugins.blobs.files import FileBlobs
from nacre.ports.engines import NodeFacts
from nacre.services.blobs import BlobLedger
from nacre.services.events import Events
from nacre.services.live import Live
from nacre.services.nodes import Nodes
from nacre.services.prices import Prices
from nacre.services.registry import Services
from nacre.services.run_table import RunTable
from nacre.services.runs import Runs
from nacre.services.signals import Signals
from nacre.services.usage import UsageLedger


class Table:
    """Tokens are the names of people; the only project is theirs."""

    def __init__(self, people: People) -> None:
        self.people = people

    def resolve(self, secret: str) -> Caller | None:
        return getattr(self.people, secret, None)

    def enter(self, caller: Caller, name: str) -> Caller:
        return caller if name == "vision" else replace(caller, project=ProjectRef("", name, None))


@dataclass
class Tracking:
    """The services, and the application over them."""

    people: People
    runs: Runs
    run_table: RunTable
    live: Live
    signals: Signals
    usage: UsageLedger
    app: FastAPI


def wire(database: Database, people: People, folder: Path) -> Tracking:
    """Everything that tracking needs, on this database."""
    clock, signals = SystemClock(), Signals()
    ledger = BlobLedger(database, clock, FileBlobs(folder / "blobs"))
    runs = Runs(database, clock, ledger, Events(database, clock), signals)
    prices = Prices(folder / "prices.toml")
    usage = UsageLedger(database, clock, prices)
    nodes = Nodes(database, lambda: [NodeFacts("here", 2, 4 * 2**30)], lambda session: [], prices)
    table = Table(people)
    run_table = RunTable(database)
    live = Live(
        db=database,
        signals=signals,
        tokens=cast(Any, table),
        projects=cast(Any, table),
        table=run_table,
        nouns=cast(Any, None),
    )
    known: dict[str, Any] = dict.fromkeys(f.name for f in fields(Services))
    known |= {
        "tokens": table,
        "projects": table,
        "runs": runs,
        "run_table": run_table,
        "live": live,
        "usage": usage,
        "nodes": nodes,
        "blobs": ledger,
    }
    app = make_app(Services(**cast("dict[str, Any]", known)), "0")
    return Tracking(people, runs, run_table, live, signals, usage, app)


@contextmanager
def serving(app: FastAPI, address: str | Path | tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[str]:
    """Serve on a TCP address, or on a unix socket at a path; gives the URL."""
    if isinstance(address, tuple):
        listener = socket.create_server(address)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    else:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(address))
        listener.listen()
        url = f"unix:{address}"
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()
