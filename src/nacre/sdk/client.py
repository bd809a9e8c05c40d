"""The client: one attribute per noun, one method per operation."""

from __future__ import annotations

from types import TracebackType

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
from nacre.sdk.settings import find_connection
from nacre.sdk.transport import Transport


class Client:
    """A synchronous, typed client of a Nacre server.

    Without arguments it connects as the environment and ``nacre login`` tell: inside a job or an
    instance to its own server and project, on the machine of ``nacre up`` as the owner.

    Example::

        with nacre.Client() as client:
            for job in client.jobs.list():
                print(job.name, job.state)
    """

    def __init__(
        self, url: str | None = None, token: str | None = None, *, project: str | None = None
    ) -> None:
        connection = find_connection(url, token, project)
        self.project = connection.project
        self.transport = Transport(connection.url, connection.token)
        self.blobs = Blobs(self.transport, self.project)
        self.data = Data(self.transport, self.project)
        self.endpoints = Endpoints(self.transport, self.project)
        self.evaluations = Evaluations(self.transport, self.project)
        self.environments = Environments(self.transport, self.project)
        self.events = Events(self.transport, self.project)
        self.experiments = Experiments(self.transport, self.project)
        self.instance_types = InstanceTypes(self.transport, self.project)
        self.instances = Instances(self.transport, self.project)
        self.invitations = Invitations(self.transport, self.project)
        self.jobs = Jobs(self.transport, self.project)
        self.lineage = Lineage(self.transport, self.project)
        self.live = Live(self.transport, self.project)
        self.members = Members(self.transport, self.project)
        self.models = Models(self.transport, self.project)
        self.nodes = Nodes(self.transport, self.project)
        self.queue = Queue(self.transport, self.project)
        self.quotas = Quotas(self.transport, self.project)
        self.projects = Projects(self.transport, self.project)
        self.runs = Runs(self.transport, self.project)
        self.secrets = Secrets(self.transport, self.project)
        self.server = Server(self.transport, self.project)
        self.sessions = Sessions(self.transport, self.project)
        self.settings = ServerSettings(self.transport, self.project)
        self.tokens = Tokens(self.transport, self.project)
        self.usage = Usage(self.transport, self.project)
        self.users = Users(self.transport, self.project)
        self.views = Views(self.transport, self.project)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
