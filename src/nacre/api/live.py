"""``/api/v1/live``: one WebSocket per client, many subscriptions. The protocol: ``nacre.schema.live``."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import orjson
from fastapi import WebSocket
from pydantic import TypeAdapter, ValidationError
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect, WebSocketState

from nacre.api import session_cookie
from nacre.api.problems import Problem, describe, problem_response
from nacre.api.routes import Allowed, Routes
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NacreError, RateLimited, RequestError, TooLarge, Unavailable
from nacre.schema.live import (
    HEARTBEAT_S,
    MAX_MESSAGE_BYTES,
    MAX_SUBSCRIPTIONS,
    LiveAuth,
    LiveMessage,
    LivePing,
    LiveSubscribe,
    LiveUnsubscribe,
)
from nacre.schema.operations import OPERATIONS
from nacre.services.live import Feed, Live
from nacre.services.live_access import Verdict, as_problem
from nacre.services.live_topics import Position

routes = Routes()

POLICY = 1008
_AUTH_S = 10.0
_SEND_S = 30.0
_AT_ONCE = 8
_MESSAGES: TypeAdapter[Any] = TypeAdapter(LiveMessage)


@routes.operation("live.connect", status=426, response_model=Problem)
def connect(caller: Allowed) -> JSONResponse:
    """Plain HTTP is told to open a WebSocket here; ``docs/howto/live.md`` has the messages."""
    error = RequestError(
        "this is a WebSocket: connect with ws:// or wss://, or with client.live() in Python"
    )
    answer = problem_response(error)
    answer.status_code = 426
    answer.headers["Upgrade"] = "websocket"
    return answer


@routes.websocket(OPERATIONS["live.connect"].path)
async def live(socket: WebSocket) -> None:
    """Serve one connection to its end."""
    await _Connection(socket, socket.app.state.services.live).serve()


class _Subscription:
    def __init__(self, wanted: LiveSubscribe, position: Position) -> None:
        self.wanted = wanted
        self.position = position
        self.feed: Feed | None = None
        self.dirty = True
        self.told = False


class _Connection:
    """Three tasks: one hears the client, one sends what is new, one waits for the day it may no more."""

    def __init__(self, socket: WebSocket, live: Live) -> None:
        self._socket = socket
        self._live = live
        self.secret = ""
        """With which it is signed in."""
        self._caller: Caller | None = None
        self._subscriptions: dict[str, _Subscription] = {}
        self._wake = asyncio.Event()
        self._sending = asyncio.Lock()
        self._ended: list[dict[str, Any]] = []
        self._over = asyncio.Event()
        self._why: NacreError | None = None

    async def serve(self) -> None:
        """Sign in, then work until either side leaves."""
        await self._socket.accept()
        try:
            await self._sign_in()
            assert self._caller is not None
            with self._live.connection(self._caller):
                await self._send(
                    {"op": "ready", "user": self._caller.user_name, "heartbeat_s": HEARTBEAT_S}
                )
                await self._work()
        except NacreError as error:
            await self._refuse(error)
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            pass  # it is gone, or takes nothing any more
        finally:
            self._live.access.leave(self)
            for name in [*self._subscriptions]:
                self._drop(name)

    async def _sign_in(self) -> None:
        scheme, _, secret = self._socket.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            await self._authenticate(secret.strip())
            return
        if found := session_cookie.secrets(self._socket):
            session_cookie.check_page(self._socket)
            tokens = self._socket.app.state.services.tokens
            secret, _ = await self._live.run(session_cookie.chosen, found, tokens)
            await self._authenticate(secret)
            return
        try:
            async with asyncio.timeout(_AUTH_S):
                message = await self._hear()
        except TimeoutError:
            message = None
        if not isinstance(message, LiveAuth):
            message = LiveAuth(op="auth", token="")
        await self._authenticate(message.token)

    async def _authenticate(self, secret: str) -> None:
        caller = await self._live.run(self._live.caller, secret)
        if self._caller is not None and caller.user_id != self._caller.user_id:
            raise InvalidSpec("this token is another user's: open a connection of its own")
        self.secret, self._caller = secret, caller

    async def _work(self) -> None:
        tasks = [asyncio.ensure_future(work()) for work in (self._receive, self._deliver, self._watch)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # What the client says

    async def _hear(self) -> Any:
        """The next message.

        Raises:
            InvalidSpec: it makes no sense.
        """
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)
        raw = message.get("text") or message.get("bytes") or ""
        if len(raw) > MAX_MESSAGE_BYTES:
            raise TooLarge(f"a message has at most {MAX_MESSAGE_BYTES} bytes")
        try:
            return _MESSAGES.validate_python(orjson.loads(raw))
        except orjson.JSONDecodeError as error:
            raise InvalidSpec(f"the message is not JSON: {error}") from None
        except ValidationError as error:
            raise describe(error.errors()) from None

    async def _receive(self) -> None:
        while True:
            try:
                message = await self._hear()
            except (InvalidSpec, TooLarge) as error:
                await self._send({"op": "error", "error": error.problem()})
                continue
            if isinstance(message, LiveSubscribe):
                await self._subscribe(message)
            elif isinstance(message, LiveUnsubscribe):
                self._drop(message.id)
            elif isinstance(message, LivePing):
                await self._send({"op": "pong"})
            else:
                await self._authenticate(message.token)

    async def _subscribe(self, wanted: LiveSubscribe) -> None:
        self._drop(wanted.id)
        try:
            if len(self._subscriptions) >= MAX_SUBSCRIPTIONS:
                raise RateLimited(f"a connection has at most {MAX_SUBSCRIPTIONS} subscriptions")
            topic, position = await self._live.run(self._live.open, self._caller, wanted)
        except Exception as error:
            await self._send_error(wanted.id, error)
            return
        made = _Subscription(wanted, position)
        self._subscriptions[wanted.id] = made

        def wake() -> None:
            made.dirty = True
            self._wake.set()

        made.feed = self._live.join(topic, made, wake)
        wake()

    def _drop(self, name: str) -> None:
        gone = self._subscriptions.pop(name, None)
        if gone is not None and gone.feed is not None:
            self._live.leave(gone.feed, gone)

    # What the client is told

    async def _deliver(self) -> None:
        while True:
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._wake.wait()
            except TimeoutError:
                await self._send({"op": "heartbeat"})
                continue
            self._wake.clear()
            while self._ended:
                await self._send(self._ended.pop(0))
            dirty = [name for name, one in self._subscriptions.items() if one.dirty]
            for at in range(0, len(dirty), _AT_ONCE):
                await asyncio.gather(*map(self._tell, dirty[at : at + _AT_ONCE]))

    async def _tell(self, name: str) -> None:
        """Send what is new of one subscription; the first answer comes even when nothing is."""
        one = self._subscriptions.get(name)
        if one is None or one.feed is None:
            return
        one.dirty = False
        try:
            found = await one.feed.read(one.position)
        except Unavailable:
            return  # the database rests: the feed looks again
        except Exception as error:
            if self._subscriptions.get(name) is one:
                self._drop(name)
                await self._send_error(name, error)
            return
        if self._subscriptions.get(name) is not one:
            return
        payload = found.payload
        if payload is None and not one.told:
            payload = orjson.dumps({"cursor": {}, "data": {}})
        if not one.told and not one.wanted.cursor:
            # who starts now has to hold the place where that is, before anything new comes
            payload = _with_start(payload, one.position)
        if payload is not None:
            head = orjson.dumps({"op": "update", "id": name})[:-1] + b","
            await self._send_text((head + payload[1:]).decode())
            one.told = True
        one.position = found.position
        if found.more:
            one.dirty = True
            self._wake.set()

    async def _send_error(self, name: str, error: Exception) -> None:
        await self._send(_ended(name, error))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(orjson.dumps(message).decode())

    async def _send_text(self, text: str) -> None:
        """Raises TimeoutError for a client that takes nothing for half a minute."""
        async with self._sending, asyncio.timeout(_SEND_S):
            await self._socket.send_text(text)

    # Whether the client still may

    def wanted(self) -> list[LiveSubscribe]:
        """What it watches."""
        return [one.wanted for one in self._subscriptions.values()]

    def judge(self, verdict: Verdict) -> None:
        """Drop what may not be watched any more; end when the token is no longer good."""
        if verdict.secret != self.secret:
            return  # it has signed in anew meanwhile
        if isinstance(verdict.caller, NacreError):
            self._why = verdict.caller
            self._over.set()
            return
        self._caller = verdict.caller
        for wanted, error in verdict.refused:
            one = self._subscriptions.get(wanted.id)
            if one is not None and one.wanted is wanted:
                self._drop(wanted.id)
                self._ended.append(_ended(wanted.id, error))
                self._wake.set()

    async def _watch(self) -> None:
        """Returns never; raises once the token is no longer good."""
        self._live.access.join(self)
        await self._over.wait()
        assert self._why is not None
        raise self._why

    async def _refuse(self, error: NacreError) -> None:
        with contextlib.suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
            await self._send({"op": "error", "error": error.problem()})
            if self._socket.application_state is WebSocketState.CONNECTED:
                await self._socket.close(POLICY, error.detail[:120])


def _ended(name: str, error: Exception) -> dict[str, Any]:
    return {"op": "error", "id": name, "error": as_problem(error).problem()}


def _with_start(payload: bytes | None, start: Position) -> bytes:
    said = orjson.loads(payload or b'{"cursor":{},"data":{}}')
    said["cursor"] = {**start.members, **said["cursor"]}
    return orjson.dumps(said)
