"""A world in which jobs run without processes: real services, a fake engine, empty environments."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import select

from nacre.clock import Clock, FixedClock, epoch_ms
from nacre.control.attempts import AttemptsLoop
from nacre.control.environments import EnvironmentLoop
from nacre.db.connect import Database
from nacre.db.tables.attempts import AttemptRow, ReplicaRow
from nacre.domain.identity import Caller
from nacre.plugins.blobs.files import FileBlobs
from nacre.schema.jobs import Job, JobSpec
from nacre.schema.launch import ChannelAck
from nacre.services.attempts import Attempts
from nacre.services.blobs import BlobLedger
from nacre.services.datasets import Datasets
from nacre.services.elastic import Elastic
from nacre.services.endpoint_launch import EndpointLaunches
from nacre.services.endpoint_queue import EndpointQueue
from nacre.services.endpoint_replicas import EndpointReplicas
from nacre.services.environment_work import EnvironmentWork
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.events import Events
from nacre.services.job_launch import JobLaunches
from nacre.services.job_locks import JobLocks
from nacre.services.job_submission import JobSubmissions
from nacre.services.jobs import Jobs
from nacre.services.launches import LaunchPlace
from nacre.services.prices import Prices
from nacre.services.queue import JobQueue
from nacre.services.quotas import Quotas
from nacre.services.recent_use import RecentUse
from nacre.services.runs import Runs
from nacre.services.scheduling import Scheduling
from nacre.services.secrets import Secrets
from nacre.services.signals import Signals
from nacre.services.tokens import Tokens
from nacre.services.usage import UsageLedger
from nacre.testing.engines import FakeEngine
from nacre.testing.environments import FakeEnvironments


class JobsWorld:
    """One server's services. A second world on the same database and engine is the server, restarted."""

    def __init__(
        self,
        database: Database,
        clock: FixedClock,
        folder: Path,
        engine: FakeEngine | None = None,
    ) -> None:
        self.db, self.clock, self.folder = database, clock, folder
        self.engine = engine or FakeEngine()
        self.signals = Signals()
        self.events = Events(database, clock)
        self.tokens = Tokens(database, clock, self.signals)
        self.prices = Prices(folder / "prices.toml")
        self.usage = UsageLedger(database, clock, self.prices)
        self.ledger = BlobLedger(database, clock, FileBlobs(folder / "blobs"))
        self.datasets = Datasets(database, clock, self.ledger, self.events)
        self.secrets = Secrets(database, clock, self.events, b"k" * 32)
        self.builder = FakeEnvironments(folder / "environments")
        self.environments = EnvironmentCatalogue(
            database, clock, self.builder, self.signals, self.events, folder / "logs", gpu=False
        )
        self.locks = JobLocks(database, self.ledger)
        self.runs = Runs(database, clock, self.ledger, self.events, self.signals)
        self.attempts = Attempts(
            db=database,
            clock=clock,
            signals=self.signals,
            runs=self.runs,
            usage=self.usage,
            tokens=self.tokens,
            ledger=self.ledger,
            engine=self.engine,
            logs=folder / "logs",
        )
        self.place = LaunchPlace(
            server="http://127.0.0.1:1",
            attempts=folder / "attempts",
            trees=folder / "trees",
            checkpoints=folder / "checkpoints",
            root=True,
        )
        self.launches = JobLaunches(
            db=database,
            clock=clock,
            attempts=self.attempts,
            runs=self.runs,
            datasets=self.datasets,
            environments=self.environments,
            secrets=self.secrets,
            events=self.events,
            engine=self.engine,
            place=self.place,
        )
        self.quotas = Quotas(database, self.events, self.signals)
        self.scheduling = Scheduling(
            db=database,
            clock=clock,
            quotas=self.quotas,
            recent=RecentUse(database),
            nodes=self.engine.nodes,
            holdings=self.attempts.holdings,
        )
        self.submissions = JobSubmissions(
            db=database,
            clock=clock,
            signals=self.signals,
            attempts=self.attempts,
            runs=self.runs,
            environments=self.environments,
            datasets=self.datasets,
            secrets=self.secrets,
            prices=self.prices,
            ledger=self.ledger,
            locks=self.locks,
            events=self.events,
            engine=self.engine,
            scheduling=self.scheduling,
            quotas=self.quotas,
            version="0.0.0",
        )
        self.jobs = Jobs(
            db=database,
            clock=clock,
            signals=self.signals,
            attempts=self.attempts,
            launches=self.launches,
            submissions=self.submissions,
            locks=self.locks,
            runs=self.runs,
            environments=self.environments,
            prices=self.prices,
            usage=self.usage,
            ledger=self.ledger,
            events=self.events,
            scheduling=self.scheduling,
        )
        self.queue = JobQueue(
            db=database,
            clock=clock,
            signals=self.signals,
            attempts=self.attempts,
            launches=self.launches,
            environments=self.environments,
            locks=self.locks,
            engine=self.engine,
            scheduling=self.scheduling,
        )
        self.elastic = Elastic(
            db=database,
            clock=clock,
            signals=self.signals,
            attempts=self.attempts,
            engine=self.engine,
            scheduling=self.scheduling,
        )
        self.endpoint_launches = EndpointLaunches(
            db=database,
            clock=clock,
            attempts=self.attempts,
            environments=self.environments,
            ledger=self.ledger,
            engine=self.engine,
            place=self.place,
        )
        self.endpoint_replicas = EndpointReplicas(
            db=database,
            clock=clock,
            signals=self.signals,
            attempts=self.attempts,
            launches=self.endpoint_launches,
            environments=self.environments,
            prices=self.prices,
        )
        self.endpoint_queue = EndpointQueue(
            db=database,
            clock=clock,
            signals=self.signals,
            attempts=self.attempts,
            launches=self.endpoint_launches,
            environments=self.environments,
            engine=self.engine,
            scheduling=self.scheduling,
        )
        self.seconds = 0.0
        self.loop = AttemptsLoop(self.attempts, clock, monotonic=lambda: self.seconds)

    def restarted(self) -> JobsWorld:
        """The server after it was killed: the same database, disk and engine, nothing remembered."""
        assert isinstance(self.clock, FixedClock)
        return JobsWorld(self.db, self.clock, self.folder, self.engine)

    def build_environments(self) -> None:
        """Build whatever is wanted."""
        work = EnvironmentWork(self.db, self.clock, self.signals)
        loop = EnvironmentLoop(work, self.builder, self.signals, self.folder / "logs")
        assert loop.settle(30)

    def submit(self, caller: Caller, command: str = "python train.py", **fields: object) -> Job:
        """A job in an environment that is there."""
        job = self.jobs.submit(caller, JobSpec.model_validate({"commands": [command], **fields}))
        self.build_environments()
        return job

    def running(self, caller: Caller, **fields: object) -> tuple[Job, str]:
        """A job whose attempt was launched, and the attempt's id."""
        job = self.submit(caller, **fields)  # type: ignore[arg-type]
        self.queue.advance()
        return self.jobs.get(caller, job.id), self.attempt(job).id

    def attempt(self, job: Job) -> AttemptRow:
        """The newest attempt of a job."""
        with self.db.read() as session:
            return session.scalars(
                select(AttemptRow).where(AttemptRow.subject_id == job.id).order_by(AttemptRow.number.desc())
            ).first() or _none(job)

    def report(self, attempt_id: str, *events: dict[str, object], rank: int = 0) -> ChannelAck:
        """Send events as a launcher does, from where the server has them."""
        with self.db.read() as session:
            replica = session.get(ReplicaRow, (attempt_id, rank))
            offset = replica.events_offset if replica else 0
        return self.attempts.report(
            attempt_id, rank, "events", offset=offset, body=lines(self.clock, *events)
        )

    def exit(self, attempt_id: str, reason: str = "succeeded", exit_code: int | None = 0) -> ChannelAck:
        """Report the end, and have the launcher done."""
        ack = self.report(
            attempt_id,
            {"type": "exit", "reason": reason, "message": f"it {reason}", "exit_code": exit_code},
        )
        self.engine.see(attempt_id, launcher=False, work=False, exited=True, done=True)
        return ack


def _none(job: Job) -> AttemptRow:
    raise AssertionError(f"{job.name} has no attempt")


def lines(clock: Clock, *items: dict[str, object]) -> bytes:
    """Lines of a channel."""
    now = epoch_ms(clock.now())
    return b"".join(json.dumps({"time_ms": now, **item}).encode() + b"\n" for item in items)
