"""Environments: from requirements to a folder with a Python in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

Log = Callable[[str], None]
"""Takes a line of progress, as it happens."""


@dataclass(frozen=True)
class Source:
    """What was asked for: exactly one of the three texts. ``python``: a minor version or null."""

    requirements: str | None = None
    pyproject: str | None = None
    lock: str | None = None
    python: str | None = None


@dataclass(frozen=True)
class Lock:
    """Exact versions with hashes. ``digest`` covers lock, Python, platform and builder."""

    text: str
    python: str
    digest: str


@dataclass(frozen=True)
class Built:
    """A finished environment. ``interpreter``: the base folder of its Python, for sandboxes."""

    digest: str
    folder: str
    interpreter: str
    size: int
    seconds: float


@dataclass(frozen=True)
class Indexes:
    """Where packages come from, for work that installs some itself.

    Attributes:
        hosts: of the indexes, ``host`` or ``host:port``.
        proxies: that lead there from the server, as ``urllib.request.getproxies`` names them.
        variables: what tells pip and uv of the indexes; without the names and passwords in their URLs.
        shown: folders and files of this host that those variables name.
        uv: path of the program, for the work to run.
    """

    hosts: frozenset[str] = frozenset()
    proxies: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    uv: str | None = None


class Indexed(ABC):
    """An ability of environments: they know where their packages come from."""

    @abstractmethod
    def indexes(self) -> Indexes:
        """What this server was told of package indexes."""


class Environments(ABC):
    """Builds environments, each once, into a folder named by its digest.

    An environment is whole or absent to every reader in every process. Two callers that build the same
    one at the same moment build it once. Raises ``InvalidSpec`` with the resolver's own explanation
    when the requirements cannot be met, ``PluginError`` when the tool or the network failed.
    """

    @abstractmethod
    def resolve(self, source: Source, log: Log) -> Lock:
        """Exact versions for the requirements."""

    @abstractmethod
    def extend(self, lock: Lock, requirements: list[str], log: Log) -> Lock:
        """The lock with more packages; the same lock when it has them already."""

    @abstractmethod
    def find(self, digest: str) -> Built | None:
        """The finished environment, if it is there."""

    @abstractmethod
    def build(self, lock: Lock, log: Log) -> Built:
        """The environment, built now when it is not there."""

    @abstractmethod
    def delete(self, digest: str) -> None:
        """Remove it; no error when it is absent."""
