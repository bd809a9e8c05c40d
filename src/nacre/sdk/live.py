"""``client.live()``: updates as they happen, over one WebSocket that comes back by itself.

with client.live() as live:
    live.run("digits", keys=["loss", "val/*"])
    for update in live:
        print(update.data)
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Literal

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection

from nacre.errors import NacreError, Unavailable, from_problem
from nacre.schema.charts import View
from nacre.schema.live import Cursor, LiveSubscribe, LiveUpdate
from nacre.schema.nouns import find_operation
from nacre.sdk.resources.base import Noun
from nacre.sdk.sockets import dial
from nacre.sdk.transport import Transport

_PATIENCE_S = 120.0
_MAX_BYTES = 64 * 2**20
_LATE_S = 3.0


class LiveConnection:
    """A connection with subscriptions, and an iterator over their updates.

    It reconnects with the cursors that it holds: nothing is lost, nothing comes twice. An update counts as
    received once the iterator gave it. Not for several threads at once, except :meth:`close`.
    """

    def __init__(self, transport: Transport, project: str, *, patience_s: float = _PATIENCE_S) -> None:
        self._transport = transport
        self._project = project
        self._patience_s = patience_s
        self._socket: ClientConnection | None = None
        self._held = ExitStack()
        self._wanted: dict[str, dict[str, Any]] = {}
        self._came: deque[dict[str, Any]] = deque()
        self._heartbeat_s = 15.0
        self._closed = False
        self._count = 0
        self.connects = 0
        """How many times it has connected."""

    # Subscriptions

    def run(
        self,
        run: str,
        *,
        keys: Sequence[str] | None = None,
        cursor: Cursor | None = None,
        id: str | None = None,  # noqa: A002 - the protocol's word
        project: str | None = None,
    ) -> str:
        """Watch a run: state, params, tags, and the points of its metrics from now on (or from a cursor;
        ``{}`` is the beginning). Returns the subscription's id."""
        more = {"keys": None if keys is None else [*keys]}
        return self.subscribe("run", run, cursor=cursor, id=id, project=project, **more)

    def runs(
        self,
        filter: str = "",  # noqa: A002
        *,
        order_by: Sequence[str] = (),
        experiments: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        view: View = "active",
        limit: int = 100,
        cursor: Cursor | None = None,
        id: str | None = None,  # noqa: A002
        project: str | None = None,
    ) -> str:
        """Watch the first rows of the table of runs."""
        more = {"filter": filter, "order_by": [*order_by], "view": view, "limit": limit}
        more |= {
            "experiments": None if experiments is None else [*experiments],
            "columns": None if columns is None else [*columns],
        }
        return self.subscribe("runs", None, cursor=cursor, id=id, project=project, **more)

    def job(self, job: str, *, cursor: Cursor | None = None, project: str | None = None) -> str:
        """Watch a job's state."""
        return self.subscribe("job", job, cursor=cursor, project=project)

    def jobs(
        self,
        *,
        active: bool = False,
        limit: int = 100,
        cursor: Cursor | None = None,
        project: str | None = None,
    ) -> str:
        """Watch the latest jobs."""
        return self.subscribe("jobs", None, cursor=cursor, project=project, active=active, limit=limit)

    def log(
        self,
        job: str,
        *,
        tail: int | None = None,
        encoding: Literal["text", "base64"] = "text",
        cursor: Cursor | None = None,
        project: str | None = None,
    ) -> str:
        """Watch a job's log, from its beginning or its last lines."""
        return self.subscribe("log", job, cursor=cursor, project=project, tail=tail, encoding=encoding)

    def events(self, *, cursor: Cursor | None = None, project: str | None = None) -> str:
        """Watch what happens in a project."""
        return self.subscribe("events", None, cursor=cursor, project=project)

    def subscribe(
        self,
        topic: str,
        name: str | None,
        *,
        cursor: Cursor | None = None,
        id: str | None = None,  # noqa: A002
        project: str | None = None,
        **more: Any,
    ) -> str:
        """Watch anything; the subscription's id."""
        self._count += 1
        made = LiveSubscribe.model_validate(
            {
                "op": "subscribe",
                "id": id or f"s{self._count}",
                "topic": topic,
                "name": name,
                "project": project or self._project,
                "cursor": cursor,
                **more,
            }
        )
        self._wanted[made.id] = made.model_dump(mode="json", exclude_defaults=True) | {"op": "subscribe"}
        if self._socket is not None:
            self._say(self._wanted[made.id])
        return made.id

    def unsubscribe(self, id: str) -> None:  # noqa: A002
        """End a subscription; what is on its way is dropped."""
        if self._wanted.pop(id, None) is not None and self._socket is not None:
            self._say({"op": "unsubscribe", "id": id})

    def cursor(self, id: str) -> Cursor | None:  # noqa: A002
        """The cursor that a subscription has reached: give it to another one to go on from there."""
        found: Cursor | None = self._wanted[id].get("cursor")
        return found

    # Updates

    def __iter__(self) -> Iterator[LiveUpdate]:
        return self

    def __next__(self) -> LiveUpdate:
        found = self.next()
        if found is None:
            raise StopIteration
        return found

    def next(self, timeout_s: float | None = None) -> LiveUpdate | None:
        """The next update; null when the time is up, when nothing is watched, or after :meth:`close`.

        Raises:
            NacreError: the server ended a subscription (``extra["subscription"]`` is its id; the others go
                on) or the connection, because the token is no longer good.
            Unavailable: the server has been away for too long.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._closed and self._wanted:
            message = self._hear(deadline)
            if message is None:
                return None
            if message.get("op") == "error":
                self._failed(message)
            if message.get("op") != "update" or message.get("id") not in self._wanted:
                continue
            held = self._wanted[message["id"]]
            changed = {**(held.get("cursor") or {}), **message["cursor"]}
            held["cursor"] = {name: value for name, value in changed.items() if value is not None}
            return LiveUpdate.model_validate(message)
        return None

    def _failed(self, message: dict[str, Any]) -> None:
        error = from_problem(message["error"].get("status", 500), message["error"])
        if "id" in message:
            self._wanted.pop(message["id"], None)
            error.extra["subscription"] = message["id"]
        elif error.status in (401, 403, 429):
            self.close()
        raise error

    def _hear(self, deadline: float | None) -> dict[str, Any] | None:
        """The next message, over a new connection when the old one is gone; null when the time is up."""
        failing_since: float | None = None
        pause = 0.1
        while not self._closed:
            with suppress(IndexError):
                return self._came.popleft()
            if deadline is not None and time.monotonic() >= deadline:
                return None
            try:
                socket = self._socket or self._connect()
                longest = self._heartbeat_s * _LATE_S
                left = longest if deadline is None else min(longest, max(0.0, deadline - time.monotonic()))
                found = json.loads(socket.recv(timeout=left))
                self._came.extend(found if isinstance(found, list) else [found])
            except TimeoutError:
                if deadline is None or time.monotonic() < deadline:
                    self._drop()  # not even a heartbeat came
            except (ConnectionClosed, OSError, Unavailable) as error:
                self._drop()
                now = time.monotonic()
                failing_since = failing_since or now
                if now - failing_since > self._patience_s:
                    raise Unavailable(f"the server has been away for too long: {error}") from error
                if self._closed:
                    return None
                time.sleep(pause if deadline is None else max(0.0, min(pause, deadline - now)))
                pause = min(pause * 2, 5.0)
        return None

    def _connect(self) -> ClientConnection:
        path = find_operation("live.connect").path + "?bundle=true"
        try:
            socket = self._held.enter_context(dial(self._transport, path, max_size=_MAX_BYTES))
        except InvalidStatus as error:
            raise self._refused(error) from error
        except (InvalidHandshake, TimeoutError, EOFError) as error:
            raise Unavailable(
                f"{self._transport.url} answers, but not with live updates: {error}"
            ) from error
        self._socket = socket
        self.connects += 1
        for wanted in self._wanted.values():
            self._say(wanted)
        return socket

    def _refused(self, error: InvalidStatus) -> NacreError:
        status = error.response.status_code
        return Unavailable(f"the server answered {status}: does it speak Nacre's live updates?")

    def _say(self, message: dict[str, Any]) -> None:
        with suppress(ConnectionClosed, OSError):  # heard again when it reconnects
            if self._socket is not None:
                self._socket.send(json.dumps(message))

    def _drop(self) -> None:
        self._socket = None
        self._came.clear()  # what was not given is told again, past the cursors that are held
        with suppress(ConnectionClosed, OSError):
            self._held.close()

    def close(self) -> None:
        """Close the connection; iteration ends."""
        self._closed = True
        self._drop()

    def __enter__(self) -> LiveConnection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Live(Noun):
    """Live updates. ``client.live()`` is ``client.live.connect()``."""

    def connect(self, *, patience_s: float = _PATIENCE_S, project: str | None = None) -> LiveConnection:
        """A connection to subscribe with; it is opened when the first update is asked for.

        ``patience_s``: how long the server may be away.
        """
        return LiveConnection(self._transport, self._in(project), patience_s=patience_s)

    def __call__(self, *, patience_s: float = _PATIENCE_S, project: str | None = None) -> LiveConnection:
        """The same as :meth:`connect`."""
        return self.connect(patience_s=patience_s, project=project)
