"""Everything around instances, real but for the engine, the builder of environments and JupyterLab."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from blake3 import blake3
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.control.attempts import AttemptsLoop
from nacre.control.environments import EnvironmentLoop
from nacre.control.instances import InstanceLoop
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow
from nacre.db.tables.usage import UsageRow
from nacre.ports.engines import Handle, NodeFacts
from nacre.schema.data import VersionCreate
from nacre.schema.instances import Instance, InstanceCreate
from nacre.schema.launch import FileEntry, LaunchSpec, SandboxMode
from nacre.schema.manifests import canonical
from nacre.services.attempts import Attempts
from nacre.services.blobs import BlobLedger
from nacre.services.datasets import Datasets
from nacre.services.environment_work import EnvironmentWork
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.instance_launch import InstanceLaunches
from nacre.services.instance_queue import InstanceQueue
from nacre.services.instances import Instances
from nacre.services.launches import LaunchPlace
from nacre.services.prices import Prices
from nacre.services.quotas import Quotas
from nacre.services.recent_use import RecentUse
from nacre.services.runs import Runs
from nacre.services.scheduling import Scheduling
from nacre.services.secrets import Secrets
from nacre.services.signals import Signals
from nacre.services.tokens import Tokens
from nacre.services.usage import UsageLedger
from nacre.testing.blobs import FakeBlobs
from nacre.testing.engines import FakeEngine
from nacre.testing.environments import FakeEnvironments

GIB = 2**30
CONTENT = "http://127.0.0.1:7374"


class SocketEngine(FakeEngine):
    """A fake engine whose sockets are files that a test can listen on."""

    def __init__(self, folder: Path) -> None:
        super().__init__([NodeFacts("local", 4.0, 8 * GIB, sandbox=SandboxMode.BWRAP_USER)])
        self.folder = folder

    def socket(self, handle: Handle, name: str) -> str:
        return str(self.folder / f"{handle['attempt'][-8:]}.{name}")


class House:
    """The services and loops; :meth:`restart` is what a new server on the same home and database finds."""

    def __init__(self, database: Database, clock: FixedClock, people: People, folder: Path) -> None:
        self.db, self.clock, self.people, self.folder = database, clock, people, folder
        self.engine = SocketEngine(folder)
        self.builder = FakeEnvironments(folder / "environments")
        self.blobs = FakeBlobs()
        self.restart()

    def restart(self) -> None:
        db, clock = self.db, self.clock
        self.signals = signals = Signals()
        events = Events(db, clock)
        self.tokens = Tokens(db, clock, signals)
        self.prices = Prices(self.folder / "prices.toml")
        self.usage = UsageLedger(db, clock, self.prices)
        ledger = BlobLedger(db, clock, self.blobs)
        self.ledger = ledger
        self.secrets = Secrets(db, clock, events, b"k" * 32)
        self.datasets = Datasets(db, clock, ledger, events)
        logs = self.folder / "logs"
        self.environments = EnvironmentCatalogue(db, clock, self.builder, signals, events, logs, gpu=False)
        self.builds = EnvironmentLoop(EnvironmentWork(db, clock, signals), self.builder, signals, logs)
        self.runs = runs = Runs(db, clock, ledger, events, signals)
        self.attempts = Attempts(
            db=db,
            clock=clock,
            signals=signals,
            runs=runs,
            usage=self.usage,
            tokens=self.tokens,
            ledger=ledger,
            engine=self.engine,
            logs=logs,
        )
        place = LaunchPlace(
            server="http://127.0.0.1:7373",
            attempts=self.folder / "attempts",
            trees=self.folder / "trees",
            checkpoints=self.folder / "checkpoints",
        )
        self.launches = InstanceLaunches(
            db=db,
            clock=clock,
            attempts=self.attempts,
            environments=self.environments,
            secrets=self.secrets,
            events=events,
            engine=self.engine,
            place=place,
            folder=self.folder / "instances",
        )
        self.instances = Instances(
            db=db,
            clock=clock,
            signals=signals,
            events=events,
            attempts=self.attempts,
            launches=self.launches,
            environments=self.environments,
            datasets=self.datasets,
            secrets=self.secrets,
            prices=self.prices,
            usage=self.usage,
            tokens=self.tokens,
            content_url=CONTENT,
        )
        self.quotas = Quotas(db, events, signals)
        self.scheduling = Scheduling(
            db=db,
            clock=clock,
            quotas=self.quotas,
            recent=RecentUse(db),
            nodes=self.engine.nodes,
            holdings=self.attempts.holdings,
        )
        self.queue = InstanceQueue(
            db=db,
            clock=clock,
            signals=signals,
            attempts=self.attempts,
            instances=self.instances,
            launches=self.launches,
            environments=self.environments,
            engine=self.engine,
            scheduling=self.scheduling,
        )
        self.now = 0.0
        self.loop = InstanceLoop(self.queue, self.launches, clock, lambda: self.now)
        self.attempts_loop = AttemptsLoop(self.attempts, clock)

    # What users do

    def create(self, name: str = "lab", **fields: Any) -> Instance:
        return self.instances.create(self.people.editor, InstanceCreate(name=name, **fields))

    def get(self, name: str = "lab") -> Instance:
        return self.instances.get(self.people.editor, name)

    def push(self, name: str) -> str:
        """A dataset of one file; the digest of its manifest."""
        data = name.encode()
        digest = blake3(data).hexdigest()
        text = canonical([FileEntry(path="a.txt", size=len(data), digest=digest)])
        manifest = blake3(text).hexdigest()
        self.ledger.put_many(self.people.editor, [(digest, data), (manifest, text)])
        self.datasets.create(self.people.editor, name, VersionCreate(manifest=manifest))
        return manifest

    # What the server does

    def build(self) -> None:
        """Build what is wanted."""
        assert self.builds.settle(30)

    def tick(self, seconds: float = 0.0) -> None:
        """One pass of the loops, so much later."""
        self.clock.advance(seconds)
        self.now += max(seconds, 10.0)
        self.loop.run_once()
        self.attempts_loop.run_once()

    def started(self, name: str = "lab", **fields: Any) -> Instance:
        """An instance whose attempt was launched."""
        self.create(name, **fields)
        self.build()
        self.tick()
        return self.get(name)

    def attempt(self, name: str = "lab") -> AttemptRow:
        """Its latest attempt."""
        found = self.get(name)
        with self.db.read() as session:
            return self.attempts.of(session, [found.id])[found.id][-1]

    def spec(self, name: str = "lab") -> LaunchSpec:
        """What was launched last."""
        return self.engine.launched[self.attempt(name).id].spec

    def report(self, *events: dict[str, Any], name: str = "lab") -> None:
        """What the launcher tells, as the API takes it."""
        row = self.attempt(name)
        stamped = [{"time_ms": int(self.clock.now().timestamp() * 1000), **event} for event in events]
        lines = "".join(json.dumps(event) + "\n" for event in stamped)
        offset = self.attempts.report(row.id, 0, "events", offset=10**9, body=b"").offset
        self.attempts.report(row.id, 0, "events", offset=offset, body=lines.encode())

    def ended(self, reason: str, name: str = "lab", **fields: Any) -> None:
        """The launcher tells that the work has ended."""
        self.report({"type": "exit", "reason": reason, **fields}, name=name)
        self.engine.see(self.attempt(name).id, launcher=False, work=False, exited=True, done=True)

    def usage_rows(self) -> list[UsageRow]:
        with self.db.read() as session:
            return list(session.query(UsageRow).order_by(UsageRow.started_at))


class Jupyter:
    """Answers as JupyterLab's REST API does, with what a test sets."""

    def __init__(self, base: str, token: str) -> None:
        self.base, self.token = base, token
        self.ready = True
        self.kernels: list[dict[str, str]] = []
        self.terminals: list[dict[str, str]] = []
        self.asked: list[str] = []

    def busy(self, at: datetime, state: str = "busy") -> None:
        self.kernels = [{"execution_state": state, "last_activity": at.isoformat()}]

    def answer(self, path: str, authorization: str | None) -> tuple[int, Any]:
        self.asked.append(path)
        if not self.ready:
            return 500, {}
        if authorization != f"token {self.token}":
            return 403, {}
        known = {"api/status": {}, "api/kernels": self.kernels, "api/terminals": self.terminals}
        return 200, known[path.removeprefix(self.base)]


