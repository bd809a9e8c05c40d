"""``…/instances/NAME/terminal``: a WebSocket per terminal. The protocol: ``nacre.schema.terminals``."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import re
import time
from typing import Annotated, Any

import orjson
from fastapi import Query, WebSocket
from pydantic import TypeAdapter
from starlette.responses import JSONResponse
from starlette.websockets import WebSocketDisconnect, WebSocketState

from nacre.api.routes import Allowed, Routes
from nacre.api.websockets import POLICY, UPGRADE, find_secret, parse, until_first_ends, upgrade_required
from nacre.domain.identity import check
from nacre.errors import InternalError, InvalidSpec, NacreError, Unavailable
from nacre.schema.instances import Instance
from nacre.schema.operations import OPERATIONS
from nacre.schema.terminals import HEARTBEAT_S, TERMINAL_NAME, TerminalResize
from nacre.services import instance_terminals
from nacre.services.instance_terminals import Terminal
from nacre.services.registry import Services
from nacre.services.upstreams import Upstream

routes = Routes()

_log = logging.getLogger("nacre.api")
_OPERATION = OPERATIONS["instances.terminal"]
_TRY_LATER = 1013
_NORMAL = 1000
_SEND_S = 60.0
_TOUCH_S = 10.0
_RESIZE: TypeAdapter[TerminalResize] = TypeAdapter(TerminalResize)
_PIECE = 64 * 2**10


@routes.operation("instances.terminal", **UPGRADE)
def terminal(
    *,
    project: str,
    instance: str,
    caller: Allowed,
    terminal: Annotated[
        str | None, Query(pattern=TERMINAL_NAME, description="made where it is not there; null: a new one")
    ] = None,
) -> JSONResponse:
    """Plain HTTP is told to open a WebSocket here; ``docs/howto/instances.md`` has the messages."""
    return upgrade_required("client.instances.terminal()")


@routes.websocket(_OPERATION.path)
async def serve(socket: WebSocket, project: str, instance: str) -> None:
    """Serve one connection to its end."""
    await _Connection(socket, socket.app.state.services, project, instance).serve()


class _Connection:
    """Three tasks: one types, one prints, one looks whether the caller still may."""

    def __init__(self, socket: WebSocket, services: Services, project: str, instance: str) -> None:
        self._socket = socket
        self._services = services
        self._project, self._instance = project, instance
        self._secret: str | None = None
        self._touched = -_TOUCH_S
        self._sending = asyncio.Lock()

    async def serve(self) -> None:
        """Sign in, join the terminal, and work until a side leaves."""
        await self._socket.accept()
        try:
            name = self._socket.query_params.get("terminal")
            if name is not None and re.fullmatch(TERMINAL_NAME, name) is None:
                raise InvalidSpec("the name of a terminal has letters, digits and '_', 32 at most")
            found, upstream = await asyncio.to_thread(self._admit)
            joined = await instance_terminals.join(upstream, found.id, name)
            try:
                await self._work(found, joined)
            finally:
                await joined.close()
        except NacreError as error:
            await self._refuse(error)
        except (WebSocketDisconnect, TimeoutError):
            pass  # it is gone, or takes nothing any more
        except RuntimeError as error:
            if self._socket.application_state is WebSocketState.CONNECTED:
                _log.info("a terminal broke off: %s", error)
        except Exception:
            _log.exception("a terminal of %s failed", self._instance)
            await self._refuse(InternalError("this is a defect in Nacre; the server's log has the details"))

    # Who may

    def _admit(self) -> tuple[Instance, Upstream]:
        """As every request of the API, then as ``instances.open``."""
        tokens, projects = self._services.tokens, self._services.projects
        if self._secret is None:
            self._secret = find_secret(self._socket, tokens) or ""
        caller = tokens.resolve(self._secret) if self._secret else None
        if caller is not None:
            caller = projects.enter(caller, self._project)
        check(_OPERATION, caller)
        assert caller is not None
        return instance_terminals.admit(self._services.instances, caller, self._instance)

    # What happens

    async def _work(self, found: Instance, joined: Terminal) -> None:
        ready = {"terminal": joined.name, "resumed": joined.resumed, "terminals": joined.names}
        await self._say({"op": "ready", **ready, "heartbeat_s": HEARTBEAT_S})
        await until_first_ends(self._hear(found.id, joined), self._print(found.name, joined), self._watch())

    async def _hear(self, instance_id: str, joined: Terminal) -> None:
        """Raises once the client has left. What it types waits here while the terminal takes nothing."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code") or 1005)
            if (data := message.get("bytes")) is not None:
                if text := decoder.decode(data):
                    await self._touch(instance_id)
                    await joined.type(text)
            else:
                size = parse(_RESIZE, message.get("text") or "")
                await joined.resize(size.rows, size.cols)

    async def _print(self, name: str, joined: Terminal) -> None:
        """Returns once the shell has ended. What it prints waits while the client takes nothing."""
        async for data in joined:
            for at in range(0, len(data), _PIECE):
                await self._show(data[at : at + _PIECE])
        if not joined.ended:
            raise Unavailable(f"the connection to instance {name} broke: it stopped, or is being restarted")
        await self._say({"op": "exit", "code": joined.code})
        await self._socket.close(_NORMAL)

    async def _show(self, data: bytes) -> None:
        try:
            async with self._sending, asyncio.timeout(_SEND_S):
                await self._socket.send_bytes(data)
        except (WebSocketDisconnect, RuntimeError):
            await asyncio.Event().wait()  # it has left: what it typed before is still on its way

    async def _watch(self) -> None:
        """Returns never; raises once the caller may no longer be here."""
        with self._services.signals.listen_async("access") as changed:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HEARTBEAT_S):
                        await changed.wait()
                changed.clear()
                with contextlib.suppress(Unavailable):  # the database rests: what was allowed stays so
                    await asyncio.to_thread(self._admit)
                await self._say({"op": "heartbeat"})

    async def _touch(self, instance_id: str) -> None:
        """Note that a person is at work in it; a few writes a minute at most."""
        now = time.monotonic()
        if now - self._touched < _TOUCH_S:
            return
        self._touched = now
        with contextlib.suppress(Unavailable):
            await asyncio.to_thread(self._services.instances.door.touch, instance_id)

    async def _say(self, message: dict[str, Any]) -> None:
        async with self._sending, asyncio.timeout(_SEND_S):
            await self._socket.send_text(orjson.dumps(message).decode())

    async def _refuse(self, error: NacreError) -> None:
        with contextlib.suppress(WebSocketDisconnect, TimeoutError, RuntimeError):
            await self._say({"op": "error", "error": error.problem()})
            if self._socket.application_state is WebSocketState.CONNECTED:
                await self._socket.close(_TRY_LATER if error.status >= 500 else POLICY)
