"""Resolves and builds the environments that are wanted."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from nacre.control.loop import Loop
from nacre.errors import InternalError, NacreError
from nacre.ports.environments import Environments, Lock, Log
from nacre.services.environment_work import EnvironmentWork, Work
from nacre.services.signals import Signals

_log = logging.getLogger("nacre.environments")


class EnvironmentLoop(Loop):
    """Up to ``parallel`` at a time, each in a thread of its own, its log in ``logs/<environment id>.log``.

    A server that is killed in the middle loses nothing: what is wanted and not there is begun again.
    Two with the same lock are built once, which is the port's promise.
    """

    name: ClassVar[str] = "environments"
    topics: ClassVar[tuple[str, ...]] = ("environments",)

    def __init__(
        self, work: EnvironmentWork, port: Environments, signals: Signals, logs: Path, *, parallel: int = 2
    ) -> None:
        self._work = work
        self._port = port
        self._signals = signals
        self._logs = logs
        self._parallel = parallel
        self._running: dict[str, threading.Thread] = {}
        self._looked = False

    def run_once(self) -> None:
        """Start on what is wanted, as far as there is room; returns at once."""
        if not self._looked:
            self._look_for_lost()
            self._looked = True
        self._running = {k: thread for k, thread in self._running.items() if thread.is_alive()}
        for environment_id in self._work.wanted():
            if len(self._running) >= self._parallel:
                return
            if environment_id in self._running:
                continue
            work = self._work.begin(environment_id)
            if work is not None:
                name = f"nacre-environment-{work.name}"
                thread = threading.Thread(target=self._carry_out, args=(work,), name=name, daemon=True)
                self._running[work.id] = thread
                thread.start()

    def settle(self, timeout_s: float) -> bool:
        """Run until nothing is wanted; false when that takes longer than ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            self.run_once()
            for thread in list(self._running.values()):
                thread.join(max(0.0, deadline - time.monotonic()))
            if not self._work.wanted() and not any(t.is_alive() for t in self._running.values()):
                return True
        return False

    def _look_for_lost(self) -> None:
        for environment_id, digest in self._work.ready():
            if self._port.find(digest) is None:
                _log.warning("the environment %s is gone from the disk", environment_id)
                self._work.lost(environment_id)

    def _carry_out(self, work: Work) -> None:
        log = self._open_log(work)
        try:
            lock = work.lock or self._resolve(work, log)
            if self._work.resolved(work, lock):
                log("building")
                built = self._port.build(lock, log)
                self._work.finished(work, lock, built)
                log(f"ready after {built.seconds:.1f} s, {built.size / 1e6:.0f} MB")
        except NacreError as error:
            self._fail(work, log, error)
        except Exception as error:
            _log.exception("the environment %s could not be built", work.name)
            self._fail(work, log, InternalError(f"this is a defect in Nacre: {error!r}"))
        finally:
            self._signals.notify(*self.topics)

    def _resolve(self, work: Work, log: Log) -> Lock:
        log("resolving")
        if work.base is not None:
            return self._port.extend(work.base, list(work.extra), log)
        return self._port.resolve(work.source, log)

    def _fail(self, work: Work, log: Log, error: NacreError) -> None:
        _log.warning("the environment %s failed: %s", work.name, error.detail)
        log(f"failed: {error.detail}")
        self._work.failed(work, error)

    def _open_log(self, work: Work) -> Log:
        """What appends a line with its time to the build log; a full disk loses the line, not the build."""
        path = self._logs / f"{work.id}.log"

        def write(line: str) -> None:
            text = f"{datetime.now(UTC):%H:%M:%S} {line}\n"
            try:
                with path.open("a", encoding="utf-8") as stream:
                    stream.write(text)
            except OSError as error:
                _log.warning("a line of %s is lost: %s", path.name, error)
            self._signals.notify(f"environment:{work.id}")

        self._logs.mkdir(parents=True, exist_ok=True)
        return write
