"""``/api/v1/live``: one WebSocket per client, many subscriptions. The protocol: ``nacre.schema.live``."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Annotated, Any

import orjson
from fastapi import Query, WebSocket
from pydantic import TypeAdapter
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect, WebSocketState

from nacre.api.routes import Allowed, Routes
from nacre.api.websockets import POLICY, UPGRADE, find_secret, parse, until_first_ends, upgrade_required
from nacre.domain.identity import Caller
from nacre.errors import InvalidSpec, NacreError, RateLimited, TooLarge, Unavailable
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
from nacre.services.live_topics import Position, Reading

routes = Routes()

_AUTH_S = 10.0
_SEND_S = 30.0
_AT_ONCE = 8
_TOGETHER_S = 0.02
"""What is new within this time is sent in one frame."""
_LOOKS_S = 0.05
"""A look that takes longer is told by itself."""
_MOST_TOGETHER = 2**18
"""Characters of one frame; a larger message has one by itself."""
_MESSAGES: TypeAdapter[Any] = TypeAdapter(LiveMessage)


@routes.operation("live.connect", **UPGRADE)
def connect(
    *,
    caller: Allowed,
    bundle: Annotated[
        bool, Query(description="whether a text message may be an array of messages; fewer cost less")
    ] = False,
) -> JSONResponse:
    """Plain HTTP is told to open a WebSocket here; ``docs/howto/live.md`` has the messages."""
    return upgrade_required("client.live()")


@routes.websocket(OPERATIONS["live.connect"].path)
async def live(socket: WebSocket) -> None:
    """Serve one connection to its end."""
    await _Connection(socket, socket.app.state.services.live).serve()


class _Subscription:
    def __init__(self, wanted: LiveSubscribe, position: Position) -> None:
        self.wanted = wanted
        self.position = position
        self.head = _dump({"op": "update", "id": wanted.id})[:-1]
        self.feed: Feed | None = None
        self.dirty = True
        self.told = False
        self._look: asyncio.Future[Reading] | None = None

    @property
    def due(self) -> bool:
        """Whether there may be something to tell: not while it is being looked at."""
        return self.dirty if self._look is None else self._look.done()

    def begin(self) -> asyncio.Future[Reading]:
        """The look that was begun, or a new one."""
        if self._look is None:
            assert self.feed is not None
            self.dirty = False
            self._look = self.feed.read(self.position)
        return self._look

    def end(self) -> Reading:
        """What was found."""
        assert self._look is not None
        look, self._look = self._look, None
        return look.result()


class _Connection:
    """Three tasks: one hears the client, one sends what is new, one waits for the day it may no more."""

    def __init__(self, socket: WebSocket, live: Live) -> None:
        self._socket = socket
        self._live = live
        self._bundles = socket.query_params.get("bundle", "").lower() in ("true", "1")
        self.secret = ""
        """With which it is signed in."""
        self._caller: Caller | None = None
        self._subscriptions: dict[str, _Subscription] = {}
        self._wake = asyncio.Event()
        self._waking = False
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
                await until_first_ends(self._receive(), self._deliver(), self._watch())
        except NacreError as error:
            await self._refuse(error)
        except (WebSocketDisconnect, TimeoutError, RuntimeError):
            pass  # it is gone, or takes nothing any more
        finally:
            self._live.access.leave(self)
            for name in [*self._subscriptions]:
                self._drop(name)

    async def _sign_in(self) -> None:
        tokens = self._socket.app.state.services.tokens
        secret = await self._live.run(find_secret, self._socket, tokens)
        if secret is not None:
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

    # What the client says

    async def _hear(self) -> Any:
        """The next message.

        Raises:
            InvalidSpec, TooLarge: it makes no sense.
        """
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code") or 1005)
        raw = message.get("text") or message.get("bytes") or ""
        if len(raw) > MAX_MESSAGE_BYTES:
            raise TooLarge(f"a message has at most {MAX_MESSAGE_BYTES} bytes")
        return parse(_MESSAGES, raw)

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
            self._wake_soon()

        made.feed = self._live.join(topic, made, wake)
        self._wake.set()

    def _has(self, one: _Subscription) -> bool:
        return self._subscriptions.get(one.wanted.id) is one

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
            due = [one for one in self._subscriptions.values() if one.due]
            for at in range(0, len(due), _AT_ONCE):
                await self._tell(due[at : at + _AT_ONCE])

    def _wake_soon(self) -> None:
        """Send in a moment: what other feeds have by then goes into the same frame."""
        if not self._bundles or len(self._subscriptions) < 2:
            self._wake.set()
        elif not self._waking:
            self._waking = True
            asyncio.get_running_loop().call_later(_TOGETHER_S, self._wake_now)

    def _wake_now(self) -> None:
        self._waking = False
        self._wake.set()

    async def _tell(self, some: list[_Subscription]) -> None:
        """Send what is new of some subscriptions. Slow looks hold nothing back: they are told once done."""
        looks = [(one, one.begin()) for one in some if self._has(one)]
        if pending := {look for _, look in looks if not look.done()}:
            await asyncio.wait(pending, timeout=_LOOKS_S)
        messages: list[str] = []
        for one, look in looks:
            if not self._has(one):
                continue
            if not look.done():
                look.add_done_callback(lambda _: self._wake.set())
            elif (said := self._news(one)) is not None:
                messages.append(said)
        for text in _frames(messages) if self._bundles else messages:
            await self._send_text(text)

    def _news(self, one: _Subscription) -> str | None:
        """The message of a look that is done; the first comes even when nothing is new."""
        try:
            found = one.end()
        except Unavailable:
            return None  # the database rests: the feed looks again
        except Exception as error:
            self._drop(one.wanted.id)
            return _dump(_ended(one.wanted.id, error))
        payload = found.payload
        if payload is None and not one.told:
            payload = '{"cursor":{},"data":{}}'
        if not one.told and not one.wanted.cursor:
            # who starts now has to hold the place where that is, before anything new comes
            payload = _with_start(payload, one.position)
        one.position = found.position
        one.dirty = one.dirty or found.more
        if one.dirty:
            self._wake.set()
        if payload is None:
            return None
        one.told = True
        return f"{one.head},{payload[1:]}"

    async def _send_error(self, name: str, error: Exception) -> None:
        await self._send(_ended(name, error))

    async def _send(self, message: dict[str, Any]) -> None:
        await self._send_text(_dump(message))

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


def _with_start(payload: str | None, start: Position) -> str:
    said = orjson.loads(payload or '{"cursor":{},"data":{}}')
    said["cursor"] = {**start.members, **said["cursor"]}
    return _dump(said)


def _frames(messages: list[str]) -> Iterator[str]:
    """Messages put together, as arrays of JSON; one by itself is no array."""
    held: list[str] = []
    for one in [*messages, ""]:
        if held and (not one or sum(map(len, held)) + len(one) > _MOST_TOGETHER):
            yield held[0] if len(held) == 1 else f"[{','.join(held)}]"
            held = []
        held.append(one)


def _dump(thing: Any) -> str:
    return orjson.dumps(thing).decode()
