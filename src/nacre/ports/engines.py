"""Engine: where a launcher starts, and whether it is still there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any

from nacre.schema.launch import LaunchSpec, SandboxMode

Handle = dict[str, Any]
"""Plain JSON that finds the replica again after any restart; kept in the database before launch."""


@dataclass(frozen=True)
class NodeFacts:
    """A machine as the engine sees it. ``gpus`` holds one name per device, in index order."""

    name: str
    cpu: float
    memory: int
    gpus: list[str] = field(default_factory=list)
    isolation: str = "reduced"
    sandbox: SandboxMode = SandboxMode.NONE
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Observed:
    """``launcher``: one runs and will report. ``work``: the command still lives. ``exited``: its exit
    code is on disk. ``done``: everything was reported and the folder can go."""

    launcher: bool
    work: bool
    exited: bool
    done: bool


class Engine(ABC):
    """Places, starts and ends launchers; knows nothing of jobs, queues or money.

    Everything is by replica: those of a gang are launched, seen, stopped and forgotten one by one, and the
    server sees to it that it is all or nothing. Every method is idempotent and may be called again after a
    crash of the caller at any point; what a former server launched is found by handle alone.
    ``Unavailable`` means "cannot tell now": the caller freezes its states and asks again. Never guess: what
    is reported as gone is started again somewhere else. ``nacre.testing.conformance.engine`` has the tests.
    """

    @abstractmethod
    def nodes(self) -> list[NodeFacts]:
        """The machines, with totals (not what is free)."""

    @abstractmethod
    def handle(self, spec: LaunchSpec) -> Handle:
        """The handle of this replica, before it is launched; made without asking anybody."""

    @abstractmethod
    def launch(self, spec: LaunchSpec, handle: Handle) -> None:
        """Write the spool folder and start a launcher; nothing when that has been done before."""

    @abstractmethod
    def observe(self, handle: Handle) -> Observed:
        """What there is of it now."""

    @abstractmethod
    def adopt(self, handle: Handle) -> None:
        """Start a launcher on the spool that a dead one left, to carry on and to report.

        Nothing when one runs. Raises ``NotFound`` when the spool is gone.
        """

    @abstractmethod
    def stop(self, handle: Handle) -> None:
        """Ask the launcher to end the work (SIGTERM, grace, SIGKILL); nothing when it has ended."""

    @abstractmethod
    def forget(self, handle: Handle, *, everything: bool = False) -> None:
        """Remove all that there is of a replica; what still runs of it has ended when this returns. With
        the last replica goes what the gang shared. Output that the server would not have stays, unless
        ``everything`` is asked for."""

    @abstractmethod
    def leftovers(self) -> list[tuple[str, Handle]]:
        """Attempt id and handle of each replica that was launched here and is not forgotten."""

    @abstractmethod
    def socket(self, handle: Handle, name: str) -> str:
        """Path of a unix socket that the work opened in ``/run/nacre``."""