class Program:
    """Answers what a test sets, by the path below the instance's own."""

    def __init__(self, base: str, token: str, answers: dict[str, Any]) -> None:
        self.base, self.token, self.answers = base, token, answers

    def answer(self, path: str, authorization: str | None) -> tuple[int, Any]:
        if authorization != f"token {self.token}":
            return 403, {}
        return 200, self.answers[path.removeprefix(self.base)]


@contextmanager
def jupyter(house: House, name: str = "lab") -> Iterator[Jupyter]:
    """JupyterLab of the instance's present attempt, listening."""
    path, base, token = _door(house, name)
    with _listening(path, program := Jupyter(base, token)):
        yield program


@contextmanager
def app(house: House, name: str, answers: dict[str, Any]) -> Iterator[Program]:
    """Another app of the instance's present attempt, listening."""
    path, base, token = _door(house, name)
    with _listening(path, program := Program(base, token, answers)):
        yield program


def _door(house: House, name: str) -> tuple[str, str, str]:
    found = house.get(name)
    upstream = house.instances.upstream(found.id)
    assert upstream is not None
    return upstream[0], f"/instances/{found.id}/", upstream[1]


@contextmanager
def _listening(path: str, program: Jupyter | Program) -> Iterator[None]:

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = program.answer(self.path, self.headers["authorization"])
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def address_string(self) -> str:
            return "unix"

        def log_message(self, *_: Any) -> None:
            pass

    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join(10)
