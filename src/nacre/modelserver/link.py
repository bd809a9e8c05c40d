"""One replica as a worker of the model server sees it: its socket, and what is under way on it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from nacre.modelserver import frames
from nacre.modelserver.backend import ModelFailed, Refused, ReplicaLost
from nacre.modelserver.frames import Frame, FrameError, Reader
from nacre.modelserver.liveness import IDLE_HUNG_S, LOOK_S, Health, Liveness
from nacre.modelserver.parts import Parts
from nacre.modelserver.replica_answers import Hello, RawAnswer, read_hello, read_outcome
from nacre.schema.serving import HUNG, ServedReplica

log = logging.getLogger(__name__)

UP = "up"
STREAMS = 64
"""Streams of a replica at once, in a worker."""

_HELLO_SECONDS = 10.0
_FIRST_WAIT, _LONGEST_WAIT = 0.05, 1.0

RawOutcome = RawAnswer | Parts | Exception


class Work:
    """A batch or a request. ``done`` gets its outcome, once, on the event loop.

    ``head`` lacks the id; ``outputs`` are the names that a batch wants.
    """

    __slots__ = ("_done", "gap_s", "head", "link", "number", "outputs", "over", "parts", "tail", "timer")

    def __init__(
        self,
        number: int,
        head: dict[str, Any],
        tail: list[bytes | memoryview],
        done: Callable[[Any], None],
        outputs: list[str] | None = None,
        gap_s: float = 0.0,
    ) -> None:
        self.number = number
        self.head = head
        self.tail = tail
        self.outputs = outputs
        self.gap_s = gap_s
        self.over = False
        self.link: Link | None = None
        self.parts: Parts | None = None
        self.timer: asyncio.TimerHandle | None = None
        self._done = done

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for it, or for more of it."""
        return not self.over or (self.parts is not None and self.parts.open)

    def end(self, outcome: object) -> None:
        """Pass the outcome on, the first time."""
        if self.over:
            return
        self.over = True
        self.tail = []
        if self.timer is not None:
            self.timer.cancel()
        self._done(outcome)


class _Socket(asyncio.BufferedProtocol):
    """The bytes of a connection; frames go to ``link``."""

    def __init__(self, link: Link, max_tail: int) -> None:
        self._link = link
        self._reader = Reader(max_tail)
        self.transport: asyncio.Transport | None = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.why = "it has closed the connection"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for frame in self._reader.advance(nbytes):
                self._link.take(frame)
        except FrameError as wrong:
            self.why = f"it does not keep to the protocol: {str(wrong)[:200]}"
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self.lost.done():
            self.lost.set_result(None)

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()


