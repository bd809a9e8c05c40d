"""Scales endpoints: measures their load, makes replicas and ends them, and sees when one answers."""

from __future__ import annotations

import json
import logging
import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timedelta

from nacre.clock import Clock
from nacre.control.loop import Loop
from nacre.db.tables.endpoints import EndpointReplicaRow
from nacre.domain.autoscaling import KEPT_S, Measure, Scaled, share_of, wanted
from nacre.errors import Unavailable
from nacre.schema.endpoints import ReplicaState
from nacre.schema.serving import HUNG, ServedRevisionState, ServingStatus
from nacre.services.endpoint_queue import EndpointQueue
from nacre.services.endpoint_replicas import STARTING, EndpointReplicas, Group, Starting
from nacre.services.upstreams import SocketFile

_log = logging.getLogger("nacre.endpoints")

READY_SECONDS = 600.0
"""How long a replica may take from its placement until it answers: models are large."""
_QUICK_S, _BUSY_S, _IDLE_S = 0.2, 1.0, 5.0
_MEASURE_S = 0.5
"""Measurements of a window are at least so far apart."""
_FRESH = timedelta(seconds=2)
"""After a start the requests that waited for it end at once, which tells nothing of the load."""
_LEAST_DRAIN = timedelta(seconds=1)
_SWEEP_SECONDS = 3600.0
_HELLO_SECONDS = 2.0
_HEAD = struct.Struct("<IQ")
"""Of a frame: the lengths of its head and of its tail (``nacre.modelserver.frames``)."""
_MAX_HELLO = 2**20

Key = tuple[str, int]


def hello(path: str) -> bool:
    """Whether a replica listens on this socket and greets.

    Raises:
        Unavailable: nobody listens, or something else does.
    """
    with closing(socket.socket(socket.AF_UNIX)) as connected, SocketFile(path) as file:
        connected.settimeout(_HELLO_SECONDS)
        try:
            connected.connect(file.path)
            length, _ = _HEAD.unpack(_exactly(connected, _HEAD.size))
            if length > _MAX_HELLO:
                raise Unavailable(f"it greets with {length} bytes")
            said = json.loads(_exactly(connected, length))
        except (OSError, ValueError) as error:
            raise Unavailable(f"it does not answer ({error})") from error
    return isinstance(said, dict) and said.get("type") == "hello"


def listens(path: str) -> bool:
    """Whether somebody listens on this socket, however busy."""
    with closing(socket.socket(socket.AF_UNIX)) as connected:
        connected.settimeout(_HELLO_SECONDS)
        try:
            with SocketFile(path) as file:
                connected.connect(file.path)
        except TimeoutError:
            return True
        except (OSError, Unavailable):
            return False
    return True


