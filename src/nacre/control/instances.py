"""Brings instances up, sees when they are ready, and stops those that are idle."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from nacre.clock import Clock
from nacre.control.jupyter import JupyterProbe
from nacre.control.loop import Loop
from nacre.control.probes import Probe
from nacre.control.tensorboard import TensorBoardProbe
from nacre.errors import Unavailable
from nacre.schema.instances import InstanceApp, InstanceState
from nacre.services.apps import APPS
from nacre.services.instance_launch import InstanceLaunches
from nacre.services.instance_queue import InstanceQueue, Watched

_log = logging.getLogger("nacre.instances")

READY_SECONDS = 300.0
"""How long an app may take from its placement until it answers."""
_SWEEP_SECONDS = 6 * 3600.0
_PROBES: dict[InstanceApp, Probe] = {
    InstanceApp.JUPYTERLAB: JupyterProbe(),
    InstanceApp.TENSORBOARD: TensorBoardProbe(),
}


class InstanceLoop(Loop):
    """Woken by ``instances``: one was asked to start or has ended; by ``environments``: one is built.

    Looks five times a second while an instance starts. Whether one is idle is asked of its app,
    twenty times within its time-out but at most every second.
    """

    name = "instances"
    topics = ("instances", "environments", "jobs")

    def __init__(
        self,
        queue: InstanceQueue,
        launches: InstanceLaunches,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._launches = launches
        self._clock = clock
        self._monotonic = monotonic
        self._looked: dict[str, float] = {}
        self._swept: float | None = None
        self._pause = 0.2

    @property
    def interval_s(self) -> float:  # type: ignore[override]
        """Short while something starts."""
        return self._pause

    def run_once(self) -> None:
        """One pass."""
        self._queue.discard()
        self._queue.advance()
        watched = self._queue.watched()
        due = [found for found in watched if self._due(found)]
        if due:
            with ThreadPoolExecutor(max_workers=min(8, len(due)), thread_name_prefix="nacre-look") as pool:
                list(pool.map(self._look, due))
        starting = any(found.state is InstanceState.STARTING for found in watched)
        fastest = min((self._every(found) for found in watched), default=5.0)
        self._pause = 0.2 if starting else fastest
        alive = {found.attempt_id for found in watched}
        self._looked = {attempt: at for attempt, at in self._looked.items() if attempt in alive}
        self._sweep()

    def _every(self, found: Watched) -> float:
        return min(5.0, max(1.0, found.idle_timeout / 20))

    def _due(self, found: Watched) -> bool:
        if found.state is InstanceState.STARTING:
            return True
        now = self._monotonic()
        last = self._looked.get(found.attempt_id)
        if last is not None and now - last < self._every(found):
            return False
        self._looked[found.attempt_id] = now
        return True

    def _look(self, found: Watched) -> None:
        try:
            upstream = self._launches.upstream(found.id)
            if upstream is None:
                return
            base, probe = f"/instances/{found.id}/", _PROBES[found.app]
            if found.state is InstanceState.STARTING:
                self._look_whether_ready(found, probe.ready(upstream, base))
                return
            now = self._clock.now()
            active_at = probe.active_at(upstream, base, now, found.active_at)
            if active_at > found.active_at:
                self._queue.seen(found, active_at)
            if (now - active_at).total_seconds() >= found.idle_timeout:
                self._queue.stop_idle(found, active_at)
        except Unavailable as error:
            # It may be restarting, or hang: not a reason to stop what may be at work.
            _log.debug("instance %s: %s", found.name, error.detail)

    def _look_whether_ready(self, found: Watched, ready: bool) -> None:
        if ready:
            self._queue.ready(found)
        elif (self._clock.now() - found.placed_at).total_seconds() > READY_SECONDS:
            title = APPS[found.app].title
            self._queue.not_ready(found, f"{title} did not answer within {READY_SECONDS:.0f} seconds")

    def _sweep(self) -> None:
        now = self._monotonic()
        if self._swept is None or now - self._swept > _SWEEP_SECONDS:
            self._swept = now
            if count := self._launches.sweep():
                _log.info("removed the folders of %d deleted instances", count)
