"""A content listener on loopback, an instance, and a small program behind a unix socket in JupyterLab's
place, which tells what it was sent."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import httpx
import uvicorn
from tests.conftest import People

from nacre.clock import FixedClock
from nacre.db.connect import Database
from nacre.db.tables.instances import InstanceRow
from nacre.domain.identity import Caller
from nacre.proxy.content import make_content_app
from nacre.proxy.sockets import MAX_MESSAGE
from nacre.schema.instances import InstanceState
from nacre.services.events import Events
from nacre.services.instance_door import InstanceDoor
from nacre.services.registry import Services
from nacre.services.signals import Signals
from nacre.services.tokens import Tokens

JUPYTER_TOKEN = "the-token-of-jupyter"
INSTANCE = "ins_1"


@contextmanager
def serving(app: Any, listener: socket.socket) -> Iterator[None]:
    """Run an ASGI application in a thread until the block ends."""
    config = uvicorn.Config(app, lifespan="on", log_level="critical", ws_max_size=MAX_MESSAGE)
    config.timeout_graceful_shutdown = 2
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started)
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()


def until(wanted: Any, seconds: float = 10.0) -> None:
    """Wait until it is so."""
    end = time.monotonic() + seconds
    while not wanted():
        assert time.monotonic() < end, "it did not come to be so in time"
        time.sleep(0.01)


class Work:
    """The program of the user: an ASGI application that plays JupyterLab.

    ``/…/echo`` tells what it got; ``/…/drip`` answers piece by piece, each when ``drip`` is released;
    ``/…/breaks`` breaks off; ``/…/evil`` sends headers that would act on the whole origin; a WebSocket
    echoes, says what it was sent on ``headers``, and closes with 4001 on ``close``.
    """

    def __init__(self) -> None:
        self.drip = threading.Semaphore(0)
        self.left = threading.Event()
        self.uploaded = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await getattr(self, "_" + scope["path"].rsplit("/", 1)[1], self._echo)(scope, receive, send)

    async def _echo(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            self.uploaded = len(body)
            more = message.get("more_body", False)
        told = {
            "method": scope["method"],
            "raw_path": scope["raw_path"].decode(),
            "query": scope["query_string"].decode(),
            "headers": [[k.decode(), v.decode()] for k, v in scope["headers"]],
            "size": len(body),
            "start": body[:100].decode("latin-1"),
        }
        headers = [
            (b"content-type", b"application/json"),
            (b"set-cookie", b"_xsrf=one; Path=/instances/ins_1/"),
            (b"set-cookie", b"username=two; Path=/instances/ins_1/"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})

    async def _gzip(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-encoding", b"gzip"), (b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 203, "headers": headers})
        await send({"type": "http.response.body", "body": b"not really gzip"})

    async def _drip(self, scope: Any, receive: Any, send: Any) -> None:
        gone = asyncio.ensure_future(self._gone(receive))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for piece in range(3):
            while not self.drip.acquire(blocking=False):
                await asyncio.sleep(0.01)
                if gone.done():
                    self.left.set()
                    return
            await send({"type": "http.response.body", "body": b"%d" % piece, "more_body": True})
        gone.cancel()
        await send({"type": "http.response.body", "body": b""})

    async def _gone(self, receive: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def _breaks(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async def _evil(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [
            (b"service-worker-allowed", b"/"),
            (b"clear-site-data", b'"*"'),
            (b"strict-transport-security", b"max-age=1000000"),
            (b"set-cookie", b"nacre_content=mine; Path=/"),
            (b"set-cookie", b"nacre_session=mine; Path=/; HttpOnly"),
            (b"set-cookie", b"=nacre_session=mine; Path=/api"),
            (b"x-frame-options", b"DENY"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _websocket(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        if scope["path"].endswith("/refuses"):
            await send({"type": "websocket.close", "code": 1000})
            return
        offered = scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": offered[-1] if offered else None})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "headers":
                told = [[k.decode(), v.decode()] for k, v in scope["headers"]]
                told.append([":target", f"{scope['raw_path'].decode()}?{scope['query_string'].decode()}"])
                await send({"type": "websocket.send", "text": json.dumps(told)})
            elif message.get("text") == "close":
                await send({"type": "websocket.close", "code": 4001, "reason": "as you wish"})
            else:
                await send({k: v for k, v in message.items() if v is not None} | {"type": "websocket.send"})
        self.left.set()


class Stage:
    """The listener and what it stands on."""

    def __init__(self, database: Database, clock: FixedClock, people: People, folder: Path) -> None:
        self.db, self.clock, self.people = database, clock, people
        self.signals = Signals()
        events = Events(database, clock)
        self.tokens = Tokens(database, clock, self.signals)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.door = InstanceDoor(database, clock, events, self.tokens, self.origin)
        self.work = Work()
        self.clients: list[httpx.Client] = []
        self.socket = folder / "jupyter.sock"
        self.upstream: tuple[str, str] | None = (str(self.socket), JUPYTER_TOKEN)
        for number, name in enumerate(("lab", "other"), 1):
            self._add(f"ins_{number}", name)

    def _add(self, instance_id: str, name: str) -> None:
        with self.db.write() as session:
            session.add(
                InstanceRow(
                    id=instance_id,
                    project_id=self.people.project.id,
                    user_id=self.people.editor.user_id,
                    name=name,
                    type="cpu.small",
                    environment="base",
                    data={},
                    secrets=[],
                    idle_timeout=3600.0,
                    state=InstanceState.RUNNING,
                    cpu=1,
                    memory=2**30,
                    gpu=0,
                    price_per_hour=0,
                    created_at=self.clock.now(),
                )
            )

    def app(self) -> Any:
        instances = SimpleNamespace(door=self.door)
        services = SimpleNamespace(
            db=self.db, tokens=self.tokens, signals=self.signals, instances=instances
        )
        return make_content_app(cast(Services, services), lambda _: self.upstream, self.origin)

    def set_state(self, state: InstanceState, message: str | None = None) -> None:
        with self.db.write() as session:
            row = session.get_one(InstanceRow, INSTANCE)
            row.state, row.message = state, message

    def active_at(self) -> Any:
        with self.db.read() as session:
            return session.get_one(InstanceRow, INSTANCE).active_at

    def token(self, caller: Caller, *scopes: str) -> str:
        """A token of a program."""
        with self.db.write() as session:
            secret, _ = self.tokens.issue(
                session, user_id=caller.user_id, kind="user", name="t", scopes=scopes or ("*",)
            )
        return secret

    def url(self, path: str = "echo") -> str:
        return f"{self.origin}/instances/{INSTANCE}/{path}"

    def _keep(self, client: httpx.Client) -> httpx.Client:
        self.clients.append(client)
        return client

    def program(self, caller: Caller | None = None, *scopes: str) -> httpx.Client:
        """A client with a token."""
        token = self.token(caller or self.people.editor, *scopes)
        return self._keep(httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=10))

    def browser(self, caller: Caller | None = None) -> httpx.Client:
        """A client that came in with a ticket and has the cookie."""
        found = self._keep(httpx.Client(timeout=10))
        answer = found.get(self.door.open(caller or self.people.editor, INSTANCE).url)
        assert answer.status_code == 303
        return found