def _exactly(connected: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = connected.recv(size - len(found))
        if not part:
            raise Unavailable("it closed the connection")
        found += part
    return found


class EndpointReplicaLoop(Loop):
    """Woken by ``endpoints`` (a deploy, a demand, an end of a replica), by ``environments`` (one is built),
    and by ends that make room.

    ``observed``: the model server's status, or null when it cannot tell; then what there is stays. Looks
    five times a second while a replica starts, each second while there are any.
    """

    name = "replicas"
    topics = ("endpoints", "environments", "jobs", "instances")

    def __init__(
        self,
        replicas: EndpointReplicas,
        queue: EndpointQueue,
        observed: Callable[[], ServingStatus | None],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
        greets: Callable[[str], bool] = hello,
        there: Callable[[str], bool] = listens,
    ) -> None:
        self._replicas = replicas
        self._queue = queue
        self._observed = observed
        self._clock = clock
        self._monotonic = monotonic
        self._greets = greets
        self._there = there
        self._began: datetime | None = None
        self._windows: dict[Key, list[Measure]] = {}
        self._swept: float | None = None
        self._pause = _IDLE_S

    @property
    def interval_s(self) -> float:  # type: ignore[override]
        """Short while something starts."""
        return self._pause

    def run_once(self) -> None:
        """One pass."""
        self._replicas.leftovers.stop_orphans()
        groups = self._replicas.groups()
        if self._began is None:
            self._look_for(groups)
            self._began = self._clock.now()
            groups = self._replicas.groups()
        status = self._observed() if groups else None
        for group in groups:
            self._end_hung(group, _told(status, group))
            self._scale(group, groups, _told(status, group))
        self._windows = {
            key: window
            for key, window in self._windows.items()
            if any(key == (group.endpoint_id, group.number) for group in groups)
        }
        try:
            self._queue.advance()
        except Unavailable as error:  # what runs needs no machines
            _log.warning("replicas cannot be placed now: %s", error.detail)
        groups = self._replicas.groups()
        starting = self._replicas.starting(groups)
        if starting:
            with ThreadPoolExecutor(min(8, len(starting)), thread_name_prefix="nacre-hello") as pool:
                list(pool.map(self._look, starting))
        for group in groups:
            self._replicas.end(group, self._drained(group, status))
        self._pause = _QUICK_S if starting else _BUSY_S if any(group.rows for group in groups) else _IDLE_S
        self._sweep()

    # How many

    def _scale(self, group: Group, groups: list[Group], told: ServedRevisionState | None) -> None:
        idle_since, count = self._decide(group, groups, told) if group.used else (None, 0)
        self._replicas.scale(group, count, idle_since)
        self._replicas.reconcile(group, count)

    def _decide(
        self, group: Group, groups: list[Group], told: ServedRevisionState | None
    ) -> tuple[datetime | None, int]:
        now = self._clock.now()
        if group.state == STARTING:
            return None, _share(group, groups, now)
        before = self._windows.get((group.endpoint_id, group.number), [])
        window = self._measured(group, told, now)
        idle_since = None
        if window and not window[-1].under_way:
            quiet = bool(before) and window[-1].requests == before[-1].requests
            idle_since = (group.idle_since or now) if quiet else None
        state = Scaled(group.wanted, idle_since)
        count = wanted(group.scaling, now, state, window)
        if group.traffic > group.served:
            count = max(count, _share(group, groups, now))
        return idle_since, count

    def _measured(self, group: Group, told: ServedRevisionState | None, now: datetime) -> list[Measure]:
        """The window up to now; kept for the next time."""
        key = (group.endpoint_id, group.number)
        if told is None:
            return []
        answering = [row.ready_at for row in group.of(ReplicaState.READY) if row.ready_at]
        measure = Measure(
            at=now.timestamp(),
            requests=told.requests,
            seconds=told.seconds,
            under_way=max(told.in_flight, told.waiting),
            answering=max(1, len(answering)),
        )
        kept = self._windows.get(key, [])
        if not answering or now - min(answering) < _FRESH or (kept and not measure.follows(kept[-1])):
            kept = []
        elif kept and measure.at - kept[-1].at < _MEASURE_S:
            return [*kept, measure]
        kept = [one for one in kept if one.at >= measure.at - KEPT_S - _BUSY_S]
        self._windows[key] = [*kept, measure]
        return self._windows[key]

    # Each replica

    def _look_for(self, groups: list[Group]) -> None:
        """What answered when the server ended may have ended since, which takes others a while to see."""
        for found in self._replicas.starting(groups, ReplicaState.READY):
            if not self._there(found.socket):
                _log.info("replica %s is not where it was", found.id)
                self._replicas.missing(found)

    def _look(self, found: Starting) -> None:
        try:
            answers = self._greets(found.socket)
        except Unavailable as error:
            _log.debug("replica %s: %s", found.id, error.detail)
            answers = False
        if answers:
            self._replicas.ready(found)
        elif (self._clock.now() - self._awaited_since(found)).total_seconds() > READY_SECONDS:
            self._replicas.not_ready(found, f"it did not answer within {READY_SECONDS:.0f} seconds")

    def _end_hung(self, group: Group, told: ServedRevisionState | None) -> None:
        for row in group.of(ReplicaState.READY):
            said = told.replicas.get(row.id, "") if told else ""
            if said.startswith(HUNG):
                _log.warning("a replica of endpoint %s hangs: %s: %s", group.key, row.id, said)
                self._replicas.hung(row, said.removeprefix(HUNG))

    def _awaited_since(self, found: Starting) -> datetime:
        return max(found.placed_at, self._began or found.placed_at)

    def _drained(self, group: Group, status: ServingStatus | None) -> list[EndpointReplicaRow]:
        """Those that may end: the model server sends them nothing any more. It may be away: then it has had
        time enough to give up what it sent."""
        now, told = self._clock.now(), _told(status, group)
        found = []
        for row in group.of(ReplicaState.DRAINING):
            since = now - (row.drained_at or row.created_at)
            if row.ready_at is None:
                done = True
            elif status is None or (told is not None and row.id in told.replicas):
                done = since > timedelta(seconds=group.timeout_s)
            else:
                done = since > _LEAST_DRAIN
            if done:
                found.append(row)
        return found

    def _sweep(self) -> None:
        now = self._monotonic()
        if self._swept is None or now - self._swept > _SWEEP_SECONDS:
            self._swept = now
            self._replicas.leftovers.sweep()


def _share(group: Group, groups: list[Group], now: datetime) -> int:
    """With how many it can take the share that it shall have."""
    mine = [other for other in groups if other.endpoint_id == group.endpoint_id and other.used]
    beside = [(other.wanted, other.served) for other in mine if other.number != group.number]
    return share_of(group.scaling, now, beside, group.traffic)


def _told(status: ServingStatus | None, group: Group) -> ServedRevisionState | None:
    """What the model server says of a revision."""
    endpoint = status.endpoints.get(group.key) if status else None
    return (
        next((one for one in endpoint.revisions if one.revision == group.number), None)
        if endpoint
        else None
    )
