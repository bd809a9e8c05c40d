"""Terminals of instances: Jupyter's own, reached through the unix socket of its server.

What answers there belongs to the user: answers are bounded in size and time.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any
from weakref import WeakValueDictionary

import httpx
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from nacre.domain.identity import Caller
from nacre.errors import Conflict, Unavailable
from nacre.schema.instances import Instance, InstanceApp, InstanceState
from nacre.schema.terminals import TERMINAL_NAME
from nacre.services.apps import TERMINAL_EXIT
from nacre.services.instances import Instances
from nacre.services.upstreams import SocketFile, Upstream

_SECONDS = 10.0
_MAX_ANSWER = 2**20
_MAX_MESSAGE = 64 * 2**20
_MOST = 64
"""Terminals of one instance that this makes."""
_SILENT = "the terminals of this instance do not answer: look at its log with 'nacre instance logs'"

_WRONG = (
    OSError,
    TimeoutError,
    EOFError,
    InvalidHandshake,
    httpx.HTTPError,
    ValueError,
    LookupError,
    TypeError,
)
"""How a program fails that is not what it should be."""

_making: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()


def admit(instances: Instances, caller: Caller, name: str) -> tuple[Instance, Upstream]:
    """The instance, and where its Jupyter server listens, for who may open it.

    Raises:
        Conflict: it has no terminals, or does not run.
        PermissionDenied: it belongs to somebody else, whose token is inside.
        Unavailable: it is on its way.
    """
    found = instances.get(caller, name)
    instances.door.admit(caller, found.id, by_cookie=False)
    if found.app is not InstanceApp.JUPYTERLAB:
        raise Conflict(f"{found.name} is a TensorBoard: it has no terminal")
    if found.state in (InstanceState.STOPPED, InstanceState.FAILED, InstanceState.STOPPING):
        raise Conflict(
            f"instance {found.name} is {found.state}: start it with 'nacre instance start {found.name}'",
            state=found.state,
        )
    place = instances.upstream(found.id) if found.state is InstanceState.RUNNING else None
    if place is None:
        raise Unavailable(f"instance {found.name} is {found.state}: this takes a moment", state=found.state)
    return found, Upstream(*place)


class Terminal:
    """A terminal, joined. Iterate over what it prints, until its shell ends or the connection breaks."""

    def __init__(self, socket: ClientConnection, name: str, names: list[str], *, resumed: bool) -> None:
        self._socket = socket
        self.name = name
        self.names = names
        """Of all terminals of the instance."""
        self.resumed = resumed
        self.ended = False
        """Whether the shell has ended; what broke off else may be joined again."""
        self.code: int | None = None
        """The exit code of the shell, where it is known."""

    async def type(self, text: str) -> None:
        """Give it input; returns once there is room for more."""
        await self._say(["stdin", text])

    async def resize(self, rows: int, cols: int) -> None:
        """Tell the size of the window in characters."""
        await self._say(["set_size", rows, cols])

    async def _say(self, message: list[Any]) -> None:
        try:
            await self._socket.send(json.dumps(message))
        except ConnectionClosed:
            await asyncio.Event().wait()  # whoever reads finds out how it was closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        tail = ""
        try:
            async for raw in self._socket:
                kind, text = _message(raw)
                if kind == "disconnect":
                    self.ended = True
                    return
                if kind == "stdout":
                    tail = (tail + text)[-128:] if len(text) < 128 else text[-128:]
                    for match in re.finditer(TERMINAL_EXIT, tail):
                        self.code = int(match[1])
                    yield text.encode("utf-8", "replace")
        except ConnectionClosed:
            return

    async def close(self) -> None:
        """Leave it; the shell goes on."""
        await self._socket.close()


def _message(raw: str | bytes) -> tuple[str, str]:
    try:
        found = json.loads(raw)
        return str(found[0]), found[1] if found[0] == "stdout" and isinstance(found[1], str) else ""
    except (ValueError, LookupError, TypeError):
        return "", ""


async def join(upstream: Upstream, instance_id: str, name: str | None) -> Terminal:
    """The terminal of a name, made where it is not there; without a name a new one.

    Raises:
        Conflict: there are too many.
        Unavailable: Jupyter does not answer.
    """
    base = f"/instances/{instance_id}/"
    with SocketFile(upstream.socket) as file:
        try:
            async with asyncio.timeout(_SECONDS), _lock(instance_id):
                names, name, resumed = await _find(file, upstream, base, name)
            socket = await unix_connect(
                file.path,
                f"ws://localhost{base}terminals/websocket/{name}",
                additional_headers=_headers(upstream),
                compression=None,
                max_size=_MAX_MESSAGE,
                ping_interval=None,
                open_timeout=_SECONDS,
                close_timeout=1,
            )
        except _WRONG as error:
            raise Unavailable(_SILENT) from error
    return Terminal(socket, name, names, resumed=resumed)


def _lock(instance_id: str) -> asyncio.Lock:
    """Jupyter forgets a terminal when another one of its name is made: so one at a time."""
    return _making.setdefault(instance_id, asyncio.Lock())


async def _find(
    file: SocketFile, upstream: Upstream, base: str, name: str | None
) -> tuple[list[str], str, bool]:
    """All names, the one to join, and whether it was there before."""
    async with httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=file.path, verify=False),
        base_url="http://localhost",
        headers=_headers(upstream),
        timeout=_SECONDS,
    ) as client:
        path = f"{base}api/terminals"
        names = [one["name"] for one in await _ask(client, "GET", path) if _is_name(one["name"])]
        if name in names:
            return names, str(name), True
        if len(names) >= _MOST:
            raise Conflict(f"there are {len(names)} terminals already: end some with 'exit'")
        made = (await _ask(client, "POST", path, {} if name is None else {"name": name}))["name"]
        if not _is_name(made):
            raise ValueError("not a terminal's name")
        return [*names, made], made, False


async def _ask(client: httpx.AsyncClient, method: str, path: str, body: Any = None) -> Any:
    content = None if body is None else json.dumps(body)
    async with client.stream(method, path, content=content) as response:
        response.raise_for_status()
        data = b""
        async for chunk in response.aiter_bytes():
            data += chunk
            if len(data) > _MAX_ANSWER:
                raise ValueError("too much")
    return json.loads(data)


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(TERMINAL_NAME, name) is not None


def _headers(upstream: Upstream) -> dict[str, str]:
    return {"Authorization": f"token {upstream.token}"}
