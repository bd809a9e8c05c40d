"""What the server says of itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import func, select

from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointRow
from nacre.db.tables.instances import InstanceRow
from nacre.db.tables.jobs import JobRow
from nacre.domain.identity import Caller
from nacre.schema.instances import InstanceState
from nacre.schema.jobs import FINAL_STATES, JobState
from nacre.schema.server import ServerInfo, ServerStatus
from nacre.services.settings import ServerSettings


@dataclass(frozen=True)
class Addresses:
    """The URLs under which clients reach the three listeners."""

    api: str
    content: str
    inference: str


class Status:
    """Counts and facts, cheap enough to ask every second."""

    def __init__(
        self,
        db: Database,
        settings: ServerSettings,
        version: str,
        addresses: Addresses,
        isolation: Callable[[], str],
        model_server: Callable[[], str],
    ) -> None:
        self._db = db
        self._settings = settings
        self._version = version
        self._addresses = addresses
        self._isolation = isolation
        self._model_server = model_server
        self._started = time.monotonic()

    def info(self, *, near: bool = False) -> ServerInfo:
        """For anybody: what a client needs before it signs in. ``near``: as for signing up."""
        return ServerInfo(
            version=self._version,
            sign_up=self._settings.get(near=near).sign_up,
            content_url=self._addresses.content,
            inference_url=self._addresses.inference,
        )

    def status(self, caller: Caller) -> ServerStatus:
        """For every user: how much runs and waits, over all projects."""
        waiting = (JobState.QUEUED,)
        running = tuple(s for s in JobState if s not in FINAL_STATES and s not in waiting)
        busy = tuple(s for s in InstanceState if s not in (InstanceState.STOPPED, InstanceState.FAILED))
        with self._db.read() as session:

            def count(row: type[JobRow | InstanceRow], states: tuple[str, ...]) -> int:
                statement = select(func.count()).select_from(row).where(row.state.in_(states))
                return session.execute(statement).scalar_one()

            jobs_running, jobs_queued = count(JobRow, running), count(JobRow, waiting)
            instances = count(InstanceRow, busy)
            endpoints = session.execute(select(func.count()).select_from(EndpointRow)).scalar_one()
        return ServerStatus(
            version=self._version,
            uptime_s=round(time.monotonic() - self._started, 1),
            database="SQLite" if self._db.sqlite else "PostgreSQL",
            isolation=self._isolation(),
            jobs_running=jobs_running,
            jobs_queued=jobs_queued,
            instances_running=instances,
            endpoints=endpoints,
            model_server=self._model_server(),
        )
