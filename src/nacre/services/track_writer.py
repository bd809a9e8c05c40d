"""The writer of the hot path: one thread that brings in all that waits, in one transaction.

Callers are answered after the commit. While one group is being committed the next gathers, so the busier
it is the fewer commits a point costs. What a batch is refused with is its own; an error of the database
leaves its group waiting (locked, gone) or fails it (full, damaged), after a rollback.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

from nacre.db.connect import Database
from nacre.db.raw import Raw
from nacre.errors import InternalError, InvalidSpec, NacreError, Unavailable
from nacre.services.signals import Signals
from nacre.services.track_ahead import Ahead
from nacre.services.track_core import Group, Outcome, TrackBatch

__all__ = ["TrackBatch", "TrackWriter"]

_log = logging.getLogger("nacre.tracking")

SEAL_TOPIC = "tracking-seal"
"""Notified when a tail is long enough to be sealed."""
_GROUP_POINTS = 10_000
_GROUP_BATCHES = 500
_RETRY_AFTER_S = 5
_SLICE_S = 1.0  # the longest wait for a lock before deadlines are looked at again
_SQLITE_BUSY = (5, 6)  # SQLITE_BUSY, SQLITE_LOCKED
_AGAIN = ("08", "40", "55P03", "57P", "25P03")  # PostgreSQL: lost, deadlock, locked, shutting down


class _Entry:
    """A batch that waits. ``settle`` is called once, by whoever is first."""

    __slots__ = ("batch", "deadline", "error", "future", "gate", "loop", "points", "settled", "size")

    def __init__(self, batch: TrackBatch, deadline: float) -> None:
        self.batch = batch
        self.deadline = deadline
        self.points = len(batch.metrics)
        texts = sum(len(key) + len(value) for key, value in (*batch.params, *batch.tags))
        self.size = 500 + 180 * self.points + 2 * texts
        self.error: NacreError | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.future: asyncio.Future[None] | None = None
        self.gate: threading.Event | None = None
        self.settled = False


class TrackWriter:
    """Group commit for batches of records.

    At most ``max_points`` points and ``max_bytes`` (estimated) wait; who comes then waits for room, and
    gets Unavailable with ``retry_after_s`` after ``patience_s``, as does who waited so long for the commit.
    Such a batch may still have been applied: sending it again is right, and counts once.
    """

    def __init__(
        self,
        db: Database,
        signals: Signals,
        *,
        patience_s: float = 40.0,
        max_points: int = 100_000,
        max_bytes: int = 32 * 2**20,
    ) -> None:
        self._db = db
        self._signals = signals
        self._patience_s = patience_s
        self._max_points = max_points
        self._max_bytes = max_bytes
        self._queue: SimpleQueue[_Entry | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._points = self._bytes = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._raw: Raw | None = None
        self._ahead = Ahead()
        self._thread: threading.Thread | None = None
        self._open = False
        self._ending = threading.Event()
        self._dbapi: Any = db.engine.dialect.loaded_dbapi
        self._due: set[int] = set()

    # Starting and stopping

    def start(self) -> None:
        """Start the thread."""
        self._ending.clear()
        self._open = True
        self._thread = threading.Thread(target=self._run, name="nacre-track-writer", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Bring in what waits, then end. What the database does not take in time gets Unavailable."""
        with self._lock:
            if not self._open:
                return
            self._open = False
        self._queue.put(None)
        assert self._thread is not None
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self._ending.set()
            self._thread.join(5)

    # Writing

    def write(self, batch: TrackBatch) -> None:
        """Bring a batch in; returns after the commit.

        Raises:
            NotFound: there is no such run in the project, or it is in the trash.
            Conflict: a param has another value (``strict_params``).
            InvalidSpec: something in it cannot be stored.
            Unavailable: the database did not take it in time.
        """
        entry = _Entry(batch, time.monotonic() + self._patience_s)
        entry.gate = threading.Event()
        while not self._offer(entry):
            room = threading.Event()
            self._wait_for_room(room.set)
            if not room.wait(entry.deadline - time.monotonic()):
                raise _unavailable("too much is being logged at once")
        if not entry.gate.wait(self._patience_s + 2 * _SLICE_S):
            entry.settled = True
            raise _unavailable("the database did not answer")
        if entry.error is not None:
            raise entry.error

    async def write_async(self, batch: TrackBatch) -> None:
        """The same for a coroutine."""
        loop = asyncio.get_running_loop()
        entry = _Entry(batch, time.monotonic() + self._patience_s)
        entry.loop, entry.future = loop, loop.create_future()
        net = loop.call_later(self._patience_s + 2 * _SLICE_S, _give_up, entry)
        try:
            while not self._offer(entry):
                room = loop.create_future()
                self._wait_for_room(lambda room=room: loop.call_soon_threadsafe(_set, room))  # type: ignore[misc]
                try:
                    await asyncio.wait_for(room, max(0.0, entry.deadline - time.monotonic()))
                except TimeoutError:
                    raise _unavailable("too much is being logged at once") from None
            await entry.future
        finally:
            net.cancel()

    def take_due(self) -> list[int]:
        """Ids of series whose tails are to be sealed, each given once."""
        with self._lock:
            due, self._due = sorted(self._due), set()
        return due

    def _offer(self, entry: _Entry) -> bool:
        with self._lock:
            if not self._open:
                raise _unavailable("the server is stopping")
            full = (
                self._points + entry.points > self._max_points or self._bytes + entry.size > self._max_bytes
            )
            if full and self._bytes:
                return False
            self._points += entry.points
            self._bytes += entry.size
            self._queue.put(entry)
            return True

    def _wait_for_room(self, wake: Callable[[], object]) -> None:
        with self._lock:
            if self._bytes:
                self._waiting.append(wake)  # type: ignore[arg-type]
                return
        wake()

    # The thread

    def _run(self) -> None:
        more = True
        while more:
            first = self._queue.get()
            if first is None:
                break
            group, points = [first], first.points
            while points < _GROUP_POINTS and len(group) < _GROUP_BATCHES and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    more = False
                    break
                group.append(following)
                points += following.points
            try:
                self._bring(group)
            except Exception as error:
                _log.exception("the writer failed; it goes on")
                self._settle([(entry, _unavailable(f"the writer failed: {error}")) for entry in group])
            self._release(group)
        self._disconnect()

    def _release(self, group: list[_Entry]) -> None:
        with self._lock:
            self._points -= sum(entry.points for entry in group)
            self._bytes -= sum(entry.size for entry in group)
            waiting = list(self._waiting)
            self._waiting.clear()
        for wake in waiting:
            wake()

    def _bring(self, group: list[_Entry]) -> None:
        """Apply a group, again and again while the database is locked or gone."""
        pause = 0.02
        while group := self._patient(group):
            try:
                outcome = self._transact([entry.batch for entry in group])
            except Exception as error:
                verdict = self._verdict(error)
                self._roll_back(verdict)
                if verdict in ("data", "defect") and len(group) > 1:
                    for entry in group:
                        self._bring([entry])
                    return
                if verdict == "defect":
                    _log.exception("a batch was refused because of a defect")
                if verdict != "again":
                    self._settle([(entry, _refusal(error, verdict)) for entry in group])
                    return
                if pause == 0.02:
                    _log.warning("tracking waits for the database: %s", error)
                self._ending.wait(pause)
                pause = min(2 * pause, _SLICE_S)
                continue
            self._settle(list(zip(group, outcome.errors, strict=True)))
            self._tell(outcome)
            return

    def _patient(self, group: list[_Entry]) -> list[_Entry]:
        """Those that still wait; the others are told to come again."""
        now = time.monotonic()
        if all(entry.deadline > now and not entry.settled for entry in group) and not self._ending.is_set():
            return group
        over = [e for e in group if e.deadline <= now or e.settled or self._ending.is_set()]
        self._settle([(entry, _unavailable("the database is locked or gone")) for entry in over])
        return [entry for entry in group if not entry.settled]

    def _transact(self, batches: Sequence[TrackBatch]) -> Outcome:
        with self._db.exclusive(_SLICE_S):
            raw = self._raw or self._connect()
            if not raw.sqlite and (
                done := self._ahead.bring(raw, batches, self._dbapi.errors.DivisionByZero)
            ):
                return done
            group = Group(raw, batches)
            group.read(begin="BEGIN IMMEDIATE" if raw.sqlite else "BEGIN")
            outcome = group.decide()
            group.write(outcome, commit="COMMIT")
            if not raw.sqlite:
                self._ahead.remember(group)
            return outcome

    def _connect(self) -> Raw:
        connection = self._db.own_connection()
        if self._db.sqlite:
            connection.execute(f"PRAGMA busy_timeout={int(_SLICE_S * 1000)}")
        else:
            connection.autocommit = True
            connection.execute(f"SET lock_timeout = '{int(_SLICE_S * 1000)}ms'")
            connection.execute("SET statement_timeout = '30s'")
        self._raw = Raw(connection, sqlite=self._db.sqlite)
        return self._raw

    def _disconnect(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None:
            try:
                raw.connection.close()
            except self._dbapi.Error as error:
                _log.debug("closing: %s", error)

    def _roll_back(self, verdict: str) -> None:
        """End the transaction; a connection that cannot even do that, or may be broken, is closed."""
        if self._raw is None:
            return
        try:
            if not self._raw.sqlite or self._raw.connection.in_transaction:
                self._raw.connection.execute("ROLLBACK")
        except self._dbapi.Error:
            verdict = "broken"
        if verdict == "broken":
            self._disconnect()

    def _verdict(self, error: Exception) -> str:
        """``again``: it may work soon. ``data``: something in a batch. ``broken``: the database, for
        longer. ``defect``: none of these."""
        if isinstance(error, Unavailable):
            return "again"
        if isinstance(error, TypeError | ValueError | OverflowError):
            return "data"
        if not isinstance(error, self._dbapi.Error):
            return "defect"
        if not isinstance(error, self._dbapi.OperationalError):
            return "broken" if type(error) in (self._dbapi.Error, self._dbapi.DatabaseError) else "data"
        if self._db.sqlite:
            busy = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF in _SQLITE_BUSY
            return "again" if busy else "broken"
        state = getattr(error, "sqlstate", None)
        return "again" if state is None or state.startswith(_AGAIN) else "broken"

    def _settle(self, results: Sequence[tuple[_Entry, NacreError | None]]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[_Entry]] = {}
        for entry, error in results:
            if entry.settled:
                continue
            entry.settled = True
            entry.error = error
            if entry.gate is not None:
                entry.gate.set()
            elif entry.loop is not None:
                loops.setdefault(entry.loop, []).append(entry)
        for loop, entries in loops.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(_answer, entries)

    def _tell(self, outcome: Outcome) -> None:
        if outcome.runs:
            self._signals.notify(*(f"run:{run}" for run in outcome.runs))
        if outcome.due:
            with self._lock:
                fresh = not self._due
                self._due.update(outcome.due)
            if fresh:
                self._signals.notify(SEAL_TOPIC)


def _answer(entries: list[_Entry]) -> None:
    for entry in entries:
        future = entry.future
        if future is None or future.done():
            continue
        if entry.error is None:
            future.set_result(None)
        else:
            future.set_exception(entry.error)


def _give_up(entry: _Entry) -> None:
    entry.settled = True
    if entry.future is not None and not entry.future.done():
        entry.future.set_exception(_unavailable("the database did not answer"))


def _set(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)


def _unavailable(why: str) -> Unavailable:
    return Unavailable(f"{why}: send it again in a few seconds", retry_after_s=_RETRY_AFTER_S)


def _refusal(error: Exception, verdict: str) -> NacreError:
    words = " ".join(str(error).split())
    if verdict == "data":
        return InvalidSpec(f"the database cannot store this: {words}")
    if verdict == "defect":
        return InternalError(f"the batch could not be stored ({words}): the server's log says more")
    return _unavailable(f"the database cannot answer ({words})")
