"""The replica's side of the connections: takes frames, has the model run, answers.

One thread reads each connection and answers at once what needs no model. The model's own thread (or
threads) takes one piece of work after the other: a batch, a request, or one step of a stream, so that
several streams take turns. The main thread accepts connections and is the one that signals reach.
"""

from __future__ import annotations

import contextlib
import json
import queue
import select
import socket
import struct
import threading
import time
from typing import Any, Callable, Iterator, Optional, Sequence  # noqa: UP035 - Python 3.8

from nacre.modelserver import frames
from nacre.modelserver.frames import WINDOW, Frame, FrameError, Reader, pack
from nacre.modelserver.replica.predictors.base import (
    BadInput,
    RawAnswer,
    RawRequest,
    Signed,
    trace,
)
from nacre.modelserver.replica.predictors.custom import event

_MAX_TAIL = 1 << 33
"""The model server has checked every request; this is against a broken one."""
_BUFFERS = 256
_STUCK_SECONDS = 30
_STREAM = "text/event-stream"


class Link:
    """A connection from one worker of the model server."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        self._lock = threading.Lock()
        self.tasks: dict[int, Task] = {}
        self.quiet = False
        """Whether nothing new comes from it."""
        # A model server that takes nothing for so long is given up: the model must not wait for it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", _STUCK_SECONDS, 0))

    def send(self, head: dict[str, Any], tail: Sequence[bytes | memoryview] = ()) -> None:
        """Send a frame whole; a connection that is broken is closed."""
        parts = [memoryview(part) for part in pack(head, tail) if len(part)]
        try:
            with self._lock:
                while parts:
                    sent = self._sock.sendmsg(parts[:_BUFFERS])
                    while parts and sent >= len(parts[0]):
                        sent -= len(parts.pop(0))
                    if sent:
                        parts[0] = parts[0][sent:]
        except OSError:
            self.close()

    def close(self) -> None:
        """Wake the reading thread, which ends the connection."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def read(self) -> None:
        """Take frames until the other side is gone; then nobody waits for what it asked."""
        reader = Reader(_MAX_TAIL)
        try:
            while True:
                count = self._sock.recv_into(reader.buffer())
                if not count:
                    return
                for frame in reader.advance(count):
                    self._take(frame)
        except (OSError, FrameError):
            return
        finally:
            self._server.gone(self)
            with self._lock:
                self._sock.close()

    def _take(self, frame: Frame) -> None:
        head = frame.head
        kind, number = head["type"], head.get("id")
        if kind == "ping":
            self.send(self._server.pong())
            return
        if kind == "goodbye":
            self.quiet = True
            self._server.changed()
            return
        if type(number) is not int:
            raise FrameError(f"{kind} has no id")
        if kind in ("infer", "raw"):
            make = Inference if kind == "infer" else Exchange
            self._server.add(make(self._server, self, number, frame))
            return
        task = self.tasks.get(number)
        if task is not None and kind == "cancel":
            task.cancel()
        elif task is not None and kind == "more":
            task.more(head.get("bytes", 0))


class Task:
    """A piece of work that was asked for. ``step`` runs on a thread of the model."""

    def __init__(self, server: Server, link: Link, number: int, frame: Frame) -> None:
        self.link = link
        self.number = number
        self.cancelled = False
        self._server = server
        self._frame: Optional[Frame] = frame  # noqa: UP045 - Python 3.8

    def cancel(self) -> None:
        """Nobody waits for the answer any more."""
        self.cancelled = True

    def more(self, count: int) -> None:
        """So many bytes of a stream were taken."""

    def step(self, model: Signed) -> None:
        """Do the work, or the next part of it; never raises."""
        if self.cancelled:
            self._fail("cancelled", "nobody waits for this any more")
            return
        try:
            self._work(model)
        except BadInput as error:
            self._fail("bad_request", str(error))
        except MemoryError as error:
            trace(error)
            self._fail("overloaded", "there was not enough memory for this request")
        except BaseException as error:  # a model may even call sys.exit
            trace(error)
            self._fail("failed", f"the model failed on this input: {model.predictor.explain(error)}")

    def _work(self, model: Signed) -> None:
        raise NotImplementedError

    def _take_frame(self) -> tuple[dict[str, Any], memoryview]:
        """The request, which is not kept while the model runs."""
        frame, self._frame = self._frame, None
        assert frame is not None
        if frame.tail is None:
            raise BadInput("the request is too large for a replica")
        return frame.head, frame.tail

    def _fail(self, kind: str, text: str) -> None:
        self._end({"type": "error", "kind": kind, "message": text[:2000]})

    def _end(self, head: dict[str, Any], tail: Sequence[bytes | memoryview] = ()) -> None:
        """Send the last frame."""
        self.link.send({**head, "id": self.number}, tail)
        self._server.done(self)


class Inference(Task):
    """A batch of tensors."""

    def _work(self, model: Signed) -> None:
        head, tail = self._take_frame()
        try:
            feed = frames.tensors(head.get("inputs"), tail)
        except FrameError as error:
            raise BadInput(str(error)) from error
        answer = model.infer([str(name) for name in head.get("outputs", [])], feed)
        parts = [frames.describe(one["name"], one["array"], one["datatype"]) for one in answer]
        head = {"type": "result", "outputs": [described for described, _ in parts]}
        self._end(head, [raw for _, raw in parts])


