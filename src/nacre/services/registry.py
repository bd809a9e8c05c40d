"""Every service, wired: what the API, the proxy and the loops get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nacre.clock import Clock
    from nacre.db.connect import Database
    from nacre.services.artifacts import Artifacts
    from nacre.services.attempts import Attempts
    from nacre.services.batch_predictions import BatchPredictions
    from nacre.services.blobs import BlobLedger
    from nacre.services.conversions import Conversions
    from nacre.services.dataset_files import DatasetFiles
    from nacre.services.datasets import Datasets
    from nacre.services.doctor import Doctor
    from nacre.services.drift import Drifts
    from nacre.services.endpoint_calls import EndpointCalls
    from nacre.services.endpoint_logs import EndpointLogs
    from nacre.services.endpoint_usage import EndpointUsage
    from nacre.services.endpoints import Endpoints
    from nacre.services.environments import EnvironmentCatalogue
    from nacre.services.evaluations import Evaluations
    from nacre.services.events import Events
    from nacre.services.experiments import Experiments
    from nacre.services.instances import Instances
    from nacre.services.jobs import Jobs
    from nacre.services.live import Live
    from nacre.services.logged_models import LoggedModels
    from nacre.services.model_export import ModelExports
    from nacre.services.models import Models
    from nacre.services.nodes import Nodes
    from nacre.services.prices import Prices
    from nacre.services.projects import Projects
    from nacre.services.quotas import Quotas
    from nacre.services.run_records import RunRecords
    from nacre.services.run_table import RunTable
    from nacre.services.runs import Runs
    from nacre.services.scheduling import Scheduling
    from nacre.services.secrets import Secrets
    from nacre.services.sessions import Sessions
    from nacre.services.settings import ServerSettings
    from nacre.services.signals import Signals
    from nacre.services.status import Status
    from nacre.services.summaries import Summaries
    from nacre.services.tokens import Tokens
    from nacre.services.track_writer import TrackWriter
    from nacre.services.usage import UsageLedger
    from nacre.services.users import Users
    from nacre.services.views import Views


@dataclass(frozen=True)
class Services:
    """One of each, sharing a database, a clock and the signals."""

    db: Database
    clock: Clock
    signals: Signals
    events: Events
    settings: ServerSettings
    users: Users
    tokens: Tokens
    sessions: Sessions
    projects: Projects
    secrets: Secrets
    prices: Prices
    usage: UsageLedger
    quotas: Quotas
    scheduling: Scheduling
    nodes: Nodes
    blobs: BlobLedger
    datasets: Datasets
    dataset_files: DatasetFiles
    summaries: Summaries
    environments: EnvironmentCatalogue
    runs: Runs
    run_records: RunRecords
    experiments: Experiments
    run_table: RunTable
    live: Live
    writer: TrackWriter
    artifacts: Artifacts
    logged_models: LoggedModels
    attempts: Attempts
    jobs: Jobs
    instances: Instances
    models: Models
    model_exports: ModelExports
    conversions: Conversions
    evaluations: Evaluations
    endpoints: Endpoints
    endpoint_calls: EndpointCalls
    endpoint_logs: EndpointLogs
    endpoint_usage: EndpointUsage
    batches: BatchPredictions
    drifts: Drifts
    status: Status
    doctor: Doctor
    views: Views
