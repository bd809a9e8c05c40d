"""The composition root: one of each service and loop, put together."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass

from nacre import __version__
from nacre.clock import Clock
from nacre.control.attempts import AttemptsLoop
from nacre.control.blobs import BlobLoop
from nacre.control.captures import CaptureLoop
from nacre.control.endpoint_replicas import EndpointReplicaLoop
from nacre.control.environments import EnvironmentLoop
from nacre.control.instances import InstanceLoop
from nacre.control.loop import Loop, LoopThread
from nacre.control.model_server import ModelServer
from nacre.control.models import ModelLoop
from nacre.control.queue import QueueLoop
from nacre.control.serving import DemandLoop, Grants, ServingLoop, UsageLoop
from nacre.control.tokens import TokenLoop
from nacre.control.tracking import RetentionLoop, SealLoop
from nacre.db.connect import Database
from nacre.ports.blobs import Blobs, LocalBlobs
from nacre.ports.converters import Converter
from nacre.ports.engines import Engine
from nacre.ports.environments import Environments
from nacre.proxy.packages import PackageProxy
from nacre.server.doctor import machine_checks
from nacre.server.home import reachable, write_private
from nacre.server.packages import indexes_of, launch_packages, make_package_proxy
from nacre.server.plugins import load, load_all
from nacre.server.settings import Settings
from nacre.server.site import make_site
from nacre.services.artifacts import Artifacts
from nacre.services.attempts import Attempts
from nacre.services.batch_predictions import BatchPredictions
from nacre.services.blobs import BlobLedger
from nacre.services.captures import Captures
from nacre.services.conversions import Conversions
from nacre.services.dataset_files import DatasetFiles
from nacre.services.datasets import Datasets
from nacre.services.doctor import Doctor
from nacre.services.drift import Drifts
from nacre.services.elastic import Elastic
from nacre.services.endpoint_calls import EndpointCalls
from nacre.services.endpoint_launch import EndpointLaunches
from nacre.services.endpoint_logs import EndpointLogs
from nacre.services.endpoint_queue import EndpointQueue
from nacre.services.endpoint_replicas import EndpointReplicas
from nacre.services.endpoint_trials import EndpointTrials
from nacre.services.endpoint_usage import EndpointUsage
from nacre.services.endpoints import Endpoints
from nacre.services.environment_work import EnvironmentWork
from nacre.services.environments import EnvironmentCatalogue
from nacre.services.evaluations import Evaluations
from nacre.services.events import Events
from nacre.services.experiments import Experiments
from nacre.services.instance_launch import InstanceLaunches
from nacre.services.instance_queue import InstanceQueue
from nacre.services.instances import Instances
from nacre.services.job_launch import JobLaunches
from nacre.services.job_locks import JobLocks
from nacre.services.job_submission import JobSubmissions
from nacre.services.jobs import Jobs
from nacre.services.launches import LaunchPlace
from nacre.services.live import Live
from nacre.services.live_nouns import NounTopics
from nacre.services.logged_models import LoggedModels
from nacre.services.model_export import ModelExports
from nacre.services.models import Models
from nacre.services.nodes import Nodes
from nacre.services.prices import Prices
from nacre.services.projects import Projects
from nacre.services.queue import JobQueue
from nacre.services.quotas import Quotas
from nacre.services.recent_use import RecentUse
from nacre.services.registry import Services
from nacre.services.retention import Retention
from nacre.services.run_records import RunRecords
from nacre.services.run_table import RunTable
from nacre.services.runs import Runs
from nacre.services.scheduling import Scheduling
from nacre.services.sealing import Sealing
from nacre.services.secrets import Secrets, read_key
from nacre.services.sessions import Sessions
from nacre.services.settings import ServerSettings
from nacre.services.signals import Signals
from nacre.services.status import Addresses, Status
from nacre.services.summaries import Summaries
from nacre.services.tokens import Tokens
from nacre.services.track_writer import TrackWriter
from nacre.services.usage import UsageLedger
from nacre.services.users import Users
from nacre.services.views import Views


@dataclass(frozen=True)
class Plugins:
    """The implementations of the ports that this server uses."""

    blobs: Blobs
    engine: Engine
    environments: Environments
    converters: tuple[Converter, ...]


def load_plugins(settings: Settings) -> Plugins:
    """The built-in ones: files, this machine, uv."""
    return Plugins(
        blobs=load("blobs", "files")(settings.home / "blobs"),
        engine=load("engines", "local")(settings.home),
        environments=load("environments", "uv")(settings.home / "environments"),
        converters=tuple(load_all("converters")),
    )


class Wiring:
    """The services and loops of one server process. Made by :func:`wire`."""

    def __init__(
        self, settings: Settings, services: Services, loops: list[Loop], package_proxy: PackageProxy
    ) -> None:
        self.services = services
        self.package_proxy = package_proxy
        self._settings = settings
        self._threads = [LoopThread(loop, services.signals) for loop in loops]

    def start(self) -> None:
        """Sign the owner in on this machine, then start the loops: they adopt what was left."""
        keep_owner(self._settings, self.services.users)
        self.services.writer.start()
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End the loops. Work that runs goes on."""
        for thread in self._threads:
            thread.stop()
        self.services.writer.stop()

    def instance_socket(self, instance_id: str) -> tuple[str, str] | None:
        """Where the proxy finds an instance: socket path and Jupyter's token."""
        return self.services.instances.upstream(instance_id)