class Link:
    """Keeps a connection to one replica, as long as there is one to keep.

    ``accept`` judges its hello: why it cannot be used, or null. ``changed``: its state is another one;
    ``freed``: it has a place more than before. ``timeout_s``: seconds that its work may take at most.
    """

    def __init__(
        self,
        replica: ServedReplica,
        max_response_bytes: int,
        accept: Callable[[Hello], str | None],
        changed: Callable[[], None],
        freed: Callable[[], None],
        timeout_s: Callable[[], float],
    ) -> None:
        self.replica = replica
        self.state = "it was not reached yet"
        """``up``, or why it does not answer; beginning with ``HUNG``, when it never will again."""
        self.hello: Hello | None = None
        self.streams = 0
        self._max = max_response_bytes
        self._accept = accept
        self._changed = changed
        self._freed = freed
        self._timeout_s = timeout_s
        self._works: dict[int, Work] = {}
        self._socket: _Socket | None = None
        self._greeted: asyncio.Future[None] | None = None
        self._leaving = False
        self._retired = False
        self._health = Health.WELL
        self._loop = asyncio.get_running_loop()
        self._liveness = Liveness(self._loop.time())
        self._task = self._loop.create_task(self._keep())

    @property
    def open(self) -> bool:
        """Whether new work may be sent."""
        return self.state == UP and not self._leaving and not self._retired

    @property
    def busy(self) -> int:
        """Batches and requests under way, without streams."""
        return len(self._works) - self.streams

    # ---- connecting

    async def _keep(self) -> None:
        wait, away = _FIRST_WAIT, self._loop.time()
        while not self._retired:
            try:
                found = await self._connect()
            except (OSError, FrameError, ReplicaLost) as wrong:
                silent = self.hello is None and self._loop.time() - away > IDLE_HUNG_S
                self._say((HUNG if silent else "") + (str(wrong) or type(wrong).__name__))
            else:
                self._say(UP)
                await self._watch(found)
                self._lose(found.why)
                wait, away = _FIRST_WAIT, self._loop.time()
            self._socket = None
            await asyncio.sleep(wait)
            wait = min(wait * 2, _LONGEST_WAIT)

    async def _connect(self) -> _Socket:
        """A connection that has said hello."""
        self.hello, self._leaving = None, False
        self._greeted = self._loop.create_future()
        with _open(self.replica.socket) as path:
            _, found = await self._loop.create_unix_connection(lambda: _Socket(self, self._max), path)
        self._socket = found
        try:
            await asyncio.wait(
                (self._greeted, found.lost), timeout=_HELLO_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if self.hello is None:
                raise ReplicaLost(found.why if found.lost.done() else "it has not said hello")
            why = self._accept(self.hello)
            if why is not None:
                raise ReplicaLost(why)
            if self._leaving:  # its goodbye may have come too early for an answer
                self._write({"type": "goodbye"})
        except BaseException:
            found.close()
            raise
        return found

    async def _watch(self, found: _Socket) -> None:
        """Look again and again whether it still gets on, until the connection is lost."""
        self._health, self._liveness = Health.WELL, Liveness(self._loop.time())
        while True:
            await asyncio.wait((found.lost,), timeout=LOOK_S)
            if found.lost.done():
                return
            self._look()

    def _look(self) -> None:
        now, before = self._loop.time(), self._health
        self._health = self._liveness.look(now, bool(self._works), self._timeout_s())
        if self._health is Health.WELL:
            self._recover(before)
        elif self._health is not before and not self._leaving:
            said = f"it has answered nothing for {self._liveness.silent_s(now):.0f} s"
            if self._works:
                said += f", and has {len(self._works)} requests under way"
            self._say((HUNG if self._health is Health.HUNG else "") + said)
        if self.hello is not None and self.hello.ping and not self._liveness.asked:
            self._liveness.asked = True
            self._write({"type": "ping"})

    def _recover(self, before: Health) -> None:
        """It gets on again."""
        self._health = Health.WELL
        if before is not Health.WELL and not self._leaving:
            self._say(UP)

    def _say(self, state: str) -> None:
        if state != self.state:
            log.info("replica %s: %s", self.replica.id, state)
        self.state = state
        self._changed()

    def _lose(self, why: str) -> None:
        """Whatever was under way is lost; it may have been done, so it is not sent again."""
        self.state = why
        works, self._works, self.streams = list(self._works.values()), {}, 0
        lost = ReplicaLost("the replica died while it had this request: try again")
        for work in works:
            if work.parts is not None:
                work.parts.fail(lost)
            work.end(lost)
        self._say(why)

    # ---- work

    def send(self, work: Work) -> None:
        """Have the replica do it."""
        work.link = self
        if not self._works:
            self._liveness.begin(self._loop.time())
        self._works[work.number] = work
        self._write({**work.head, "id": work.number}, work.tail)
        work.tail = []

    def cancel(self, work: Work) -> None:
        """Nobody waits for it any more; the replica is busy with it until it says otherwise."""
        if work.number in self._works:
            self._write({"type": "cancel", "id": work.number})
            self._leave()

    def retire(self) -> None:
        """Send nothing more; what is under way is waited for, then the connection ends."""
        self._retired = True
        self._leave()

    def _leave(self) -> None:
        if self._retired and not any(work.wanted for work in self._works.values()):
            self._task.cancel()
            if self._socket is not None:
                self._socket.close()

    def _write(self, head: dict[str, Any], tail: list[bytes | memoryview] | None = None) -> None:
        if self._socket is not None and self._socket.transport is not None:
            self._socket.transport.writelines(frames.pack(head, tail or ()))

    # ---- frames

    def take(self, frame: Frame) -> None:
        """A frame has come. Raises :class:`FrameError`."""
        head = frame.head
        kind = head["type"]
        if self.hello is None:
            self.hello = read_hello(head)
            if self._greeted is not None and not self._greeted.done():
                self._greeted.set_result(None)
            return
        if kind == "pong":
            steps = head.get("steps")
            self._liveness.pong(
                self._loop.time(), steps if type(steps) is int else 0, head.get("working") is True
            )
            return
        self._liveness.progress(self._loop.time())
        if self._health is not Health.WELL:
            self._recover(self._health)
        if kind == "goodbye":
            self._leaving = True
            self._write({"type": "goodbye"})
            self._say("it ends")
        elif kind == "chunk":
            self._take_part(self._work(head), frame)
        elif kind in ("result", "raw_result", "error"):
            work = self._work(head)
            outcome = read_outcome(frame, work.outputs, self.hello.signature, self._max)
            self._forget(work)
            if work.parts is not None:
                broken = outcome if isinstance(outcome, Refused) else ModelFailed("the stream broke off")
                work.parts.fail(broken)
            self._freed()
            work.end(outcome)
        else:
            raise FrameError(f"there is no {kind[:40]!r}")

    def _work(self, head: dict[str, Any]) -> Work:
        number = head.get("id")
        work = self._works.get(number) if type(number) is int else None
        if work is None:
            raise FrameError("an answer to what was not asked")
        return work

    def _forget(self, work: Work) -> None:
        del self._works[work.number]
        self.streams -= work.parts is not None
        self._leave()

    def _take_part(self, work: Work, frame: Frame) -> None:
        if work.outputs is not None:
            raise FrameError("a stream is no answer to a batch")
        last = frame.head.get("last") is True
        if work.parts is None:
            stop = partial(self.cancel, work)
            work.parts = Parts(partial(self._taken, work.number), stop, work.gap_s)
            self.streams += 1
            if work.over:
                work.parts.open = False
            self._freed()
            work.end(work.parts)
        if frame.tail is None:
            work.parts.fail(Refused(500, f"a part of the stream is over the limit of {self._max} bytes"))
            self.cancel(work)
        else:
            work.parts.feed(bytes(frame.tail))
        if last:
            self._forget(work)
            work.parts.end()
            self._freed()

    def _taken(self, number: int, count: int) -> None:
        self._write({"type": "more", "id": number, "bytes": count})


class _open(contextlib.AbstractContextManager[str]):  # noqa: N801 - used as a function
    """A path that leads to the very socket file, however long its own is.

    The folder belongs to users' work: a link in it could lead to any socket of the host.
    Raises :class:`ReplicaLost`.
    """

    def __init__(self, path: str) -> None:
        try:
            self._fd = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as wrong:
            raise ReplicaLost("it does not listen yet") from wrong
        if not stat.S_ISSOCK(os.fstat(self._fd).st_mode):
            os.close(self._fd)
            raise ReplicaLost(f"{os.path.basename(path)} is not a socket")

    def __enter__(self) -> str:
        return f"/proc/self/fd/{self._fd}"

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
