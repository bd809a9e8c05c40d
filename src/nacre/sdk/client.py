"""The client: one attribute per noun, one method per operation."""

from __future__ import annotations

from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any

from nacre.sdk.settings import find_connection
from nacre.sdk.transport import Transport

if TYPE_CHECKING:
    from nacre.sdk.live import Live
    from nacre.sdk.resources.blobs import Blobs
    from nacre.sdk.resources.data import Data
    from nacre.sdk.resources.endpoints import Endpoints
    from nacre.sdk.resources.environments import Environments
    from nacre.sdk.resources.experiments import Experiments
    from nacre.sdk.resources.instance_types import InstanceTypes
    from nacre.sdk.resources.instances import Instances
    from nacre.sdk.resources.jobs import Jobs
    from nacre.sdk.resources.lineage import Lineage
    from nacre.sdk.resources.models import Evaluations, Models
    from nacre.sdk.resources.nodes import Nodes
    from nacre.sdk.resources.projects import Events, Members, Projects
    from nacre.sdk.resources.queue import Queue, Quotas
    from nacre.sdk.resources.runs import Runs
    from nacre.sdk.resources.secrets import Secrets
    from nacre.sdk.resources.server import Server
    from nacre.sdk.resources.sessions import Sessions
    from nacre.sdk.resources.settings import ServerSettings
    from nacre.sdk.resources.tokens import Tokens
    from nacre.sdk.resources.usage import Usage
    from nacre.sdk.resources.users import Invitations, Users
    from nacre.sdk.resources.views import Views


class _Lazy:
    """An attribute of :class:`Client`, loaded and made when it is first used."""

    def __init__(self, module: str, kind: str) -> None:
        self._module = module
        self._kind = kind

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, client: Client | None, _: type) -> Any:
        if client is None:
            return self
        kind = getattr(import_module(f"nacre.sdk.{self._module}"), self._kind)
        made = client.__dict__[self._name] = kind(client.transport, client.project)
        return made


def _noun(module: str, kind: str) -> Any:
    return _Lazy(module, kind)


class Client:
    """A synchronous, typed client of a Nacre server.

    Without arguments it connects as the environment and ``nacre login`` tell: inside a job or an
    instance to its own server and project, on the machine of ``nacre up`` as the owner.

    Example::

        with nacre.Client() as client:
            for job in client.jobs.list():
                print(job.name, job.state)
    """

    blobs: Blobs = _noun("resources.blobs", "Blobs")
    data: Data = _noun("resources.data", "Data")
    endpoints: Endpoints = _noun("resources.endpoints", "Endpoints")
    evaluations: Evaluations = _noun("resources.models", "Evaluations")
    environments: Environments = _noun("resources.environments", "Environments")
    events: Events = _noun("resources.projects", "Events")
    experiments: Experiments = _noun("resources.experiments", "Experiments")
    instance_types: InstanceTypes = _noun("resources.instance_types", "InstanceTypes")
    instances: Instances = _noun("resources.instances", "Instances")
    invitations: Invitations = _noun("resources.users", "Invitations")
    jobs: Jobs = _noun("resources.jobs", "Jobs")
    lineage: Lineage = _noun("resources.lineage", "Lineage")
    live: Live = _noun("live", "Live")
    members: Members = _noun("resources.projects", "Members")
    models: Models = _noun("resources.models", "Models")
    nodes: Nodes = _noun("resources.nodes", "Nodes")
    queue: Queue = _noun("resources.queue", "Queue")
    quotas: Quotas = _noun("resources.queue", "Quotas")
    projects: Projects = _noun("resources.projects", "Projects")
    runs: Runs = _noun("resources.runs", "Runs")
    secrets: Secrets = _noun("resources.secrets", "Secrets")
    server: Server = _noun("resources.server", "Server")
    sessions: Sessions = _noun("resources.sessions", "Sessions")
    settings: ServerSettings = _noun("resources.settings", "ServerSettings")
    tokens: Tokens = _noun("resources.tokens", "Tokens")
    usage: Usage = _noun("resources.usage", "Usage")
    users: Users = _noun("resources.users", "Users")
    views: Views = _noun("resources.views", "Views")

    def __init__(
        self, url: str | None = None, token: str | None = None, *, project: str | None = None
    ) -> None:
        connection = find_connection(url, token, project)
        self.project = connection.project
        self.transport = Transport(connection.url, connection.token)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