def keep_owner(settings: Settings, users: Users) -> None:
    """``owner.json``: the owner's token for the CLI on this machine, readable by this user only."""
    path = settings.home / "owner.json"
    try:
        kept = json.loads(path.read_text())["token"]
    except (OSError, ValueError, KeyError):
        kept = None
    _, secret = users.ensure_owner(kept)
    write_private(path, json.dumps({"url": settings.url, "token": secret, "project": "default"}))


def wire(settings: Settings, db: Database, clock: Clock, plugins: Plugins | None = None) -> Wiring:
    """Put the server together; nothing runs before :meth:`Wiring.start`."""
    plugins = plugins or load_plugins(settings)
    engine = plugins.engine
    signals = Signals()
    events = Events(db, clock)
    tokens = Tokens(db, clock, signals)
    projects = Projects(db, clock, events)
    server_settings = ServerSettings(db, events, loopback=settings.loopback)
    secrets = Secrets(db, clock, events, read_key(settings.home / "secret.key"))
    prices = Prices(settings.home / "prices.toml")
    usage = UsageLedger(db, clock, prices)
    quotas = Quotas(db, events, signals)
    ledger = BlobLedger(db, clock, plugins.blobs)
    datasets = Datasets(db, clock, ledger, events)
    dataset_files = DatasetFiles(datasets, ledger)
    environments = EnvironmentCatalogue(
        db, clock, plugins.environments, signals, events, settings.logs / "environments"
    )
    locks = JobLocks(db, ledger)
    writer = TrackWriter(db, signals)
    artifacts = Artifacts(db, clock, ledger, signals)
    runs = Runs(db, clock, ledger, events, signals, writer)
    attempts = Attempts(
        db=db,
        clock=clock,
        signals=signals,
        runs=runs,
        usage=usage,
        tokens=tokens,
        ledger=ledger,
        engine=engine,
        logs=settings.logs,
    )
    scheduling = Scheduling(
        db=db,
        clock=clock,
        quotas=quotas,
        recent=RecentUse(db),
        nodes=engine.nodes,
        holdings=attempts.holdings,
    )
    indexes = indexes_of(plugins.environments)
    place = LaunchPlace(
        server=f"unix:{settings.api_socket}",  # stays the same when the server comes back on another port
        attempts=settings.home / "attempts",
        trees=settings.home / "trees",
        checkpoints=settings.home / "checkpoints",
        blobs_root=plugins.blobs.root if isinstance(plugins.blobs, LocalBlobs) else None,
        nacre_site=make_site(settings.home / "site"),
        api_socket_folder=settings.api_socket.parent,
        api_url=settings.url,
        package_socket_folder=settings.package_socket.parent,
        packages=launch_packages(indexes),
        root=os.geteuid() == 0,
        reachable=reachable(settings.home / "attempts", sys.base_prefix),
    )
    launches = JobLaunches(
        db=db,
        clock=clock,
        attempts=attempts,
        runs=runs,
        datasets=datasets,
        environments=environments,
        secrets=secrets,
        events=events,
        engine=engine,
        place=place,
    )
    submissions = JobSubmissions(
        db=db,
        clock=clock,
        signals=signals,
        attempts=attempts,
        runs=runs,
        environments=environments,
        datasets=datasets,
        secrets=secrets,
        prices=prices,
        ledger=ledger,
        locks=locks,
        events=events,
        engine=engine,
        scheduling=scheduling,
        quotas=quotas,
        version=__version__,
    )
    jobs = Jobs(
        db=db,
        clock=clock,
        signals=signals,
        attempts=attempts,
        launches=launches,
        submissions=submissions,
        locks=locks,
        runs=runs,
        environments=environments,
        prices=prices,
        usage=usage,
        ledger=ledger,
        events=events,
        scheduling=scheduling,
    )
    instance_launches = InstanceLaunches(
        db=db,
        clock=clock,
        attempts=attempts,
        environments=environments,
        secrets=secrets,
        events=events,
        engine=engine,
        place=place,
        folder=settings.home / "instances",
    )
    instances = Instances(
        db=db,
        clock=clock,
        signals=signals,
        events=events,
        attempts=attempts,
        launches=instance_launches,
        environments=environments,
        datasets=datasets,
        secrets=secrets,
        prices=prices,
        usage=usage,
        tokens=tokens,
        content_url=settings.content_url,
    )
    conversions = Conversions(db, clock, signals, ledger, jobs, plugins.converters)
    models = Models(db, clock, signals, ledger, runs, conversions, environments, events, plugins.converters)
    evaluations = Evaluations(db, clock, signals, ledger, datasets, jobs, environments, events)
    batches = BatchPredictions(db, clock, signals, ledger, datasets, jobs, environments, events)
    drifts = Drifts(db, clock, signals, ledger, datasets, jobs, environments, events)
    endpoint_launches = EndpointLaunches(
        db=db,
        clock=clock,
        attempts=attempts,
        environments=environments,
        ledger=ledger,
        engine=engine,
        place=place,
    )
    endpoint_replicas = EndpointReplicas(
        db=db,
        clock=clock,
        signals=signals,
        attempts=attempts,
        launches=endpoint_launches,
        environments=environments,
        prices=prices,
    )
    model_server = ModelServer(
        settings.serving, settings.host, settings.inference_port, settings.inference_workers
    )
    endpoints = Endpoints(
        db=db,
        clock=clock,
        signals=signals,
        ledger=ledger,
        prices=prices,
        usage=usage,
        events=events,
        replicas=endpoint_replicas,
        blobs_root=settings.home / "blobs",
        serving=settings.serving,
        base_url=settings.inference_url,
        observed=model_server.status,
    )
    endpoint_logs = EndpointLogs(db, attempts)
    endpoint_usage = EndpointUsage(db, clock, settings.serving / "usage")
    grants = Grants(model_server, endpoints.settling, tokens)
    trials = EndpointTrials(clock, endpoints.settling)
    serving = ServingLoop(model_server, grants, endpoints.settling, trials, signals)
    captures = Captures(db, clock, signals, ledger, datasets, settings.serving / "capture")
    run_table = RunTable(db)
    services = Services(
        db=db,
        clock=clock,
        signals=signals,
        events=events,
        settings=server_settings,
        users=Users(db, clock, tokens, projects, events, server_settings),
        views=Views(db, clock, events),
        tokens=tokens,
        sessions=Sessions(db, clock, tokens, events),
        projects=projects,
        secrets=secrets,
        prices=prices,
        usage=usage,
        quotas=quotas,
        scheduling=scheduling,
        nodes=Nodes(db, engine.nodes, attempts.holdings, prices),
        blobs=ledger,
        datasets=datasets,
        dataset_files=dataset_files,
        summaries=Summaries(dataset_files, ledger),
        environments=environments,
        runs=runs,
        run_records=RunRecords(db, runs),
        experiments=Experiments(db, clock, events),
        run_table=run_table,
        live=Live(
            db=db,
            signals=signals,
            tokens=tokens,
            projects=projects,
            table=run_table,
            nouns=NounTopics(
                db=db,
                jobs=jobs,
                instances=instances,
                environments=environments,
                datasets=datasets,
                models=models,
                endpoints=endpoints,
                endpoint_logs=endpoint_logs,
            ),
        ),
        writer=writer,
        artifacts=artifacts,
        logged_models=LoggedModels(db, clock),
        attempts=attempts,
        jobs=jobs,
        instances=instances,
        models=models,
        model_exports=ModelExports(models, ledger),
        conversions=conversions,
        evaluations=evaluations,
        endpoints=endpoints,
        endpoint_calls=EndpointCalls(endpoints, model_server),
        endpoint_logs=endpoint_logs,
        endpoint_usage=endpoint_usage,
        batches=batches,
        drifts=drifts,
        status=Status(
            db,
            server_settings,
            __version__,
            Addresses(settings.url, settings.content_url, settings.inference_url),
            isolation=lambda: engine.nodes()[0].isolation,
            model_server=model_server.state,
        ),
        doctor=Doctor(
            db,
            clock,
            plugins.blobs,
            prices,
            machine=lambda: machine_checks(settings),
            model_server=model_server.state,
        ),
    )
    loops: list[Loop] = [
        AttemptsLoop(attempts, clock),
        QueueLoop(
            JobQueue(
                db=db,
                clock=clock,
                signals=signals,
                attempts=attempts,
                launches=launches,
                environments=environments,
                locks=locks,
                engine=engine,
                scheduling=scheduling,
            ),
            Elastic(
                db=db,
                clock=clock,
                signals=signals,
                attempts=attempts,
                engine=engine,
                scheduling=scheduling,
            ),
        ),
        InstanceLoop(
            InstanceQueue(
                db=db,
                clock=clock,
                signals=signals,
                attempts=attempts,
                instances=instances,
                launches=instance_launches,
                environments=environments,
                engine=engine,
                scheduling=scheduling,
            ),
            instance_launches,
            clock,
        ),
        EndpointReplicaLoop(
            endpoint_replicas,
            EndpointQueue(
                db=db,
                clock=clock,
                signals=signals,
                attempts=attempts,
                launches=endpoint_launches,
                environments=environments,
                engine=engine,
                scheduling=scheduling,
            ),
            model_server.status,
            clock,
        ),
        EnvironmentLoop(
            EnvironmentWork(db, clock, signals),
            plugins.environments,
            signals,
            settings.logs / "environments",
        ),
        ModelLoop(conversions, evaluations, batches, drifts),
        CaptureLoop(captures),
        grants,
        serving,
        DemandLoop(model_server, serving, signals),
        UsageLoop(endpoint_usage),
        SealLoop(Sealing(db, clock), writer),
        RetentionLoop(Retention(db, clock, artifacts, server_settings, signals)),
        TokenLoop(tokens),
        BlobLoop(ledger, settings.home / "trees"),
    ]
    return Wiring(settings, services, loops, make_package_proxy(settings, indexes))