class Exchange(Task):
    """A request as it came, and its answer: whole, or a stream of which each step sends a part."""

    def __init__(self, server: Server, link: Link, number: int, frame: Frame) -> None:
        super().__init__(server, link, number, frame)
        self._parts: Optional[Iterator[bytes]] = None  # noqa: UP045 - Python 3.8
        self._begun = False
        self._room = WINDOW
        self._parked = False
        self._lock = threading.Lock()

    def cancel(self) -> None:
        """A stream that waits for its reader is taken up again, to be closed."""
        with self._lock:
            self.cancelled = True
            parked, self._parked = self._parked, False
        if parked:
            self._server.again(self)

    def more(self, count: int) -> None:
        """Go on when it waited."""
        with self._lock:
            self._room += count
            parked = self._parked and self._room > 0
            if parked:
                self._parked = False
        if parked:
            self._server.again(self)

    def _work(self, model: Signed) -> None:
        if self._parts is None:
            answer = self._answer(model)
            if isinstance(answer, RawAnswer):
                head = {"type": "raw_result", "status": answer.status, "content_type": answer.content_type}
                self._end(head, [answer.body])
                return
            self._parts = iter(answer)
        try:
            part = next(self._parts)
        except StopIteration:
            self._end({"type": "chunk", "last": True})
            return
        except Exception as error:
            if not self._begun:
                raise
            trace(error)
            self._end({"type": "chunk", "last": True}, [broken(model.predictor.explain(error))])
            return
        self._begun = True
        self.link.send({"type": "chunk", "id": self.number, "last": False}, [part])
        with self._lock:
            self._room -= len(part)
            self._parked = self._room <= 0 and not self.cancelled
            parked = self._parked
        if not parked:
            self._server.again(self)

    def _end(self, head: dict[str, Any], tail: Sequence[bytes | memoryview] = ()) -> None:
        """A stream that is not at its end is closed, on the thread that ran it."""
        close = getattr(self._parts, "close", None)
        if close is not None:
            try:
                close()
            except BaseException as error:
                trace(error)
        super()._end(head, tail)

    def _answer(self, model: Signed) -> Any:
        head, tail = self._take_frame()
        headers = head.get("headers")
        request = RawRequest(
            str(head.get("method", "POST")),
            str(head.get("path", "")),
            {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {},
            tail,
        )
        return model.predictor.answer(request)


def broken(text: str) -> bytes:
    """The event that ends a stream that failed."""
    return event(f'{{"error": {json.dumps(text)}}}'.encode(), "error")


class Server:
    """Runs a model for the connections of a socket.

    ``load`` makes the model, on the thread that will run it.
    """

    def __init__(self, load: Callable[[], Signed], threads: int = 1) -> None:
        self._load = load
        self._threads = threads
        self._model: Optional[Signed] = None  # noqa: UP045 - Python 3.8
        self._work: queue.SimpleQueue[Optional[Task]] = queue.SimpleQueue()  # noqa: UP045
        self._links: set[Link] = set()
        self._under_way = 0
        self._steps = 0
        self._stepping = 0
        self._change = threading.Condition()
        self._ending = False

    def start(self) -> None:
        """Load the model. Raises what loading it raises."""
        loaded = threading.Event()
        failure: list[BaseException] = []

        def first() -> None:
            try:
                self._model = self._load()
            except BaseException as error:
                failure.append(error)
                return
            finally:
                loaded.set()
            self._run()

        threading.Thread(target=first, name="model", daemon=True).start()
        loaded.wait()
        if failure:
            raise failure[0]
        for number in range(1, self._threads):
            threading.Thread(target=self._run, name=f"model-{number}", daemon=True).start()

    def _run(self) -> None:
        assert self._model is not None
        while True:
            task = self._work.get()
            assert task is not None
            self._count(1)
            task.step(self._model)
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._change:
            self._steps += 1
            self._stepping += step

    def pong(self) -> dict[str, Any]:
        """Whether the model gets on, as :mod:`nacre.modelserver.frames` says."""
        with self._change:
            working = self._stepping > 0 or not self._work.empty()
            return {"type": "pong", "steps": self._steps, "working": working}

    def serve(self, listener: socket.socket, end: socket.socket) -> None:
        """Accept connections until there is something to read from ``end``."""
        while True:
            ready, _, _ = select.select([listener, end], [], [])
            if end in ready:
                return
            sock, _ = listener.accept()
            link = Link(self, sock)
            with self._change:
                self._links.add(link)
            link.send(self._hello())
            threading.Thread(target=link.read, name="connection", daemon=True).start()

    def _hello(self) -> dict[str, Any]:
        model = self._model
        assert model is not None
        predictor = model.predictor
        return {
            "type": "hello",
            "signature": model.signature,
            "raw": predictor.raw,
            "stream": predictor.stream,
            "max_batch": model.max_batch,
            "framework": predictor.framework,
            "ping": True,
        }

    def drain(self, grace_s: float) -> bool:
        """Say goodbye, and finish what is under way; whether that was done in time."""
        until = time.monotonic() + grace_s
        with self._change:
            self._ending = True
            links = list(self._links)
        for link in links:
            link.send({"type": "goodbye"})
        with self._change:
            while self._under_way or any(not link.quiet for link in self._links):
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._change.wait(left)
        return True

    # ---- what connections and tasks call

    def add(self, task: Task) -> None:
        """Work that was asked for."""
        with self._change:
            task.link.tasks[task.number] = task
            self._under_way += 1
        self._work.put(task)

    def again(self, task: Task) -> None:
        """A stream has another step to do, after those who wait already."""
        self._work.put(task)

    def done(self, task: Task) -> None:
        """Its last frame was sent."""
        with self._change:
            task.link.tasks.pop(task.number, None)
            self._under_way -= 1
            self._change.notify_all()

    def gone(self, link: Link) -> None:
        """A connection has ended."""
        with self._change:
            self._links.discard(link)
            tasks = list(link.tasks.values())
            self._change.notify_all()
        for task in tasks:
            task.cancel()

    def changed(self) -> None:
        """Look again whether all is done."""
        with self._change:
            self._change.notify_all()
