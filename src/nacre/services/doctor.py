"""What a running server finds when it looks at itself and at its machine."""

from __future__ import annotations

import io
import secrets
import threading
import time
from collections.abc import Callable
from datetime import UTC

from blake3 import blake3
from sqlalchemy import func, select, text

from nacre.clock import Clock
from nacre.db.connect import Database
from nacre.db.tables.endpoints import EndpointRow
from nacre.domain.identity import Caller
from nacre.errors import NacreError
from nacre.ports.blobs import Blobs
from nacre.schema.server import Check, CheckState, Diagnosis, worst
from nacre.services.prices import Prices

_OK, _WARNING, _PROBLEM = CheckState.OK, CheckState.WARNING, CheckState.PROBLEM
_SLOW_S = 1.0
_CLOCK_S = 2.0
_PROBE_BYTES = 4096


def boot_time() -> float:
    """Seconds since the machine started, its sleep included; nobody sets this clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Doctor:
    """``machine`` tries out what needs no server; ``model_server`` says ``running`` or ``stopped``."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        blobs: Blobs,
        prices: Prices,
        *,
        machine: Callable[[], list[Check]],
        model_server: Callable[[], str],
        steady: Callable[[], float] = boot_time,
    ) -> None:
        self._db = db
        self._clock = clock
        self._blobs = blobs
        self._prices = prices
        self._machine = machine
        self._model_server = model_server
        self._steady = steady
        self._started = clock.now(), steady()
        self._one_at_a_time = threading.Lock()

    def check(self, caller: Caller) -> Diagnosis:
        """Try everything, one asker after the other; takes about a second."""
        with self._one_at_a_time:
            checks = [self._database(), self._blob_store(), self._clocks(), *self._serving(), *self._file()]
            checks += self._machine()
            return Diagnosis(checked_at=self._clock.now(), state=worst(checks), checks=checks)

    def _database(self) -> Check:
        """It answers, and takes its turn for a writer in good time."""
        kind = "SQLite" if self._db.sqlite else "PostgreSQL"
        started = self._steady()
        try:
            with self._db.write() as session:
                session.execute(text("SELECT 1"))
                about = self._about(session.scalar)
        except NacreError as error:
            return Check(
                name="database",
                state=_PROBLEM,
                message=f"{kind}: {error.detail}",
                remedy="see that the disk is not full and the file is there"
                if self._db.sqlite
                else "see that the server of NACRE_DATABASE_URL runs and lets this one in",
            )
        took = self._steady() - started
        answer = f"{kind} {about}, answers within {1000 * took:.0f} ms"
        if took > _SLOW_S:
            return Check(
                name="database",
                state=_WARNING,
                message=answer,
                remedy="something writes for long, or the disk is slow: see server.log",
            )
        return Check(name="database", state=_OK, message=answer)

    def _about(self, ask: Callable[..., object]) -> str:
        if self._db.sqlite:
            size = int(str(ask(text("PRAGMA page_count")))) * int(str(ask(text("PRAGMA page_size"))))
            return f"{ask(text('SELECT sqlite_version()'))}, {size / 2**20:.1f} MiB"
        size = int(str(ask(text("SELECT pg_database_size(current_database())"))))
        return f"{ask(text('SHOW server_version'))}, {size / 2**20:.1f} MiB"

    def _blob_store(self) -> Check:
        """A few bytes that nobody else has go in, come back and go."""
        data = secrets.token_bytes(_PROBE_BYTES)
        digest = blake3(data).hexdigest()
        started = self._steady()
        try:
            self._blobs.put(digest, io.BytesIO(data))
            try:
                with self._blobs.open(digest) as stream:
                    same = stream.read() == data
            finally:
                self._blobs.delete(digest)
        except NacreError as error:
            return Check(
                name="blobs",
                state=_PROBLEM,
                message=f"bytes cannot be kept: {error.detail}",
                remedy="see that the blob store's disk is there, not full and writable",
            )
        if not same:
            return Check(
                name="blobs",
                state=_PROBLEM,
                message="what was written did not come back the same: the disk may be failing",
                remedy="look at the machine's own log (dmesg), and copy the home to another disk",
            )
        took = 1000 * (self._steady() - started)
        return Check(name="blobs", state=_OK, message=f"written, read and removed within {took:.0f} ms")

    def _clocks(self) -> Check:
        """This machine's clock was not set since the start, and the database's shows the same time."""
        then, mark = self._started
        set_by = (self._clock.now() - then).total_seconds() - (self._steady() - mark)
        remedy = "let the machines keep the time of the network (systemd-timesyncd or chrony)"
        if abs(set_by) > _CLOCK_S:
            return Check(
                name="clock",
                state=_WARNING,
                message=f"the machine's clock was set by {set_by:+.0f} s since the server started: "
                "times and costs around then are off by as much",
                remedy=remedy,
            )
        if (apart := self._database_clock()) is not None and abs(apart) > _CLOCK_S:
            return Check(
                name="clock",
                state=_WARNING,
                message=f"the database's clock is {apart:+.0f} s off this machine's",
                remedy=remedy,
            )
        return Check(name="clock", state=_OK, message=f"{self._clock.now():%Y-%m-%d %H:%M:%S} UTC")

    def _database_clock(self) -> float | None:
        if self._db.sqlite:
            return None
        try:
            with self._db.read() as session:
                there = session.scalar(select(func.clock_timestamp()))
        except NacreError:
            return None
        return (there.astimezone(UTC) - self._clock.now()).total_seconds() if there else None

    def _serving(self) -> list[Check]:
        try:
            with self._db.read() as session:
                count = session.scalar(select(func.count()).select_from(EndpointRow)) or 0
        except NacreError:
            return []
        if self._model_server() == "running":
            text_ = f"runs, for {count} endpoint{'s' * (count != 1)}"
            return [Check(name="model_server", state=_OK, message=text_)]
        if not count:
            return [Check(name="model_server", state=_OK, message="stopped: there are no endpoints")]
        return [
            Check(
                name="model_server",
                state=_PROBLEM,
                message=f"stopped, although there {'is an' if count == 1 else f'are {count}'} "
                f"endpoint{'s' * (count != 1)}: nothing answers predictions",
                remedy="it is started by itself, again and again: when it stays down, see "
                "serving/modelserver.log in the server's home",
            )
        ]

    def _file(self) -> list[Check]:
        currency = self._prices.currency  # reads the file again when it has changed
        if self._prices.problem is None:
            return [Check(name="prices", state=_OK, message=f"{self._prices.file}, in {currency}")]
        return [
            Check(
                name="prices",
                state=_WARNING,
                message=self._prices.problem,
                remedy=f"mend {self._prices.file} and save it",
            )
        ]
